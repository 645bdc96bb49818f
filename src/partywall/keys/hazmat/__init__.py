"""The primitives, misusable by nature: only the recipes of `keys` import what is in here."""
