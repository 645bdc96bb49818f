"""`policy.pii-detector`, compiled.

Promises: each setting does what docs/reference.md says of it, or the document is refused: a kind that nobody knows, a
pattern that RE2 can't take or that matches nothing, a marker that couldn't be put back.

What `detect_patterns` means: names of kinds or families narrow the search to those, beside what `pci_mode` and
`healthcare_mode` ask for; anything else is a regular expression and is looked for besides. Findings of the latter are
of the kind `custom`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import re2

from partywall.config.policy import PiiDetector
from partywall.detection.pii.detector import Detector
from partywall.detection.pii.entities import BUILT_IN, FAMILIES, Entity, phones_of
from partywall.detection.pii.markers import LITERAL, MarkerFormat, Markers
from partywall.detection.pii.prefixes import UnreadablePattern, shortest
from partywall.detection.pii.redaction import Redaction
from partywall.errors import ConfigError

__all__ = ["PiiPolicy", "compile_pii"]

_SYNONYMS: Final = {
    "ssn": "us_ssn",
    "credit_card": "card",
    "payment_card": "card",
    "email_address": "email",
    "phone_number": "phone",
    "ip": "network",
    "ip_address": "network",
    "mac_address": "mac",
    "api_key": "secret",
    "credential": "secret",
    "credentials": "secret",
    "secrets": "secret",
    "mrn": "medical_record",
    "nhs_number": "gb_nhs",
    "national_insurance_number": "gb_nino",
    "aadhaar": "in_aadhaar",
    "cpf": "br_cpf",
}
_WORD: Final = re.compile(r"[a-zA-Z][a-zA-Z_ -]*")


@dataclass(frozen=True, slots=True)
class PiiPolicy:
    """One document's settings, ready for its requests."""

    action: str
    detector: Detector
    marker_format: MarkerFormat
    preserve_length: bool
    custom_markers: dict[str, str]
    include_metadata: bool
    restores: bool

    def request(self, key: bytes) -> Redaction:
        """For the texts of one request. `key`: of this tenant alone, for hashes that only it can compare."""
        if len(key) < 16:
            raise ValueError(f"a key of {len(key)} bytes could be guessed")
        families = {each.name: each.family for each in self.detector.entities}
        markers = Markers(
            self.marker_format, key, families, self.custom_markers, self.preserve_length, is_numbered=self.restores
        )
        return Redaction(self.detector, markers)


def compile_pii(settings: PiiDetector, *, phone_regions: Sequence[str] = ("US",)) -> PiiPolicy:
    """The settings, ready for use. `phone_regions`: where numbers without a country's prefix are looked for.

    Raises:
        ConfigError: a setting that can't be used, and why.
    """
    redaction = settings.redaction
    kinds, patterns = _asked(settings.detect_patterns)
    entities = [*_built_in(settings, kinds, phone_regions), *map(_custom, patterns)]
    known = {name for each in entities for name in (each.name, each.family)}
    custom = {_canonical(name): marker for name, marker in redaction.custom_markers.items()}
    if unknown := sorted(custom.keys() - known):
        raise ConfigError(f"policy.pii-detector.redaction.custom_markers: nothing looks for `{unknown[0]}`")
    if settings.restore:
        entities.append(LITERAL)
        if redaction.marker_format not in ("label", "hash") or redaction.preserve_length or custom:
            raise ConfigError(
                "policy.pii-detector.restore: a value is put back where its marker stands, so every value needs one of "
                "its own: `marker_format` `label` or `hash`, without `preserve_length` and `custom_markers`"
            )
    return PiiPolicy(
        action=settings.action,
        detector=Detector(entities),
        marker_format=redaction.marker_format,
        preserve_length=redaction.preserve_length,
        custom_markers=custom,
        include_metadata=redaction.include_metadata,
        restores=settings.restore,
    )


def _built_in(settings: PiiDetector, kinds: set[str], phone_regions: Sequence[str]) -> list[Entity]:
    everything = (*BUILT_IN, *map(phones_of, phone_regions))
    optional = {"card": settings.pci_mode, "medical": settings.healthcare_mode}
    return [
        each
        for each in everything
        if each.name in kinds or each.family in kinds or optional.get(each.family, not kinds)
    ]


def _asked(entries: Sequence[str]) -> tuple[set[str], list[str]]:
    """Kinds and families by name; the rest are patterns."""
    known = {*FAMILIES, *(each.name for each in BUILT_IN)} - {"custom"}
    kinds, patterns = set(), []
    for entry in entries:
        if (name := _canonical(entry)) in known:
            kinds.add(name)
        elif _WORD.fullmatch(entry):
            raise ConfigError(
                f"policy.pii-detector.detect_patterns: `{entry}` is no kind; known are {', '.join(sorted(known))}; "
                "a regular expression of letters alone is written in brackets: `(?:word)`"
            )
        else:
            patterns.append(entry)
    return kinds, patterns


def _canonical(name: str) -> str:
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    return _SYNONYMS.get(plain, plain)


def _custom(pattern: str) -> Entity:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern.encode(), options)
        is_empty = shortest(pattern) == 0
    except (re2.error, UnreadablePattern) as error:
        why = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise ConfigError(f"policy.pii-detector.detect_patterns: `{pattern}` can't be used: {why}") from None
    if is_empty:
        raise ConfigError(f"policy.pii-detector.detect_patterns: `{pattern}` matches where nothing stands")
    return Entity("custom", "custom", pattern, len)
