"""The main job from end to end on this machine: a court's table crosses while it is written to, and is proved equal."""

from __future__ import annotations

import base64
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ashore.dynamodb.scan import TableSource
from ashore.ledger.schema import ensure_ledger
from ashore.local.background import BackgroundWorker, records_committed
from ashore.local.court.awkward import expected_rejected
from ashore.local.court.items import court_items
from ashore.local.court.questions import Question, questions
from ashore.local.demo_events import (
    Answer,
    DemoEvent,
    DemoReport,
    Filled,
    Filling,
    Loaded,
    Loading,
    RejectedLine,
    RejectsFound,
    Serving,
    Synced,
    Syncing,
    Verified,
    Verifying,
    WritersBegin,
)
from ashore.local.dynamodb import LocalAws, moto_server
from ashore.local.postgres import embedded_postgres
from ashore.local.traffic import WRITES_A_SECOND, Writers, numbers_in_rows
from ashore.mapping.declared import PlanReference, load_plan
from ashore.mapping.plan import Plan
from ashore.mapping.reasons import explanations
from ashore.model.attribute import TypedValue
from ashore.model.item import Item
from ashore.pipeline.load import LoadOutcome, load, tables_of
from ashore.pipeline.sync import stream_source
from ashore.pipeline.verify import verify
from ashore.postgres.connect import Conn, connect
from ashore.sync.order import SyncLimits, SyncOrder
from ashore.sync.start import ensure_stream
from ashore.verify.report import VerifyReport

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

reference: Final = PlanReference(declarations="ashore.local.court.declaration:court")
table_name: Final = "court"
some_cases: Final = 210
some_seed: Final = 7
_WRITING_SECONDS: Final = 2.0
"""How long the writers go on after the load was merged: what they write then is applied as it comes."""
_ARRIVAL_SECONDS: Final = 30.0
"""A write that has not arrived by then is lost, and told as such."""
_LIMITS: Final = SyncLimits(tend_seconds=0.2, poll_seconds=0.2, margin_seconds=1.0, empty_reads=3)
"""There is one clock here, so the margin between clocks may be small."""
_put_at_once: Final = 25
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html"""

_REJECTED = """
    SELECT entity, reason, attribute, min(detail), count(*) FROM ashore.rejected_item
    GROUP BY entity, reason, attribute ORDER BY entity NULLS LAST, reason
"""


def run_demo(
    emit: Callable[[DemoEvent], None],
    *,
    cases: int = some_cases,
    seed: int = some_seed,
    before_end: Callable[[], None] = lambda: None,
) -> DemoReport:
    """Start PostgreSQL and DynamoDB on this machine, fill a table, load and sync it while it is written to, verify it,
    and ask three questions.

    All is done as by `ashore load --sync`, `ashore sync run` and `ashore verify`. Nothing is left behind: neither
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
        order = SyncOrder(
            dsn=postgres.dsn, plan=plan, source=stream_source(source), fetch=source.get_items, limits=_LIMITS
        )
        good = items[: -sum(expected_rejected.values())]  # the awkward ones are the last
        writers = Writers(aws.client("dynamodb"), table_name, good, count=len(items), seed=seed)
        with connect(postgres.dsn, application_name="ashore demo", autocommit=True) as conn:
            _begin(conn, plan, order)
            with BackgroundWorker(order) as worker, _stopped(writers):
                writers.start()
                emit(WritersBegin(WRITES_A_SECOND))
                outcome = load(
                    plan=plan,
                    reference=reference,
                    source=source,
                    dsn=postgres.dsn,
                    workers=1,
                    is_captured=True,
                    emit=lambda event: emit(Loading(event)),
                )
                emit(Loaded(outcome))
                rejected = _rejected(conn)
                emit(RejectsFound(rejected))
                synced = _sync(conn, worker, writers, emit)
                emit(synced)
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
            items=synced.written.items,
            outcome=outcome,
            synced=synced,
            rejected=rejected,
            verified=verified,
            answers=tuple(answers),
            untrue=tuple(_untrue(synced, outcome, rejected, verified)),
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


@contextmanager
def _stopped(writers: Writers) -> Iterator[None]:
    try:
        yield
    finally:
        if writers.is_alive():
            writers.stop()


def _begin(conn: Conn, plan: Plan, order: SyncOrder) -> None:
    """Every shard is in the ledger before the first write and before the load."""
    ensure_ledger(conn)
    names = {name: [str(table) for table in tables_of(conn, one).values()] for name, one in plan.entities.items()}
    ensure_stream(conn, plan, order.source, names)


def _sync(conn: Conn, worker: BackgroundWorker, writers: Writers, emit: Callable[[DemoEvent], None]) -> Synced:
    def tell(arrived: int) -> None:
        emit(Syncing(arrived=arrived, sent=max(arrived, writers.sent)))

    worker.wait_until_syncing(conn, meanwhile=tell)
    worker.wait(conn, _WRITING_SECONDS, meanwhile=tell)
    written = writers.stop()
    ended_at = time.time()
    while records_committed(conn, worker.source) < written.sent and time.time() < ended_at + _ARRIVAL_SECONDS:
        time.sleep(0.01)
    seconds = time.time() - ended_at
    worker.wait_until_caught_up(conn, ended_at, meanwhile=tell)
    numbers = Counter(numbers_in_rows(conn))
    found = sum(numbers[number] == 1 for number in written.standing)
    return Synced(
        written=written,
        records=records_committed(conn, worker.source),
        merged=worker.merged,
        found=found,
        strange=numbers.total() - found,
        seconds=seconds,
    )


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
    client.update_table(
        TableName=table_name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    )
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
    synced: Synced, outcome: LoadOutcome, rejected: Sequence[RejectedLine], verified: VerifyReport
) -> Iterator[str]:  # fmt: skip
    counted = sum(count.items for count in outcome.report.counts)
    kept: dict[tuple[str | None, str], int] = {}
    for line in rejected:
        kept[line.entity, line.reason] = kept.get((line.entity, line.reason), 0) + line.items
    written = synced.written
    claims: Mapping[str, tuple[object, object]] = {
        "items counted by the load": (outcome.report.items, counted),
        "items read by the verification": (written.items, verified.items),
        "rejected items, by entity and reason": (dict(expected_rejected), kept),
        "kinds of writes": ({"put", "update", "delete"}, set(written.kinds)),
        "writes that the stream brought": (written.sent, synced.records),
        "keys whose row bears the number of their last write": (len(written.standing), synced.found),
        "rows that bear a number that is not the last of their key": (0, synced.strange),
        "differences between DynamoDB and PostgreSQL": (0, verified.total_differences),
        "keys that kept changing": (0, verified.undecided),
        "findings of the load": (0, len(outcome.report.findings)),
    }
    for what, (expected, actual) in claims.items():
        if expected != actual:
            yield f"{what}: expected {expected}, found {actual}"
