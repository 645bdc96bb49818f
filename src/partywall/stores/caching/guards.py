"""Which two texts may be taken for one question.

Promises: they are the same words in the same order, with the same signs between them. What may differ is fixed here:
the space between words, the first letter's case, the last mark, a few polite phrases, `what is it` for `what it is`,
`how can I` for `how do I`, and an article. Two different words never match, inflections included: `inpatient` and
`outpatient` are one vector to static embeddings, or nearly, and no list of opposites is ever whole.

Doesn't promise: to find most of what means the same. It refuses rather than guesses, in every language alike; the
phrases are English ones.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["alike"]

_APOSTROPHE: Final = "\N{RIGHT SINGLE QUOTATION MARK}"
"""As keyboards for people make it."""
_TOKEN: Final = re.compile(r"\s*\n\s*|[^\s]+?(?=[.,;:?!]*(?:\s|$))|[.,;:?!]")
"""A word with whatever is in it, a mark behind a word, or the end of a line with what the next one is set in by."""
_ASKS: Final = "what|which|how|why|when|where|who"
_SAYS: Final = "explain|describe|summari[sz]e|list|write|translate|show|tell"
_POLITE: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), said)
    for pattern, said in (
        (rf"^(?:hello|hi|hey)[,!] +(?=(?:{_ASKS}|{_SAYS}|please|can|could|is|are|do|does) )", ""),
        (r"(?<=[.?!]) +(?:thanks|thank you)[.!]?$", ""),
        (r", please(?=[.?!]?$)", ""),
        (r"^please +", ""),
        (rf"^(?:could|can|would) you (?:please +)?(?=(?:{_SAYS}) )(.*?)\??$", r"\1"),
        (rf"^tell me (?=(?:{_ASKS}) )", ""),
        (r"^(write|show) me (?=an? |the )", r"\1 "),
        (r"^what's (?=the |an? |my |your |our )", "what is "),
        (rf"^({_ASKS}) ((?:the|my|your|our) .*) (is|are)([.?]?)$", r"\1 \3 \2\4"),
        (r"^(how|where) can (?=(?:i|we) )", r"\1 do "),
        (r"^which (?!of |is |are |one)", "what "),
        (rf"^((?:{_ASKS}|is|are|do|does|can) .*[^\W\d_])\?$", r"\1"),
        (r"(?<=[^\W\d_])\.$", ""),
    )
)
"""What is taken for what, one after the other. A question's mark goes where its first word asks; `5!` stays."""
_ARTICLES: Final = frozenset({"a", "an", "the"})
_NO_NOUN: Final = frozenset(
    {"and", "or", "a", "an", "the", "is", "are", "was", "were", "do", "does", "did", "mean", "means", "in", "on", "of"}
    | {"for", "to", "with", "few", "little", "lot", *",;:.?!"}
)
"""An article before one of these is spoken of, or is more than an article."""
_IS: Final = frozenset({"is", "are", "was", "were"})
"""After one of these, articles count: `what is a policy` asks for a word, `what is the policy` for a thing."""
_HOW_TO: Final = (["how", "do", "i"], ["how", "do", "we"])
"""Only after these is `a` taken for `the`: `explain a contract` and `what does a director earn` ask for any."""


def alike(one: str, other: str) -> bool:
    """Whether two texts may be taken for the same question."""
    a, b = _read(one), _read(other)
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] != b[j]:
            light = _is_light(a, i), _is_light(b, j)
            if not all(light) or [word.lower() for word in a[:3]] not in _HOW_TO:
                # `the` may be missing; `a` may not, which is a name as well: hepatitis a.
                if light[0] and a[i] == "the":
                    i += 1
                    continue
                if light[1] and b[j] == "the":
                    j += 1
                    continue
                return False
        i += 1
        j += 1
    return i == len(a) and j == len(b)


def _is_light(words: list[str], place: int) -> bool:
    """Whether the word there is an article, and nothing but that."""
    if words[place] not in _ARTICLES or place == 0 or place + 1 == len(words):
        return False
    return words[place - 1] not in _IS and words[place + 1] not in _NO_NOUN


def _read(text: str) -> list[str]:
    """Its words and signs, where what may differ is the same."""
    text = unicodedata.normalize("NFC", text).replace(_APOSTROPHE, "'").strip()
    if "\n" not in text:
        text = re.sub(r"\s+", " ", text)
        for pattern, said in _POLITE:
            text = pattern.sub(said, text)
    words = _TOKEN.findall(text)
    if words and words[0][1:] == words[0][1:].lower():  # not `US`
        words[0] = words[0].lower()
    return words
