"""The document between an assessment and its renderings: sections of blocks, blocks of phrases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ashore.assess.report.schema import Schema
from ashore.assess.report.shown import shown
from ashore.assess.writing.words import share

Tone = Literal["cross", "stay", "undecided", "stop", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Code:
    """A name, pattern or value as it is in the table or in PostgreSQL."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True, slots=True)
class Link:
    """A name that leads to the section of that `anchor`."""

    text: str
    anchor: str
    kind: ClassVar[str] = "link"


@dataclass(frozen=True, slots=True)
class Bar:
    """A share from 0 to 1, as a bar and in percent."""

    share: float
    kind: ClassVar[str] = "bar"


@dataclass(frozen=True, slots=True)
class Plain:
    """Words of a sentence."""

    text: str
    kind: ClassVar[str] = "plain"


Span = Plain | Code | Link | Bar
Phrase = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph."""

    phrase: Phrase
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bullets:
    """A list, numbered where the order matters."""

    items: tuple[Phrase, ...]
    numbered: bool = False
    kind: ClassVar[str] = "bullets"


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column of a table."""

    label: str
    numeric: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows as long as `heads`; the first cell of a row names it."""

    caption: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Phrase, ...], ...]
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure to be seen at a glance."""

    label: str
    value: Phrase
    note: Phrase


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures beside each other."""

    items: tuple[Figure, ...]
    kind: ClassVar[str] = "figures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callout:
    """A statement that stands out: a title, and paragraphs."""

    tone: Tone
    title: Phrase
    paragraphs: tuple[Phrase, ...]
    kind: ClassVar[str] = "callout"


@dataclass(frozen=True, slots=True)
class Diagram:
    """The tables and how they refer to each other, drawn."""

    schema: Schema
    kind: ClassVar[str] = "diagram"


Block = Paragraph | Bullets | Table | Figures | Callout | Diagram


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A headed part. `anchor` is made of ASCII letters, digits and hyphens, never of names that were read."""

    anchor: str
    title: Phrase
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole report; the first section is its first page."""

    title: Phrase
    subtitle: Phrase
    banner: Callout
    sections: tuple[Section, ...]


def words(*parts: str | Span) -> Phrase:
    """A phrase of words and spans; characters that cannot be seen are made visible."""
    return tuple(Plain(shown(part)) if isinstance(part, str) else part for part in parts)


def plain(phrase: Phrase) -> str:
    """A phrase without its markup, for a title."""
    return "".join(share(span.share) if isinstance(span, Bar) else span.text for span in phrase)


def code(text: str) -> Code:
    """A name or value as a span; characters that cannot be seen are made visible."""
    return Code(shown(text))


def codes(names: tuple[str, ...]) -> Phrase:
    """Names, with commas between them."""
    spans: list[Span] = []
    for name in names:
        spans += [Plain(", "), code(name)] if spans else [code(name)]
    return tuple(spans)


def key_pair(partition: str, sort: str | None) -> Phrase:
    """Both parts of a key, or both patterns."""
    return words(code(partition), *(() if sort is None else (" + ", code(sort))))


def joined_by(comma: str, phrases: list[Phrase]) -> Phrase:
    """Phrases with a comma, or another mark, between them."""
    return tuple(span for place, phrase in enumerate(phrases) for span in (*words(*[comma][: place > 0]), *phrase))


def table(caption: str, heads: tuple[str, ...], rows: list[tuple[Phrase | str | Span, ...]]) -> tuple[Table, ...]:
    """A table, or nothing where there are no rows. A head that ends in ``#`` is of a column of numbers."""
    if not rows:
        return ()
    columns = tuple(Head(head.removesuffix("#"), numeric=head.endswith("#")) for head in heads)
    cells = tuple(tuple(cell if isinstance(cell, tuple) else words(cell) for cell in row) for row in rows)
    return (Table(caption=shown(caption), heads=columns, rows=cells),)
