"""Which files of an application name each entity, and whether they read or write it: a heuristic, by text alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ashore.assess.code_transactions import Mention, written_together
from ashore.assess.proposal import Entity, KeyPattern, Proposal
from ashore.assess.report.assessment import CodeMap, CodeUse, Transaction, Use

WINDOW: Final = 12
"""Lines around a name in which a call of DynamoDB says what is done."""

_placeholder: Final = re.compile(r"\{[^{}]*\}")
_least_letters: Final = 3
_quotes: Final = frozenset("\"'`")
_writes: Final = re.compile(
    r"(?i)(?:transact_?write|batch_?write|put_?item|update_?item|delete_?item|put_?command|update_?command"
    r"|delete_?command|put_?request|delete_?request|\b(?:put|update|delete|save|upsert)\s*\()"
)
_reads: Final = re.compile(
    r"(?i)(?:transact_?get|batch_?get|get_?item|get_?command|query_?command|scan_?command|query_?request|scan_?request"
    r"|\b(?:get|query|scan|find|load)\s*\()"
)

_Lines = dict[tuple[str, Use], list[int]]


@dataclass(frozen=True, slots=True)
class Needles:
    """Texts to look for → the entities that they name, and the names of indexes → the entities that these have.

    `partitions` has, for each entity, the fixed texts of its partition keys.
    """

    of: Mapping[str, frozenset[str]]
    indexes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    partitions: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def expression(self) -> re.Pattern[str] | None:
        """One expression for all; the longest text wins, and none matches inside a longer word."""
        ends = dict.fromkeys(self.of, "(?![A-Za-z0-9-])") | dict.fromkeys(self.indexes, r"(?![\w-])")
        if not ends:
            return None
        texts = sorted(ends.items(), key=lambda one: (-len(one[0]), one[0]))
        return re.compile(r"(?<![\w-])(?:" + "|".join(re.escape(text) + end for text, end in texts) + ")")


@dataclass(frozen=True, slots=True)
class FileUses:
    """What one file does: (name, what is done) → the numbers of lines, from 1; and the calls that write several."""

    entities: _Lines = field(default_factory=lambda: defaultdict(list))
    indexes: _Lines = field(default_factory=lambda: defaultdict(list))
    transactions: list[tuple[frozenset[str], int]] = field(default_factory=list)


def needles(proposal: Proposal) -> Needles:
    """What source code that handles an entity is likely to hold: fixed text of its keys, its constants, its indexes.

    Of a key with two fixed texts the sort key's names the entity. Texts with fewer than three letters are left out, and
    so is an index that is called as its attributes: nobody named it, or its name in code may mean the attribute.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for entity in proposal.entities:
        for text in _texts(entity):
            if _is_telling(text):
                found[text.strip()].add(entity.name)
    indexes = {
        name: frozenset(entity.name for entity in proposal.entities if name in entity.indexed_by)
        for name, attributes in proposal.secondary.items()
        if _is_telling(name) and name != ",".join(attributes) and name not in found
    }
    return Needles(
        of={text: frozenset(names) for text, names in found.items()},
        indexes=indexes,
        partitions={
            entity.name: frozenset(_fixed(key.partition).strip() for key in _keys(entity))
            for entity in proposal.entities
        },
    )


def _is_telling(text: str) -> bool:
    return sum(letter.isalpha() for letter in text) >= _least_letters


def _keys(entity: Entity) -> Iterator[KeyPattern]:
    yield from entity.keys
    yield from (copies.key for copies in entity.copies)


def _texts(entity: Entity) -> Iterator[str]:
    yield from map(_telling, _keys(entity))
    for value in entity.constant.values():
        if isinstance(value, str):
            yield value


def _telling(key: KeyPattern) -> str:
    partition, sort = _fixed(key.partition), _fixed(key.sort or "")
    return sort if any(letter.isalpha() for letter in sort) else partition


def _fixed(pattern: str) -> str:
    """The text before the first placeholder."""
    found = _placeholder.search(pattern)
    return pattern if found is None else pattern[: found.start()]


def uses_in(text: str, wanted: Needles, expression: re.Pattern[str]) -> FileUses:
    """What is done in one file with what is wanted; `expression` is that of the needles."""
    found = FileUses()
    if expression.search(text) is None:
        return found
    lines = text.split("\n")
    mentions: list[Mention] = []
    for place, line in enumerate(lines):
        for match in expression.finditer(line):
            name = match.group()
            if name in wanted.of:
                _note(found.entities, wanted.of[name], _use(lines, place), place)
                if len(wanted.of[name]) == 1:
                    mentions.append(Mention(place, name, *wanted.of[name]))
            elif _is_index(line, match):
                use = _use(lines, place, only_reads=True)
                _note(found.indexes, [name], use, place)
                if len(wanted.indexes[name]) == 1:
                    _note(found.entities, wanted.indexes[name], use, place)
    found.transactions.extend(written_together(lines, mentions, wanted.partitions, window=WINDOW))
    return found


def _note(found: _Lines, names: Iterable[str], use: Use, place: int) -> None:
    for name in names:
        if place + 1 not in found[name, use]:
            found[name, use].append(place + 1)


def _is_index(line: str, match: re.Match[str]) -> bool:
    """Whether the name of an index stands there as such: in quotes, or in a line that speaks of an index."""
    around = line[match.start() - 1 : match.start()], line[match.end() : match.end() + 1]
    return (around[0] in _quotes and around[0] == around[1]) or "index" in line.casefold()


def _use(lines: list[str], place: int, *, only_reads: bool = False) -> Use:
    """What the nearest call does; of a reading and a writing one as near, it writes. An index can only be read."""
    for distance in range(WINDOW + 1):
        near = [lines[at] for at in {place - distance, place + distance} if 0 <= at < len(lines)]
        if not only_reads and any(_writes.search(line) for line in near):
            return "writes"
        if any(_reads.search(line) for line in near):
            return "reads"
    return "names"


def code_map(files: Iterable[tuple[str, str]], proposal: Proposal) -> CodeMap:
    """What files do with the entities and indexes of a proposal, in order; `files` are (name, text)."""
    wanted = needles(proposal)
    expression = wanted.expression()
    entities: dict[str, list[CodeUse]] = {entity.name: [] for entity in proposal.entities}
    indexes: dict[str, list[CodeUse]] = {name: [] for name in wanted.indexes}
    together: dict[frozenset[str], list[tuple[str, int]]] = defaultdict(list)
    for name, text in sorted(files) if expression else ():
        if expression is not None:
            uses = uses_in(text, wanted, expression)
            for whose, found in ((entities, uses.entities), (indexes, uses.indexes)):
                for (what, use), lines in sorted(found.items()):
                    whose[what].append(CodeUse(file=name, lines=tuple(lines), use=use))
            for names, line in uses.transactions:
                together[names].append((name, line))
    return CodeMap(
        entities={name: tuple(uses) for name, uses in entities.items()},
        indexes={name: tuple(uses) for name, uses in indexes.items()},
        transactions=tuple(
            Transaction(entities=names, places=tuple(places))
            for names, places in sorted((tuple(sorted(names)), places) for names, places in together.items())
        ),
    )
