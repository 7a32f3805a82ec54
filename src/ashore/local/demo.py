"""The main job from end to end on this machine: a court's table crosses while it is written to, and is proved equal."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ashore.app import Routes
from ashore.config.settings import load_settings
from ashore.ledger import crossing, outbox
from ashore.ledger.schema import ensure_ledger
from ashore.local import demo_moves
from ashore.local.background import BackgroundWorker
from ashore.local.court.awkward import expected_rejected
from ashore.local.court.items import court_items
from ashore.local.court.questions import Question, questions
from ashore.local.demo_events import (
    Answer,
    DemoEvent,
    DemoReport,
    Loaded,
    Loading,
    Moved,
    Proven,
    RejectedLine,
    RejectsFound,
    Serving,
    Synced,
    Syncing,
    Verified,
    Verifying,
    WritersBegin,
    WrittenBack,
)
from ashore.local.demo_moves import ENTITIES, HOLD_SECONDS, Moves
from ashore.local.demo_proof import Proof, prove
from ashore.local.demo_table import fill, nothing_but, put_right, switch_recovery_on, table_name
from ashore.local.dynamodb import LocalAws, moto_server
from ashore.local.postgres import LocalPostgres, embedded_postgres
from ashore.local.traffic import WRITE_SECONDS, Application, Writers, application_client
from ashore.mapping.plan import Plan
from ashore.mapping.reasons import explanations
from ashore.model.item import Item
from ashore.pipeline.load import LoadOutcome, load, tables_of
from ashore.pipeline.project import Project, open_project
from ashore.pipeline.sync import sync_order, table_source, write_back
from ashore.pipeline.verify import verify
from ashore.postgres.connect import Conn, connect
from ashore.sync.order import SyncLimits
from ashore.sync.start import ensure_stream
from ashore.verify.report import VerifyReport

declarations: Final = "ashore.local.court.declaration:court"
some_cases: Final = 120
some_seed: Final = 7
_WRITING_SECONDS: Final = 2.0
"""How long the writers go on between two steps, so that there is something to bring over."""
_LIMITS: Final = SyncLimits(tend_seconds=0.2, poll_seconds=0.2, margin_seconds=1.0, empty_reads=3)
"""There is one clock here, so the margin between clocks may be small."""
_VERIFICATIONS: Final = 3
"""How often a verification is made that found keys which kept changing."""

_REJECTED = """
    SELECT entity, reason, attribute, min(detail), count(*) FROM ashore.rejected_item
    GROUP BY entity, reason, attribute ORDER BY entity NULLS LAST, reason
