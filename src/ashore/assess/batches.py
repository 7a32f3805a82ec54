"""The texts of one column of a batch, looked at all together where they are alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import mul
from typing import Final

import msgspec

from ashore.assess.forms import Form, form_of

_all_of: Final[dict[Form, re.Pattern[str]]] = {
    "uuid": re.compile(r"(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\n)+"),
    "timestamp": re.compile(
        r"(?:[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z\n)+"
    ),
}
"""Texts of one form, each with a newline behind it. `form_of` judges days past the 28th, since it knows the months."""


_perhaps: Final = re.compile(r"\n(?:[0-9-]|[0-9a-f]{8}-)").search
"""What a text of any form but `text` begins with."""

_opening: Final = frozenset("{[")
_decode: Final = msgspec.json.decode


@dataclass(slots=True)
class Batch:
    """Texts, at least one, each with how often it is there; `lines` are all, a newline before and behind each."""

    texts: Sequence[str]
    times: Collection[int] | repeat[int]
    total: int
    lengths: list[int] = field(init=False)
    lines: str = field(init=False)

    def __post_init__(self) -> None:
        self.lengths = list(map(len, self.texts))
        self.lines = "\n" + "\n".join(self.texts) + "\n"

    @classmethod
    def of(cls, texts: Sequence[str], *, distinct: bool) -> Batch:
        """A batch of texts: each distinct one once, or as they come, which is faster where most are there once."""
        if not distinct:
            return cls(texts, repeat(1), len(texts))
        counted = Counter(texts)
        return cls(list(counted), counted.values(), len(texts))

    def pairs(self) -> Iterable[tuple[str, int]]:
        """Each text with how often it is there; where not made distinct, a text may come again."""
        return zip(self.texts, self.times, strict=False)

    @property
    def characters(self) -> int:
        """Of all texts."""
        return sum(map(mul, self.lengths, self.times))

    def forms(self) -> Counter[Form]:
        """How many have each form: as `form_of` of each says."""
        guess = form_of(self.texts[0])
        if guess in _all_of:
            whole = _all_of[guess].fullmatch(self.lines, 1)
            if whole is not None and self.lines.count("\n") == len(self.texts) + 1:
                return Counter({guess: self.total})
        elif guess == "text" and _perhaps(self.lines) is None:
            return Counter({guess: self.total})
        forms: Counter[Form] = Counter()
        for text, times in self.pairs():
            forms[form_of(text)] += times
        return forms

    def with_nul(self) -> int:
        """How many have U+0000 in them."""
        if "\0" not in self.lines:
            return 0
        return sum(times for text, times in self.pairs() if "\0" in text)

    def with_json(self) -> int:
        """How many are a JSON object or array."""
        if "\n{" not in self.lines and "\n[" not in self.lines:
            return 0
        return sum(times for text, times in self.pairs() if text[:1] in _opening and _is_json(text))


def _is_json(text: str) -> bool:
    if text[-1:] not in {"}", "]"}:
        return False
    try:
        return isinstance(_decode(text), dict | list)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
