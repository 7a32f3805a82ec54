"""Which files of an application name each entity, and whether they read or write it: a heuristic, by text alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ashore.assess.proposal import Entity, KeyPattern, Proposal
from ashore.assess.report.assessment import CodeUse, Use

WINDOW: Final = 12
"""Lines around a name in which a call of DynamoDB says what is done."""

_placeholder: Final = re.compile(r"\{[^{}]*\}")
_least_letters: Final = 3
_writes: Final = re.compile(
    r"(?i)(?:transact_?write|batch_?write|put_?item|update_?item|delete_?item|put_?command|update_?command"
    r"|delete_?command|put_?request|delete_?request|\b(?:put|update|delete|save|upsert)\s*\()"
)
_reads: Final = re.compile(
    r"(?i)(?:transact_?get|batch_?get|get_?item|get_?command|query_?command|scan_?command|query_?request|scan_?request"
    r"|\b(?:get|query|scan|find|load)\s*\()"
)


@dataclass(frozen=True, slots=True)
class Needles:
    """Texts to look for → the entities that they name."""

    of: Mapping[str, frozenset[str]]

    def expression(self) -> re.Pattern[str] | None:
        """One expression for all; the longest text wins, and none matches inside a longer word."""
        if not self.of:
            return None
        texts = sorted(self.of, key=lambda text: (-len(text), text))
        return re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, texts)) + r")(?![A-Za-z0-9-])")


def needles(proposal: Proposal) -> Needles:
    """What source code that handles an entity is likely to hold: fixed text of its keys, and its constants.

    Of a key with two fixed texts the sort key's names the entity. Texts with fewer than three letters are left out.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for entity in proposal.entities:
        for text in _texts(entity):
            if sum(letter.isalpha() for letter in text) >= _least_letters:
                found[text.strip()].add(entity.name)
    return Needles({text: frozenset(names) for text, names in found.items()})


def _texts(entity: Entity) -> Iterable[str]:
    for key in (*entity.keys, *(copies.key for copies in entity.copies)):
        yield _telling(key)
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


def uses_in(text: str, wanted: Needles, expression: re.Pattern[str]) -> dict[tuple[str, Use], list[int]]:
    """In one file: (entity, what is done) → the numbers of lines, from 1."""
    found: dict[tuple[str, Use], list[int]] = defaultdict(list)
    if expression.search(text) is None:
        return found
    lines = text.split("\n")
    for place, line in enumerate(lines):
        for match in expression.finditer(line):
            use = _use(lines, place)
            for entity in wanted.of[match.group()]:
                if place + 1 not in found[entity, use]:
                    found[entity, use].append(place + 1)
    return found


def _use(lines: list[str], place: int) -> Use:
    """What the nearest call does; of a reading and a writing one as near, it writes."""
    for distance in range(WINDOW + 1):
        near = [lines[at] for at in {place - distance, place + distance} if 0 <= at < len(lines)]
        if any(_writes.search(line) for line in near):
            return "writes"
        if any(_reads.search(line) for line in near):
            return "reads"
    return "names"


def code_map(files: Iterable[tuple[str, str]], proposal: Proposal) -> dict[str, tuple[CodeUse, ...]]:
    """For each entity, the files that use it, in order; `files` are (name, text). Every entity has an entry."""
    wanted = needles(proposal)
    expression = wanted.expression()
    found: dict[str, list[CodeUse]] = {entity.name: [] for entity in proposal.entities}
    for name, text in sorted(files) if expression else ():
        if expression is not None:
            for (entity, use), lines in sorted(uses_in(text, wanted, expression).items()):
                found[entity].append(CodeUse(file=name, lines=tuple(lines), use=use))
    return {entity: tuple(uses) for entity, uses in found.items()}
