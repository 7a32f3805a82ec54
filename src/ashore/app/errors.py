"""Why a call was not let through. Whoever gets one of these has written nothing with the call that it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ashore.errors import AshoreError


class RoutesError(AshoreError):
    """A call of the application was not let through."""

    code = "ASH880"
    exit_code = 3


@dataclass(eq=False, kw_only=True)
class EntityNotRouted(RoutesError):
    """The ledger does not know the entity, so nobody can say where its calls go."""

    source: str
    entity: str

    code: ClassVar[str] = "ASH881"

    def what(self) -> str:
        return f"the ledger knows no entity {self.entity} of {self.source}, so nobody can say where its calls go"

    def hint(self) -> str:
        return "`ashore status` lists the entities; spell it as it was declared, and load it before it is asked for"


@dataclass(eq=False, kw_only=True)
class StoresDiffer(RoutesError):
    """Entities that are to be written in one transaction have their writes in different stores."""

    stores: dict[str, str]

    code: ClassVar[str] = "ASH882"

    def what(self) -> str:
        said = ", ".join(f"{entity} in {store}" for entity, store in self.stores.items())
        return f"one transaction cannot write entities that are written in different stores: {said}"

    def hint(self) -> str:
        return "entities of one transaction cross together: move their writes with one command"


@dataclass(eq=False, kw_only=True)
class WritesHeld(RoutesError):
    """Writes were held for longer than the caller would wait; nothing was written."""

    entities: tuple[str, ...]
    waited_seconds: float

    code: ClassVar[str] = "ASH883"

    def what(self) -> str:
        return f"writes of {', '.join(self.entities)} are held, and were for the {self.waited_seconds:.1f} s of waiting"

    def hint(self) -> str:
        return "nothing was written: try again; a hold ends by itself once its time is over"


@dataclass(eq=False, kw_only=True)
class RoutesVoid(RoutesError):
    """What the ledger told last is no longer valid, and it did not answer while the caller waited."""

    source: str
    waited_seconds: float
    reason: str | None

    code: ClassVar[str] = "ASH884"

    def what(self) -> str:
        reason = f": {self.reason}" if self.reason else ""
        return (
            f"the ledger gave no valid answer for {self.source} during {self.waited_seconds:.1f} s of waiting{reason}"
        )

    def hint(self) -> str:
        return "nothing was written: PostgreSQL has to be reachable, and the role has to be granted ashore.routes"


@dataclass(eq=False, kw_only=True)
class PermitTooShort(RoutesError):
    """A write to DynamoDB could still be under way when the permit ends; it was not started."""

    needed_seconds: float
    left_seconds: float

    code: ClassVar[str] = "ASH885"

    def what(self) -> str:
        left = max(0.0, self.left_seconds)
        return f"a write to DynamoDB may take {self.needed_seconds:.2f} s, and the permit ends in {left:.2f} s"

    def hint(self) -> str:
        return "this request was not sent: ask for a new permit, with a write_seconds that all of its writes fit into"


@dataclass(eq=False, kw_only=True)
class WriteTooLong(RoutesError):
    """Writes to DynamoDB may take longer than any answer of the ledger is valid, so none could ever be started."""

    write_seconds: float
    validity_seconds: float

    code: ClassVar[str] = "ASH886"

    def what(self) -> str:
        return (
            f"a write may take {self.write_seconds:g} s, and what the ledger says is valid for"
            f" {self.validity_seconds:g} s"
        )

    def hint(self) -> str:
        return "lower write_seconds (and the client's timeouts with it), or have the ledger's validity set higher"
