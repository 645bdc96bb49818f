"""`python -m partywall` is the `partywall` command."""

from partywall.cli import main

main()
