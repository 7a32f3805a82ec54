"""What keeps a verification from being made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ashore.errors import AshoreError


@dataclass(eq=False)
class VerificationStopped(AshoreError):
    """A verification was told to end before it had come to its end. Nothing is concluded, and nothing left behind."""

    code = "ASH835"
    exit_code = 1

    def what(self) -> str:
        """What happened."""
        return "the verification was ended before it had come to its end: nothing is concluded"

    def hint(self) -> str:
        """What to do."""
        return "run it again"


@dataclass(eq=False, kw_only=True)
class NothingToVerifyError(AshoreError):
    """Some entities have no rows that a verification could speak of. Nothing was read."""

    source: str
    states: Mapping[str, str]

    code = "ASH610"
    exit_code = 3

    def what(self) -> str:
        """Which entities, and what they are."""
        listed = ", ".join(f"{name} is {state}" for name, state in self.states.items())
        return f"source {self.source!r} cannot be verified: {listed}"

    def hint(self) -> str:
        """What to do first."""
        return f"finish the load first: ashore load {' '.join(self.states)}"
