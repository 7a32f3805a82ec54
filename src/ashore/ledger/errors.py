"""What can go wrong with the ledger and with the work that it keeps account of."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import ClassVar

from ashore.errors import AshoreError


@dataclass(eq=False, kw_only=True)
class LedgerTooNew(AshoreError):
    """The ledger was written by a newer Ashore; nothing was changed."""

    found: int
    known: int

    code: ClassVar[str] = "ASH501"
    exit_code: ClassVar[int] = 3

    def what(self) -> str:
        return f"the schema ashore has version {self.found}; this program knows versions up to {self.known}"

    def hint(self) -> str:
        return "use the newer Ashore that others use on this database"


@dataclass(eq=False, kw_only=True)
class LeaseLost(AshoreError):
    """Another run has taken over this work; nothing of the current chunk was written."""

    unit: str

    code: ClassVar[str] = "ASH502"
    exit_code: ClassVar[int] = 3

    def what(self) -> str:
        return f"another run has taken over {self.unit}; this one wrote nothing more"

    def hint(self) -> str:
        return "leave it to the newer run; `ashore status` shows it"


@dataclass(eq=False, kw_only=True)
class CountMismatch(AshoreError):
    """Counted in is not counted out: a bug of ours. The transaction that found it was rolled back."""

    where: str
    expected: int
    actual: int

    code: ClassVar[str] = "ASH503"
    exit_code: ClassVar[int] = 70

    def what(self) -> str:
        return f"{self.where}: {self.expected} went in, {self.actual} are accounted for"

    def hint(self) -> str:
        return "this is a bug: please report it with the command that you ran"


@dataclass(eq=False, kw_only=True)
class UnitCutShort(AshoreError):
    """A source stopped in the middle of a unit without saying that it ended. What was committed stays."""

    unit: str

    code: ClassVar[str] = "ASH504"
    exit_code: ClassVar[int] = 70

    def what(self) -> str:
        return f"the source stopped before the end of {self.unit}"

    def hint(self) -> str:
        return "run the same command again to go on; if it stops there again, this is a bug: please report it"


@dataclass(eq=False, kw_only=True)
class WorkerEnded(AshoreError):
    """A worker process ended without a word. What it had committed stays."""

    worker: int
    exit_status: int

    code: ClassVar[str] = "ASH505"
    exit_code: ClassVar[int] = 70

    def what(self) -> str:
        if self.exit_status < 0:
            return f"worker {self.worker} was killed by {signal.Signals(-self.exit_status).name}"
        return f"worker {self.worker} ended with status {self.exit_status}; its traceback stands above"

    def hint(self) -> str:
        again = "everything committed stays: run the same command again and it goes on from there"
        if self.exit_status == -signal.SIGKILL:
            return f"{again} (the kernel kills a process when memory runs out: see dmesg, use fewer --workers)"
        return again


@dataclass(eq=False, kw_only=True)
class EarlierRunHoldsOn(AshoreError):
    """A worker of an earlier run is still in the middle of a transaction; nothing was changed."""

    source: str

    code: ClassVar[str] = "ASH506"
    exit_code: ClassVar[int] = 3

    def what(self) -> str:
        return f"a worker of an earlier run of {self.source} has a transaction open that does not end"

    def hint(self) -> str:
        return "find it in pg_stat_activity by its application_name, end it with pg_terminate_backend, and run again"


@dataclass(eq=False, kw_only=True)
class StateMoved(AshoreError):
    """Entities are not in the state that a change of state starts from, or were held for too long. Nothing changed."""

    entities: tuple[str, ...]
    expected: tuple[str, ...]

    code: ClassVar[str] = "ASH507"
    exit_code: ClassVar[int] = 3

    def what(self) -> str:
        return f"{', '.join(self.entities)}: not in state {' or '.join(self.expected)} any more"

    def hint(self) -> str:
        return "somebody else changed it, or the time for which it may be held was over: see `ashore status`"
