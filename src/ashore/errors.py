"""The errors of Ashore: one root, one class per decision that a caller can take.

Every error says what happened and where (`what`) and what to do next (`hint`); both are part of `str(error)`.
Attribute values never appear in an error; keys do only after `ashore.model.item.mask`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(eq=False)
class AshoreError(Exception):
    """The root of every error that Ashore raises on purpose.

    Subclasses are dataclasses whose fields are what a caller may want to read. They can be pickled: they cross
    the border between worker processes.
    """

    code: ClassVar[str] = "ASH000"
    exit_code: ClassVar[int] = 70

    def what(self) -> str:
        """What happened, where, and what was found."""
        return "an error of Ashore itself"

    def hint(self) -> str:
        """What to do about it."""
        return "this is a bug: please report it with the command that you ran"

    def __str__(self) -> str:
        return f"{self.code}: {self.what()}\n  {self.hint()}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), {field.name: getattr(self, field.name) for field in fields(self)})


def _rebuild(cls: type[AshoreError], arguments: dict[str, Any]) -> AshoreError:
    return cls(**arguments)


@dataclass(eq=False, kw_only=True)
class Problem:
    """One thing that is wrong with a project: where it is, what it is and how to put it right."""

    where: str
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n    {self.hint}"


@dataclass(eq=False)
class ProblemsError(AshoreError):
    """Something the user wrote is wrong. All its problems are in one error; nothing was changed."""

    problems: list[Problem]

    code: ClassVar[str] = "ASH100"
    exit_code: ClassVar[int] = 2
    subject: ClassVar[str] = "the project"

    def what(self) -> str:
        count = len(self.problems)
        return f"{self.subject} has {count} problem{'s' if count != 1 else ''}"

    def hint(self) -> str:
        return "\n  ".join(f"- {problem}" for problem in self.problems)


class DeclarationError(ProblemsError):
    """A declaration (`Source`, `Entity`, `Child`, `Copy`) cannot be compiled."""

    code = "ASH110"
    subject = "the declaration"


class SettingsError(ProblemsError):
    """`ashore.toml`, the environment or the flags contradict themselves or lack something."""

    code = "ASH120"
    subject = "the configuration"
