"""Differences that embeddings don't see, and that change an answer.

Promises: two texts aren't alike when their numbers differ, or their negations, opposites, days or proper names, or
when words that both have stand in another order; however near their vectors are. Static embeddings add words up: `dog
bites man` and `man bites dog` are one vector to them, and `not` weighs next to nothing.

Doesn't promise: understanding. It refuses too much rather than too little, in the languages whose words are listed;
what it lets pass still has to be near. For names in small letters and for everything in long texts, where one word
moves the whole very little, the `difference` is to be compared by itself.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

__all__ = ["alike", "difference"]

_TOKEN: Final = re.compile(
    r"(?:(?<=\s)|^)-?\d+(?:[.,:/-]\d+)*%?|\d+(?:[.,:/-]\d+)*%?|[^\W\d_]+(?:'[^\W\d_]+)*|[^\w\s]|_", re.UNICODE
)
_APOSTROPHE: Final = "\N{RIGHT SINGLE QUOTATION MARK}"
"""As keyboards for people make it."""
_SENTENCE_END: Final = frozenset(".!?:;\n")
_MARKS: Final = frozenset("%€$£¥°§@#<>=+*^~|&\\")
"""Signs with a meaning of their own."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COUNTED: Final = _words(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half
    quarter double triple dozen once twice first second third fourth fifth last next previous both either neither
    null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf hundert tausend erste zweite dritte letzte
    un deux trois quatre cinq sept huit neuf dix premier dernier uno dos tres cuatro cinco seis siete ocho nueve diez
    """
)
_NEGATED: Final = _words(
    """
    no not never none nothing nobody nor cannot without except unless hardly barely neither
    nicht kein keine keinen keiner keines nie niemals nichts niemand ohne außer
    ne pas jamais rien aucun aucune sans sauf ni nunca nada nadie ninguno ninguna sin jamás non mai niente senza nessuno
    não nem sem nenhum geen niet nooit zonder
    """
)
_TURNED: Final = _words(
    """
    before after until since above below over under more less most least fewer greater smaller larger higher lower
    high low max min maximum minimum increase decrease raise reduce enable disable enabled disabled start stop begin end
    open close add remove delete create insert drop allow deny permit forbid grant revoke accept reject approve buy sell
    import export upload download login logout encrypt decrypt lock unlock install uninstall on off up down left right
    in out into from to true false yes always sometimes best worst good bad better worse hot cold old new inside outside
    include exclude included excluded legal illegal safe unsafe possible impossible valid invalid public private active
    inactive push pull read write send receive send lend borrow win lose gain loss profit income expense debit credit
    ascending descending asc desc morning evening noon night midnight today tomorrow yesterday now daily weekly monthly
    yearly annual annually day days week weeks month months year years hour hours minute minutes seconds
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
    september october november december spring summer autumn winter north south east west
    heute morgen gestern vor nach mehr weniger aujourd'hui demain hier avant après plus moins hoy mañana ayer antes
    después más menos he she his her him hers my your our their mother father son daughter brother sister husband wife
    why how when where who whose should must may
    pros cons advantages disadvantages benefits risks causes effects symptoms
    celsius fahrenheit kilometers kilometres miles meters metres feet kilograms pounds grams dollars euros
    english german french spanish italian portuguese dutch chinese japanese arabic russian
    """
)
_LIGHT: Final = _words(
    """
    a an the of is are was were be been do does did please can could would explain describe you me i my we us it
    this that these those
    for at by with as and or so just what what's which really very kindly tell give show hi hello hey thanks thank
    """
)
"""Words whose order says nothing by itself."""


class _Read(NamedTuple):
    numbers: tuple[str, ...]
    turns: tuple[str, ...]
    names: tuple[str, ...]
    scripts: frozenset[str]
    order: tuple[str, ...]
    marks: tuple[str, ...]


def difference(one: str, other: str) -> tuple[str, str]:
    """The words that only one of the two has, of each; without those that say little."""
    a, b = _read(one).order, _read(other).order
    return " ".join(word for word in a if word not in b), " ".join(word for word in b if word not in a)


def alike(one: str, other: str) -> bool:
    """Whether two texts may be taken for the same question if their vectors are near."""
    a, b = _read(one), _read(other)
    if a[:4] != b[:4] or a.marks != b.marks:
        return False
    both = set(a.order) & set(b.order)
    return [word for word in a.order if word in both] == [word for word in b.order if word in both]


def _read(text: str) -> _Read:
    text = unicodedata.normalize("NFKC", text).replace(_APOSTROPHE, "'")
    numbers: list[str] = []
    turns: list[str] = []
    names: list[str] = []
    order: list[str] = []
    marks: list[str] = []
    starts = True
    for match in _TOKEN.finditer(text):
        token = match.group()
        word = token.casefold()
        if token[-1].isdigit() or (token[-1] == "%" and len(token) > 1) or word in _COUNTED:
            numbers.append(word)
        elif not token[0].isalpha():
            if token in _MARKS:
                marks.append(token)
            starts = starts or token in _SENTENCE_END
            continue
        elif _is_negated(word) or word in _TURNED:
            turns.append(word)
        elif _is_name(token, starts=starts):
            names.append(word)
        if word not in _LIGHT:
            order.append(word)
        starts = False
    return _Read(tuple(numbers), tuple(turns), tuple(names), _scripts(text), tuple(order), tuple(marks))


def _is_negated(word: str) -> bool:
    return word in _NEGATED or word.endswith("n't")


def _is_name(word: str, *, starts: bool) -> bool:
    """A capital inside or all over, or at the beginning of a word that begins no sentence."""
    return word != word.lower() and word != "I" and (not starts or word[1:] != word[1:].lower())


def _scripts(text: str) -> frozenset[str]:
    return frozenset(unicodedata.name(char, "?").split(" ", 1)[0] for char in set(text) if char.isalpha())
