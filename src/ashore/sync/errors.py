"""What keeps a sync from running, or stops it. Nothing was skipped by any of them."""

from __future__ import annotations

from dataclasses import dataclass

from ashore.errors import AshoreError


class SyncError(AshoreError):
    """The root of this module's errors."""

    code = "ASH800"
    exit_code = 3


@dataclass(eq=False, kw_only=True)
class NoStream(SyncError):
    """The table has no stream that can be read, or its records lack the items."""

    table: str
    found: str

    code = "ASH801"

    def what(self) -> str:
        return f"{self.table} {self.found}"

    def hint(self) -> str:
        return (
            "switch the stream on with the view NEW_AND_OLD_IMAGES (NEW_IMAGE will do): aws dynamodb update-table"
            " --table-name … --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
        )


@dataclass(eq=False, kw_only=True)
class StreamReplaced(SyncError):
    """The table's stream is no longer the one that was being read: what happened in between is unknown."""

    source: str
    was: str
    now: str

    code = "ASH802"

    def what(self) -> str:
        return f"the stream of {self.source} was {self.was} and is {self.now} now"

    def hint(self) -> str:
        return (
            "changes between the two were not recorded by either: end this sync with `ashore sync stop`, and load"
            " anew with `ashore load --sync --restart`"
        )


@dataclass(eq=False, kw_only=True)
class RecordsLost(SyncError):
    """Records left the stream before they were read. Nothing after them was applied."""

    source: str
    shard: str
    found: str

    code = "ASH803"

    def what(self) -> str:
        return f"{self.source}: {self.found} (shard {self.shard})"

    def hint(self) -> str:
        return (
            "DynamoDB keeps a stream for 24 hours. `ashore sync run --on-gap repair` goes on from the oldest record"
            " that there is; `ashore sync repair` then repairs what was missed, from exports or from the whole table"
        )


@dataclass(eq=False, kw_only=True)
class GapWhileLoading(SyncError):
    """Records were lost while entities were loading: their load cannot be completed by what was captured."""

    source: str
    entities: tuple[str, ...]

    code = "ASH804"

    def what(self) -> str:
        return f"records were lost while these entities of {self.source} were being loaded: {', '.join(self.entities)}"

    def hint(self) -> str:
        return "load them anew: `ashore load --sync --restart` with their names"


@dataclass(eq=False, kw_only=True)
class NotBegun(SyncError):
    """There is no stream in the ledger for this source."""

    source: str

    code = "ASH805"

    def what(self) -> str:
        return f"nothing of {self.source} is being synced"

    def hint(self) -> str:
        return "begin with `ashore load --sync`, or `ashore sync`"


@dataclass(eq=False, kw_only=True)
class SyncStopped(SyncError):
    """`ashore sync stop` ended it while this worker ran, or before."""

    source: str

    code = "ASH806"

    def what(self) -> str:
        return f"the sync of {self.source} was stopped"

    def hint(self) -> str:
        return "begin anew with `ashore load --sync --restart`"


@dataclass(eq=False, kw_only=True)
class KeyNotAsDeclared(SyncError):
    """A stream record's key lacks an attribute of the declared key, or has another type. Nothing of it was applied."""

    source: str

    code = "ASH807"
    exit_code = 2

    def what(self) -> str:
        return f"the key of a record of {self.source} is not the declared one"

    def hint(self) -> str:
        return "declare the table's key attributes and their types in Source(partition_key=…, sort_key=…)"


@dataclass(eq=False, kw_only=True)
class PendingTooLarge(SyncError):
    """Captured changes take more room than they may. Those that were captured stay."""

    found_mb: int
    most_mb: int

    code = "ASH808"

    def what(self) -> str:
        return f"ashore.pending_change takes {self.found_mb:,} MB, and may take {self.most_mb:,} MB"

    def hint(self) -> str:
        return (
            "end the load with `ashore sync stop`, and load from an export, which is quicker, or entity by entity:"
            " less is captured beside a shorter load"
        )


@dataclass(eq=False, kw_only=True)
class OtherTable(SyncError):
    """The settings name another table than the one whose stream is being read. Nothing was changed."""

    source: str

    code = "ASH809"

    def what(self) -> str:
        return f"the stream that is read for {self.source} is another table's than the settings name"

    def hint(self) -> str:
        return "name the table that the sync was begun with, or end that one with `ashore sync stop`"


@dataclass(eq=False, kw_only=True)
class SyncPaused(SyncError):
    """Nothing can arrive, since all workers wait."""

    source: str

    code = "ASH810"

    def what(self) -> str:
        return f"the sync of {self.source} is paused"

    def hint(self) -> str:
        return "let it go on with `ashore sync resume`"


@dataclass(eq=False, kw_only=True)
class ClocksDiffer(SyncError):
    """This machine's clock and PostgreSQL's are too far apart to say what a shard has passed. Nothing was read."""

    seconds: float
    margin: float

    code = "ASH811"

    def what(self) -> str:
        is_ahead = "ahead of" if self.seconds > 0 else "behind"
        return (
            f"this machine's clock is {abs(self.seconds):.1f} s {is_ahead} PostgreSQL's, and may be {self.margin:.1f} s"
        )

    def hint(self) -> str:
        return "set both by NTP, and start the worker again: what it has committed stays"


@dataclass(eq=False, kw_only=True)
class GapNotCovered(SyncError):
    """Exports do not cover a gap from its beginning to its end. Nothing was read of them, and nothing queued."""

    source: str
    missing: tuple[str, ...]

    code = "ASH830"

    def what(self) -> str:
        return f"the exports do not cover what {self.source} missed: {'; '.join(self.missing)}"

    def hint(self) -> str:
        return "export these windows too, and name all exports at once; `ashore sync repair` prints how"


@dataclass(eq=False, kw_only=True)
class GapWithoutBeginning(SyncError):
    """Nobody knows since when records are missing, so that no export can be shown to cover it. Nothing was queued."""

    source: str
    gaps: tuple[int, ...]

    code = "ASH831"

    def what(self) -> str:
        listed = ", ".join(str(gap) for gap in self.gaps)
        return f"nobody knows since when records of {self.source} are missing (gap {listed})"

    def hint(self) -> str:
        return "`ashore sync repair --scan` reads the whole table"


@dataclass(eq=False, kw_only=True)
class GapStillGrows(SyncError):
    """The worker stopped at a gap, which grows until its shard is read on. Nothing was queued."""

    source: str
    gaps: tuple[int, ...]

    code = "ASH832"

    def what(self) -> str:
        listed = ", ".join(str(gap) for gap in self.gaps)
        return f"the workers of {self.source} stopped at a gap, which grows until they go on (gap {listed})"

    def hint(self) -> str:
        return "let them go on with `ashore sync run --on-gap repair`, and repair then"


@dataclass(eq=False, kw_only=True)
class ExportOfOtherTable(SyncError):
    """An export is of another table than the one whose stream is read, or of an earlier one of that name."""

    source: str
    export: str

    code = "ASH833"

    def what(self) -> str:
        return f"{self.export} is not of the table whose stream is read for {self.source}"

    def hint(self) -> str:
        return "name incremental exports of that table"


@dataclass(eq=False, kw_only=True)
class StillCrossing(SyncError):
    """A sync is to end while its workers write back what PostgreSQL is given. Nothing was changed."""

    source: str
    entities: tuple[str, ...]

    code = "ASH812"

    def what(self) -> str:
        return f"the sync of {self.source} writes back {', '.join(self.entities)}, or is about to"

    def hint(self) -> str:
        return "take them back with `ashore rollback`, or close the way back with `ashore retire`"
