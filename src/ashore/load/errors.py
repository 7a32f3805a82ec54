"""Why a load is refused or stops."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from ashore.errors import AshoreError


class LoadError(AshoreError):
    """A load did not begin, or stopped; it can be resumed unless the error says otherwise."""

    code = "ASH600"
    exit_code = 3


@dataclass(eq=False, kw_only=True)
class LoadInProgress(LoadError):
    """Another process works on the same source; nothing was changed."""

    source: str
    host: str | None
    pid: int | None
    since: datetime | None

    code: ClassVar[str] = "ASH601"

    def what(self) -> str:
        if self.host is None or self.since is None:
            return f"another process works on {self.source}"
        since = f"{self.since:%Y-%m-%d %H:%M:%S %Z}"
        return f"{self.source} is being loaded by process {self.pid} on {self.host} since {since}"

    def hint(self) -> str:
        return "wait for it, or end it: whatever it has committed stays and the next run goes on from there"


@dataclass(eq=False, kw_only=True)
class CannotResume(LoadError):
    """An earlier load of the source is unfinished and is not the one asked for; nothing was changed."""

    source: str
    difference: str

    code: ClassVar[str] = "ASH602"

    def what(self) -> str:
        return f"an unfinished load of {self.source} has {self.difference}"

    def hint(self) -> str:
        return "finish that one as it was started, or discard its rows and begin anew with --restart"


@dataclass(eq=False, kw_only=True)
class TargetHasRows(LoadError):
    """A target holds rows; nothing was changed. `ours` says whether the ledger knows them as loaded by Ashore."""

    table: str
    ours: bool

    code: ClassVar[str] = "ASH603"

    def what(self) -> str:
        origin = "rows of an earlier load" if self.ours else "rows that no load of this source wrote"
        return f"{self.table} holds {origin}"

    def hint(self) -> str:
        if self.ours:
            return "--restart discards them and loads again; `ashore verify` compares them with the source instead"
        return "Ashore never discards them: empty the table yourself if they may go, or declare another table"


@dataclass(eq=False, kw_only=True)
class EntityBeyondLoad(LoadError):
    """An entity has crossed further than a load may touch; nothing was changed."""

    entity: str
    state: str

    code: ClassVar[str] = "ASH604"

    def what(self) -> str:
        return f"entity {self.entity} is in state {self.state}"

    def hint(self) -> str:
        return "only declared, loading and loaded entities can be loaded: walk it back first"


@dataclass(eq=False, kw_only=True)
class UnknownEntity(LoadError):
    """No entity of that name is declared."""

    entity: str
    known: list[str]

    code: ClassVar[str] = "ASH605"
    exit_code: ClassVar[int] = 2

    def what(self) -> str:
        return f"no entity {self.entity!r} is declared"

    def hint(self) -> str:
        return f"declared are: {', '.join(self.known)}"


@dataclass(eq=False, kw_only=True)
class TooManyRejected(LoadError):
    """More items were rejected than allowed. What was committed stays; a run with a higher limit goes on."""

    read: int
    rejected: dict[tuple[str | None, str], int]
    share: float

    code: ClassVar[str] = "ASH606"
    exit_code: ClassVar[int] = 4

    def what(self) -> str:
        total = sum(self.rejected.values())
        return f"{total:,} of {self.read:,} items were rejected, more than {self.share:.3%}" + "".join(
            f"\n    {items:,} {entity or 'of no entity'}: {reason}"
            for (entity, reason), items in sorted(self.rejected.items(), key=lambda one: -one[1])
        )

    def hint(self) -> str:
        return (
            "look at them with `ashore rejects list`; run again with a higher --max-rejected to go on, or correct the"
            " declaration and begin anew with --restart"
        )


@dataclass(eq=False, kw_only=True)
class SourceRepeatsItems(LoadError):
    """The source handed out one and the same item twice: it is not a whole and single reading of a table."""

    table: str
    key: str

    code: ClassVar[str] = "ASH607"

    def what(self) -> str:
        return f"the source gave an item twice: {self.table}, key {self.key}"

    def hint(self) -> str:
        return (
            "a table or an export holds each key once: check that the export is whole and that the server honours"
            " Segment and TotalSegments (some emulators do not), then begin anew with --restart"
        )
