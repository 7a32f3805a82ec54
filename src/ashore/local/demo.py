"""The main job from end to end on this machine: a court's table in DynamoDB, loaded, verified, questioned."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ashore.dynamodb.scan import TableSource
from ashore.local.court.awkward import expected_rejected
from ashore.local.court.items import court_items
from ashore.local.court.questions import Question, questions
from ashore.local.dynamodb import LocalAws, moto_server
from ashore.local.postgres import embedded_postgres
from ashore.mapping.declared import PlanReference, load_plan
from ashore.mapping.reasons import explanations
from ashore.model.attribute import TypedValue
from ashore.model.item import Item
from ashore.observe.events import Event
from ashore.pipeline.load import LoadOutcome, load
from ashore.pipeline.verify import verify
from ashore.postgres.connect import Conn, connect
from ashore.verify.report import VerifyReport

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

reference: Final = PlanReference(declarations="ashore.local.court.declaration:court")
table_name: Final = "court"
some_cases: Final = 210
some_seed: Final = 7
_put_at_once: Final = 25
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html"""

_REJECTED = """
    SELECT entity, reason, attribute, min(detail), count(*) FROM ashore.rejected_item
    GROUP BY entity, reason, attribute ORDER BY entity NULLS LAST, reason
"""


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


DemoEvent = Serving | Filling | Filled | Loading | Loaded | RejectsFound | Verifying | Verified | Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What the demo did. `untrue` says, one by one, which numbers do not add up; none should."""

    items: int
    outcome: LoadOutcome
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
            "verify": self.verified.as_json(),
            "answers": [
                {"question": one.question.title, "sql": one.question.sql, "columns": one.columns, "rows": one.rows}
                | {"milliseconds": round(one.milliseconds, 2)}
                for one in self.answers
            ],
            "untrue": list(self.untrue),
            "seconds": round(self.seconds, 2),
        }


def run_demo(
    emit: Callable[[DemoEvent], None],
    *,
    cases: int = some_cases,
    seed: int = some_seed,
    before_end: Callable[[], None] = lambda: None,
) -> DemoReport:
    """Start PostgreSQL and DynamoDB on this machine, fill a table, load it, verify it, and ask three questions.

    The load and the verification are those of `ashore load` and `ashore verify`. Nothing is left behind: neither
    servers nor files. The court's items depend on `cases` and `seed` alone.

    Args:
        emit: Hears of each step as it happens.
        cases: How large the court is, at least 10; an emulator of DynamoDB gives some hundreds of items a second.
        seed: Of the court's items.
        before_end: Called while the servers still run.

    Raises:
        LocalServerError: A server cannot be used on this machine.
        AshoreError: As of the load and the verification.
    """
    began = time.monotonic()
    plan = load_plan(reference)
    with embedded_postgres() as postgres, moto_server() as aws, _nothing_but(aws):
        emit(
            Serving(
                postgres=postgres.version,
                dynamodb=aws.name,
                dsn=postgres.dsn,
                psql=postgres.bin_dir / "psql",
                seconds=time.monotonic() - began,
            )
        )
        items = list(court_items(cases, seed))
        _fill(aws.client("dynamodb"), items, emit)
        source = TableSource(table=table_name, region=aws.region, endpoint_url=aws.endpoint_url)
        outcome = load(
            plan=plan,
            reference=reference,
            source=source,
            dsn=postgres.dsn,
            workers=1,
            emit=lambda event: emit(Loading(event)),
        )
        emit(Loaded(outcome))
        with connect(postgres.dsn, application_name="ashore demo", autocommit=True) as conn:
            rejected = _rejected(conn)
            emit(RejectsFound(rejected))
            verified = verify(
                plan=plan,
                reference=reference,
                source=source,
                dsn=postgres.dsn,
                workers=1,
                witness_all=True,
                emit=lambda event: emit(Verifying(event)),
            )
            emit(Verified(verified))
            answers = []
            for question in questions:
                answers.append(_ask(conn, question))
                emit(answers[-1])
        report = DemoReport(
            items=len(items),
            outcome=outcome,
            rejected=rejected,
            verified=verified,
            answers=tuple(answers),
            untrue=tuple(_untrue(len(items), outcome, rejected, verified)),
            seconds=time.monotonic() - began,
        )
        before_end()
        return report


@contextmanager
def _nothing_but(aws: LocalAws) -> Iterator[None]:
    """Point AWS's settings of this process, and of those that it starts, at the local server and nothing else."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        **aws.environment,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _fill(client: DynamoDBClient, items: Sequence[Item], emit: Callable[[DemoEvent], None]) -> None:
    began = time.monotonic()
    client.create_table(
        TableName=table_name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    for start in range(0, len(items), _put_at_once):
        batch = items[start : start + _put_at_once]
        client.batch_write_item(
            RequestItems={table_name: [{"PutRequest": {"Item": _for_boto3({"M": item})["M"]}} for item in batch]}
        )
        emit(Filling(items=start + len(batch), of=len(items)))
    emit(Filled(table=table_name, items=len(items), seconds=time.monotonic() - began))


def _for_boto3(value: TypedValue) -> dict[str, Any]:
    """A typed value as boto3 takes it: binary as bytes, not as the base64 that is on the wire."""
    for kind, content in value.items():
        match kind:
            case "B":
                return {kind: base64.b64decode(content)}
            case "BS":
                return {kind: [base64.b64decode(member) for member in content]}
            case "M":
                return {kind: {name: _for_boto3(member) for name, member in content.items()}}
            case "L":
                return {kind: [_for_boto3(member) for member in content]}
    return dict(value)


def _rejected(conn: Conn) -> tuple[RejectedLine, ...]:
    return tuple(
        RejectedLine(
            entity=entity,
            reason=reason,
            attribute=attribute,
            detail=detail or explanations.get(reason, ""),
            items=items,
        )
        for entity, reason, attribute, detail, items in conn.execute(_REJECTED)
    )


def _ask(conn: Conn, question: Question) -> Answer:
    began = time.perf_counter()
    cursor = conn.execute(question.sql)
    rows = cursor.fetchall()
    milliseconds = (time.perf_counter() - began) * 1000
    return Answer(
        question=question,
        columns=tuple(column.name for column in cursor.description or ()),
        rows=tuple(tuple(_text(value) for value in row) for row in rows),
        milliseconds=milliseconds,
    )


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _untrue(
    items: int, outcome: LoadOutcome, rejected: Sequence[RejectedLine], verified: VerifyReport
) -> Iterator[str]:  # fmt: skip
    counted = sum(count.items for count in outcome.report.counts)
    kept: dict[tuple[str | None, str], int] = {}
    for line in rejected:
        kept[line.entity, line.reason] = kept.get((line.entity, line.reason), 0) + line.items
    claims: Mapping[str, tuple[object, object]] = {
        "items read by the load": (items, outcome.report.items),
        "items counted by the load": (items, counted),
        "items read by the verification": (items, verified.items),
        "rejected items, by entity and reason": (dict(expected_rejected), kept),
        "differences between DynamoDB and PostgreSQL": (0, verified.total_differences),
        "keys that kept changing": (0, verified.undecided),
        "findings of the load": (0, len(outcome.report.findings)),
    }
    for what, (expected, actual) in claims.items():
        if expected != actual:
            yield f"{what}: expected {expected}, found {actual}"
