"""What a search of source code found: files by entity and by secondary index, and entities written together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ashore.assess.proposal import Proposal
from ashore.assess.report.assessment import Assessment, CodeMap, CodeUse
from ashore.assess.report.document import (
    Block,
    Bullets,
    Paragraph,
    Phrase,
    Section,
    code,
    codes,
    joined_by,
    table,
    words,
)

_MOST_LINES: Final = 12
_MOST_PLACES: Final = 8


def code_section(assessment: Assessment) -> tuple[Section, ...]:
    """The section on code; none where no code was searched."""
    found, proposal = assessment.code, assessment.proposal
    if found is None:
        return ()
    names = [entity.name for entity in proposal.entities]
    rows = [
        (words(code(name)), words(code(use.file)), use.use, _lines(use))
        for name, use in _uses(found.entities, [*names, *sorted(set(found.entities) - set(names))])
    ]
    unseen = [name for name in names if not found.entities.get(name)]
    blocks: tuple[Block, ...] = (
        *table("Files that use each entity", ("Entity", "File", "How", "Lines"), [*rows]),
        *_unseen("No file was found that uses these:", unseen),
        *_indexes(found, proposal),
        *_transactions(found),
        Paragraph(words("Found by searching for texts of keys, indexes and types: a lead, not a proof.")),
    )
    return (Section(anchor="code", title=words("Code"), blocks=blocks),)


def _uses(uses: Mapping[str, tuple[CodeUse, ...]], names: list[str]) -> Iterator[tuple[str, CodeUse]]:
    yield from ((name, use) for name in names for use in uses.get(name, ()))


def _unseen(said: str, names: list[str]) -> tuple[Block, ...]:
    return (Paragraph(words(said)), Bullets(items=tuple(words(code(name)) for name in names))) if names else ()


def _lines(use: CodeUse) -> str:
    more = "" if len(use.lines) <= _MOST_LINES else f" and {len(use.lines) - _MOST_LINES:,} more"
    return ", ".join(str(line) for line in use.lines[:_MOST_LINES]) + more


def _indexes(found: CodeMap, proposal: Proposal) -> tuple[Block, ...]:
    rows = [
        (words(code(name)), _in_index(name, proposal), words(code(use.file)), use.use, _lines(use))
        for name, use in _uses(found.indexes, list(found.indexes))
    ]
    unseen = [name for name, uses in found.indexes.items() if not uses]
    heads = ("Index", "Has items of", "File", "How", "Lines")
    return (
        *table("Files that use each secondary index", heads, [*rows]),
        *_unseen("No file was found that uses these indexes:", unseen),
    )


def _in_index(name: str, proposal: Proposal) -> Phrase:
    return codes(tuple(entity.name for entity in proposal.entities if name in entity.indexed_by))


def _transactions(found: CodeMap) -> tuple[Block, ...]:
    rows = [(codes(one.entities), _places(one.places)) for one in found.transactions]
    return table("Entities that seem to be written in one transaction", ("Entities", "Where"), [*rows])


def _places(places: tuple[tuple[str, int], ...]) -> Phrase:
    shown = joined_by(", ", [words(code(file), f", line {line}") for file, line in places[:_MOST_PLACES]])
    rest = len(places) - _MOST_PLACES
    return (*shown, *words(f" and {rest:,} more")) if rest > 0 else shown
