"""What is asked of an index for one document, and what can come of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What becomes of one document: its source as JSON, or None where it is to be deleted."""

    index: str
    id: str = field(repr=False)
    version: int
    source: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """The index has it."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The index holds, or remembers of a deleted document, this version or a higher one."""


@dataclass(frozen=True, slots=True)
class Later:
    """It was not done, or nobody knows whether it was: to be tried again."""

    reason: str
    is_too_large: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The index will never take it as it is. The reason holds no value: the kind of error, and a field's name."""

    reason: str


Outcome = Done | Conflict | Later | Refused