"""
_STILL_REJECTED = "SELECT count(*) FROM ashore.rejected_item WHERE entity = ANY(%s)"


def run_demo(
    emit: Callable[[DemoEvent], None],
    *,
    cases: int = some_cases,
    seed: int = some_seed,
    before_end: Callable[[], None] = lambda: None,
) -> DemoReport:
    """Start PostgreSQL and DynamoDB on this machine, fill a table, and take it across while it is written to: load,
    sync, verify, cut over, roll back, cut over again. Then prove both stores equal, and ask three questions.

    All is done as by `ashore load --sync`, `sync run`, `verify`, `cutover` and `rollback`, and no gate is passed by.
    The writers ask `ashore.app`, as an application would. Nothing is left behind: neither servers nor files. The
    court's items depend on `cases` and `seed` alone.

    Args:
        emit: Hears of each step as it happens.
        cases: How large the court is, at least 10; an emulator of DynamoDB gives some hundreds of items a second.
        seed: Of the court's items.
        before_end: Called while the servers still run.

    Raises:
        LocalServerError: A server cannot be used on this machine.
        AshoreError: As of the load, the verification and the cutover.
    """
    began = time.monotonic()
    with (
        embedded_postgres() as postgres,
        moto_server() as aws,
        nothing_but(aws),
        tempfile.TemporaryDirectory(prefix="ashore-demo-") as folder,
        connect(postgres.dsn, application_name="ashore demo", autocommit=True) as conn,
    ):
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
        flags = {
            "declarations": declarations,
            "postgres": postgres.dsn,
            "table": table_name,
            "region": aws.region,
            "endpoint_url": aws.endpoint_url,
            "markers": True,
        }
        project = open_project(load_settings(Path(folder), environment=None, flags=flags, environ={}))
        demo = _Demo(postgres=postgres, aws=aws, conn=conn, project=project, items=items, emit=emit)
        report = demo.run(seed, began)
        before_end()
        return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Demo:
    postgres: LocalPostgres
    aws: LocalAws
    conn: Conn
    project: Project
    items: Sequence[Item]
    emit: Callable[[DemoEvent], None]

    def run(self, seed: int, began: float) -> DemoReport:
        """Everything from the empty table to the answers."""
        conn, plan = self.conn, self.project.plan
        order = sync_order(self.project, limits=_LIMITS)
        self._begin(order.plan)
        fill(self.aws.client("dynamodb"), self.items, self.emit)
        switch_recovery_on(self.aws.client("dynamodb"))
        names = {name: [str(one) for one in tables_of(conn, entity).values()] for name, entity in plan.entities.items()}
        ensure_stream(conn, plan, order.source, names)
        with BackgroundWorker(order, write_back(self.project)) as worker, self._writing(seed) as writers:
            self.emit(WritersBegin(writers.a_second))
            outcome = load(
                plan=plan,
                reference=self.project.reference,
                source=table_source(self.project),
                dsn=self.project.dsn,
                workers=1,
                is_captured=True,
                emit=lambda event: self.emit(Loading(event)),
            )
            demo_moves.let_role_write(conn)
            self.emit(Loaded(outcome))
            rejected = self._rejected()
            synced, fewer = self._sync(worker, writers)
            verified = [self._verify()]
            with demo_moves.backed_up(self.postgres) as restore_point:
                self.emit(restore_point)
                moves = Moves(project=self.project, restore_point=restore_point, writers=writers, emit=self.emit)
                moves.reads()
                rehearsed = moves.rehearse()
                moved = [moves.writes()]
                self._write_in_postgres(worker, writers)
                moved.append(moves.back())
                self._write_on(worker, writers)
                verified.append(self._verify())
                moved.append(moves.writes())
                self._write_in_postgres(worker, writers)
            proof = self._prove(worker, writers)
        answers = tuple(self._ask(question) for question in questions)
        return DemoReport(
            items=proof.items,
            outcome=outcome,
            synced=synced,
            rejected=rejected,
            verified=tuple(verified),
            rehearsed=rehearsed,
            moves=tuple(moved),
            proof=proof,
            answers=answers,
            untrue=tuple(untrue(len(self.items) - fewer, outcome, rejected, verified, moved, proof)),
            seconds=time.monotonic() - began,
        )

    def _begin(self, plan: Plan) -> None:
        """A ledger, what applications may act on for how long, and a role for the application."""
        ensure_ledger(self.conn)
        crossing.set_validity(self.conn, plan.name, round(demo_moves.VALIDITY_SECONDS * 1000))
        demo_moves.make_role(self.conn)

    @contextmanager
    def _writing(self, seed: int) -> Iterator[Writers]:
        dsn = self.postgres.dsn_of("postgres", user=demo_moves.ROLE)
        good = self.items[: -sum(expected_rejected.values())]  # the awkward ones are the last
        with Routes(self.project.plan.name, dsn, write_seconds=WRITE_SECONDS, hold_seconds=HOLD_SECONDS) as routes:
            writers = Writers(
                Application(routes=routes, client=application_client, table=table_name, dsn=dsn), good, seed=seed
            )
            writers.start()
            try:
                yield writers
            finally:
                writers.end()

    def _rejected(self) -> tuple[RejectedLine, ...]:
        lines = tuple(
            RejectedLine(
                entity=entity,
                reason=reason,
                attribute=attribute,
                detail=detail or explanations.get(reason, ""),
                items=items,
            )
            for entity, reason, attribute, detail, items in self.conn.execute(_REJECTED)
        )
        self.emit(RejectsFound(lines))
        return lines

    def _sync(self, worker: BackgroundWorker, writers: Writers) -> tuple[Synced, int]:
        """Merge what was captured; let the application put right what was rejected of the entities that will move."""

        def tell(arrived: int) -> None:
            self.emit(Syncing(arrived=arrived, sent=max(arrived, writers.sent)))

        def nothing_is_rejected() -> bool:
            row = self.conn.execute(_STILL_REJECTED, (list(ENTITIES),)).fetchone()
            return row == (0,)

        worker.wait_until_syncing(self.conn, meanwhile=tell)
        awkward = self.items[-sum(expected_rejected.values()) :]
        corrected, fewer = put_right(self.aws.client("dynamodb"), awkward)
        worker.wait_for(self.conn, nothing_is_rejected, meanwhile=tell)
        synced = Synced(merged=worker.merged, put_right=corrected)
        self.emit(synced)
        return synced, fewer

    def _verify(self) -> VerifyReport:
        """As `ashore verify`, while the writers write."""
        for left in reversed(range(_VERIFICATIONS)):
            report = verify(
                plan=self.project.plan,
                reference=self.project.reference,
                source=table_source(self.project),
                dsn=self.project.dsn,
                workers=1,
                emit=lambda event: self.emit(Verifying(event)),
            )
            if not report.undecided or not left:
                self.emit(Verified(report))
                return report
        raise AssertionError(_VERIFICATIONS)

    def _write_on(self, worker: BackgroundWorker, writers: Writers) -> None:
        """Let the writers write for a while where the writes are now."""

        def tell(arrived: int) -> None:
            self.emit(Syncing(arrived=arrived, sent=max(arrived, writers.sent)))

        worker.wait(self.conn, _WRITING_SECONDS, meanwhile=tell)

    def _write_in_postgres(self, worker: BackgroundWorker, writers: Writers) -> None:
        """The same while the writes are in PostgreSQL: the worker brings them back."""
        self._write_on(worker, writers)
        standing = outbox.standing(self.conn, self.project.plan.name)
        self.emit(WrittenBack(items=standing.written + standing.removed, waiting=standing.entries))

    def _prove(self, worker: BackgroundWorker, writers: Writers) -> Proof:
        written = writers.stop()
        name = self.project.plan.name
        moment = time.time()
        worker.wait_for(self.conn, lambda: not outbox.standing(self.conn, name).entries, meanwhile=lambda _: None)
        worker.wait_until_caught_up(self.conn, moment, meanwhile=lambda _: None)
        proof = prove(self.conn, self.aws.client("dynamodb"), self.project.plan, written)
        self.emit(Proven(proof))
        return proof

    def _ask(self, question: Question) -> Answer:
        began = time.perf_counter()
        cursor = self.conn.execute(question.sql)
        rows = cursor.fetchall()
        milliseconds = (time.perf_counter() - began) * 1000
        answer = Answer(
            question=question,
            columns=tuple(column.name for column in cursor.description or ()),
            rows=tuple(tuple(_text(value) for value in row) for row in rows),
            milliseconds=milliseconds,
        )
        self.emit(answer)
        return answer


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def untrue(
    items: int,
    outcome: LoadOutcome,
    rejected: Sequence[RejectedLine],
    verified: Sequence[VerifyReport],
    moved: Sequence[Moved],
    proof: Proof,
) -> Iterator[str]:
    """Which numbers do not add up, in words. `items` were in the table before the writers changed their number."""
    counted = sum(count.items for count in outcome.report.counts)
    kept: dict[tuple[str | None, str], int] = {}
    for line in rejected:
        kept[line.entity, line.reason] = kept.get((line.entity, line.reason), 0) + line.items
    written = proof.written
    claims: dict[str, tuple[object, object]] = {
        "items counted by the load": (outcome.report.items, counted),
        "rejected items, by entity and reason": (dict(expected_rejected), kept),
        "findings of the load": (0, len(outcome.report.findings)),
        "differences that the verifications found": ([0] * len(verified), [one.total_differences for one in verified]),
        "keys that kept changing": ([0] * len(verified), [one.undecided for one in verified]),
        "where the writes moved": (["postgres", "dynamodb", "postgres"], [one.to for one in moved]),
        "kinds of writes": ({"put", "update", "delete"}, {kind for kind, number in written.kinds.items() if number}),
        "stores that took writes": ({"dynamodb", "postgres"}, {one.store for one in written.times}),
        "readings of a writer's own last write that found another": (0, written.stale),
        "items in the table": (items + written.items, proof.items),
        "differences between DynamoDB and PostgreSQL": (0, proof.differences),
    }
    for store, found in (("PostgreSQL", proof.in_postgres), ("DynamoDB", proof.in_dynamodb)):
        claims |= {
            f"writes found in {store}": (written.sent, found.writes),
            f"records in {store} that bear their last write": (len(written.standing), found.records),
            f"records in {store} that bear another": (0, found.strange),
        }
    for what, (expected, actual) in claims.items():
        if expected != actual:
            yield f"{what}: expected {expected}, found {actual}"
