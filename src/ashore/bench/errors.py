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
