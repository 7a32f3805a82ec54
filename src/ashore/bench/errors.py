"""Why a benchmark has no figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ashore.errors import AshoreError


@dataclass(eq=False, kw_only=True)
class MeasuringProcessEnded(AshoreError):
    """A process of a benchmark ended without its figures; servers and files of the run are taken away."""

    doing: str

    code: ClassVar[str] = "ASH950"

    def what(self) -> str:
        return f"a process of the benchmark ended early, at {self.doing}"

    def hint(self) -> str:
        return "its traceback stands above, unless it was killed: see that memory and disk (--folder) are enough"


@dataclass(eq=False, kw_only=True)
class RowsNotSeen(AshoreError):
    """A benchmark wrote items whose rows never came."""

    seen: int
    written: int
    seconds: float

    code: ClassVar[str] = "ASH815"

    def what(self) -> str:
        return f"of {self.written:,} items, the rows of {self.seen:,} came, and no other within {self.seconds:g} s"

    def hint(self) -> str:
        return "if the worker's traceback stands above, it says why; else this is a bug of ours: please report it"


@dataclass(eq=False, kw_only=True)
class DynamoDBRefuses(AshoreError):
    """A benchmark could not work with the DynamoDB that it was pointed at."""

    where: str
    operation: str
    reason: str

    code: ClassVar[str] = "ASH951"
    exit_code = 2

    def what(self) -> str:
        return f"DynamoDB ({self.where}) refused {self.operation}: {self.reason}"

    def hint(self) -> str:
        return (
            "see that the endpoint, the region and the credentials are right, and that these may create, fill, query"
            " and delete a table whose name begins with ashore-bench-"
        )
