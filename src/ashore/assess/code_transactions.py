"""Which entities source code seems to write in one transaction: a heuristic, by text alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

_calls: Final = re.compile(r"(?i)transact(?:ion)?[_.]?write|write_?transaction|execute_?transaction")
_imports: Final = re.compile(r"\s*(?:import|from|use|using|#include|require|export \* from)\b|.*\brequire\s*\(")
_beside: Final = (0, -1, 1)
"""Lines from a sort key's text in which its partition key's text stands, the likeliest first."""


class Mention(NamedTuple):
    """A text in a line, counted from 0, that names one entity."""

    place: int
    text: str
    entity: str


def written_together(
    lines: Sequence[str], mentions: Sequence[Mention], partitions: Mapping[str, frozenset[str]], *, window: int
) -> Iterator[tuple[frozenset[str], int]]:
    """For each call that writes a transaction, the entities named around it, if several; and its line, from 1.

    A mention counts for the nearest call within `window` lines. Where an item's sort key names its entity, the text of
    its partition key, which may be what names another entity, says nothing more.

    Args:
        lines: Those of a file.
        mentions: What is named in it, in the order of the lines.
        partitions: Entity → the fixed texts of its partition keys.
        window: How far from a call a mention may be.
    """
    calls = [place for place, line in enumerate(lines) if _calls.search(line) and not _imports.match(line)]
    if not calls:
        return
    named: dict[int, set[str]] = defaultdict(set)
    for mention in _without_partitions(mentions, partitions):
        nearest = min(calls, key=lambda call: (abs(call - mention.place), call))
        if abs(nearest - mention.place) <= window:
            named[nearest].add(mention.entity)
    for call, entities in sorted(named.items()):
        if len(entities) > 1:
            yield frozenset(entities), call + 1


def _without_partitions(mentions: Sequence[Mention], partitions: Mapping[str, frozenset[str]]) -> Iterator[Mention]:
    """The mentions but for texts that only say under which partition key another entity's item is."""
    at: dict[tuple[int, str], list[int]] = defaultdict(list)
    for number, one in enumerate(mentions):
        at[one.place, _bare(one.text)].append(number)
    explained: set[int] = set()
    for one in mentions:
        beside = [
            number
            for distance in _beside
            for text in sorted(set(map(_bare, partitions.get(one.entity, ()))))
            for number in at[one.place + distance, text]
            if number not in explained and mentions[number].entity != one.entity
        ]
        explained.update(beside[:1])
    yield from (one for number, one in enumerate(mentions) if number not in explained)


def _bare(text: str) -> str:
    """Without separators at its ends: a type's name may be the word of a key."""
    return text.strip("".join({letter for letter in text if not letter.isalnum()}))
