"""What `ashore demo` tells of itself while it runs, and in the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ashore.local.court.questions import Question
from ashore.local.traffic import Written
from ashore.observe.events import Event
from ashore.pipeline.load import LoadOutcome
from ashore.verify.report import VerifyReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Both servers run; `dsn` is PostgreSQL's address."""

    postgres: str
    dynamodb: str
    dsn: str
    psql: Path
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """So many of the items were put."""

    items: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """The table holds all items."""

    table: str
    items: int
    seconds: float


@dataclass(frozen=True, slots=True)
class WritersBegin:
    """An application writes to the table from now on, and a worker captures its stream."""

    a_second: float


@dataclass(frozen=True, slots=True)
class Loading:
    """The load tells something."""

    event: Event


@dataclass(frozen=True, slots=True)
class Loaded:
    """The load is done."""

    outcome: LoadOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedLine:
    """Items that were rejected for one reason, because of one attribute."""

    entity: str | None
    reason: str
    attribute: str | None
    detail: str
    items: int


@dataclass(frozen=True, slots=True)
class RejectsFound:
    """What the load kept aside, and why."""

    lines: tuple[RejectedLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Syncing:
    """So many of the writes so far have arrived."""

    arrived: int
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """All writes have arrived.

    `records` is the ledger's count of the stream's records, `merged` how many of the captured changes were merged.
    `found` of `written.standing` are the numbers that exactly one row bears, and `strange` counts numbers of rows that
    are not the last of their key, or that two rows bear. `seconds` passed from the last write until all had arrived.
    """

    written: Written
    records: int
    merged: int
    found: int
    strange: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        kinds = {f"{kind}s": number for kind, number in sorted(self.written.kinds.items())}
        sent = {"sent": self.written.sent, **kinds, "standing": len(self.written.standing), "gone": self.written.gone}
        return {
            **sent,
            "records": self.records,
            "merged": self.merged,
            "found": self.found,
            "strange": self.strange,
            "seconds": round(self.seconds, 2),
        }


@dataclass(frozen=True, slots=True)
class Verifying:
    """The verification tells something."""

    event: Event


@dataclass(frozen=True, slots=True)
class Verified:
    """The verification is done."""

    report: VerifyReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A question's answer: its columns, its rows as text, and how long PostgreSQL took."""

    question: Question
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    milliseconds: float


DemoEvent = (
    Serving
    | Filling
    | Filled
    | WritersBegin
    | Loading
    | Loaded
    | RejectsFound
    | Syncing
    | Synced
    | Verifying
    | Verified
    | Answer
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What the demo did; `items` are those of the table in the end.

    `untrue` says, one by one, which numbers do not add up; none should.
    """

    items: int
    outcome: LoadOutcome
    synced: Synced
    rejected: tuple[RejectedLine, ...]
    verified: VerifyReport
    answers: tuple[Answer, ...]
    untrue: tuple[str, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "items": self.items,
            "load": self.outcome.as_json(),
            "rejected": [asdict(line) for line in self.rejected],
            "writes": self.synced.as_json(),
            "verify": self.verified.as_json(),
            "answers": [
                {"question": one.question.title, "sql": one.question.sql, "columns": one.columns, "rows": one.rows}
                | {"milliseconds": round(one.milliseconds, 2)}
                for one in self.answers
            ],
            "untrue": list(self.untrue),
            "seconds": round(self.seconds, 2),
        }
