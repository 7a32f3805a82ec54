"""What `ashore demo` tells of itself while it runs, and in the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ashore.local.court.questions import Question
from ashore.observe.events import Event
from ashore.pipeline.load import LoadOutcome
from ashore.verify.report import VerifyReport

if TYPE_CHECKING:
    from ashore.local.demo_proof import Proof


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
    """So many records of the stream have been committed; the writers have sent so many writes."""

    arrived: int
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """The captured changes are merged, and from now on each change is applied as it comes.

    `merged` changes were captured beside the load. `put_right` items that were rejected have been corrected by the
    application, and the stream has brought that; nothing of the entities that are about to move is rejected any more.
    """

    merged: int
    put_right: int


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


Store = Literal["dynamodb", "postgres"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePoint:
    """PostgreSQL could be restored to this: what it is, and its size in bytes."""

    name: str
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsMoved:
    """Calls that only read go to PostgreSQL now."""

    entities: tuple[str, ...]
    gates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """A rehearsal predicts for how long a cutover will hold the writes."""

    seconds: float
    passed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """The writes are about to move to a store; `gates` are open, by their names."""

    to: Store
    gates: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The writes are in a store now.

    They were held for `held_seconds`, and `longest_seconds` is the longest that a write took meanwhile, as the writers
    see it. `passed` says how it is known that the stream was read past the fence.
    """

    to: Store
    gates: int
    held_seconds: float
    longest_seconds: float
    passed: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        seconds = {name: round(getattr(self, name), 3) for name in ("held_seconds", "longest_seconds")}
        return {**asdict(self), **seconds}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenBack:
    """So many items were put or deleted so far for what was written in PostgreSQL; `waiting` rows wait for it."""

    items: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Proven:
    """The writers have stopped, all has arrived, and both stores were read whole."""

    proof: Proof


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
    | RestorePoint
    | ReadsMoved
    | Rehearsed
    | Moving
    | Moved
    | WrittenBack
    | Proven
    | Answer
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What the demo did; `items` are those of the table in the end, `verified` the verifications in turn.

    `untrue` says, one by one, which numbers do not add up; none should.
    """

    items: int
    outcome: LoadOutcome
    synced: Synced
    rejected: tuple[RejectedLine, ...]
    verified: tuple[VerifyReport, ...]
    rehearsed: Rehearsed
    moves: tuple[Moved, ...]
    proof: Proof
    answers: tuple[Answer, ...]
    untrue: tuple[str, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "items": self.items,
            "load": self.outcome.as_json(),
            "rejected": [asdict(line) for line in self.rejected],
            "synced": asdict(self.synced),
            "verify": [one.as_json() for one in self.verified],
            "rehearsed": {"seconds": round(self.rehearsed.seconds, 3), "passed": self.rehearsed.passed},
            "moves": [one.as_json() for one in self.moves],
            "writes": self.proof.written.as_json(),
            "proof": self.proof.as_json(),
            "answers": [
                {"question": one.question.title, "sql": one.question.sql, "columns": one.columns, "rows": one.rows}
                | {"milliseconds": round(one.milliseconds, 2)}
                for one in self.answers
            ],
            "untrue": list(self.untrue),
            "seconds": round(self.seconds, 2),
        }
