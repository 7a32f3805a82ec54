"""A small world for the tests of sync: all that a declaration can say, a load in steps, and where items belong."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, Self

import psycopg
import sqlalchemy as sa
from tests.streamed_table import MemoryTable

from ashore.ledger import gaps, loads, repairs, units
from ashore.ledger.chunk import ChunkWriter
from ashore.ledger.pending import count_parked
from ashore.ledger.schema import ensure_ledger
from ashore.load.order import LoadOrder, PlannedEncoding, planned_encoding
from ashore.load.run import run_load
from ashore.load.start import start_load
from ashore.mapping.copy_text import whole_item
from ashore.mapping.declare import Child, Copy, Entity, Mirror, Source, carry, maybe, promote, remainder, render
from ashore.mapping.declared import PlanReference
from ashore.mapping.items import from_rows
from ashore.mapping.match import AsCopy, AsRow, key_texts, matcher
from ashore.mapping.names import camel_case
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import to_rows
from ashore.model.change import TRIM_HORIZON
from ashore.model.chunk import Chunk, Estimate, Position, Unit
from ashore.pipeline.load import _AfterRows, _Rebuild, tables_of
from ashore.postgres.connect import Conn, connect
from ashore.postgres.items import RowReader, prepare
from ashore.postgres.names import TableName
from ashore.sync.order import OnGap, SyncLimits, SyncOrder
from ashore.sync.start import ensure_stream
from ashore.sync.worker import Worker

metadata = sa.MetaData(schema="world")


def _key(name: str, *, primary_key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(collation="C"), primary_key=primary_key, nullable=False)


account = sa.Table(
    "account",
    metadata,
    _key("account_id", primary_key=True),
    sa.Column("email", sa.Text),
    sa.Column("balance", sa.Integer),
    *remainder(),
    sa.UniqueConstraint("email", name="account_email"),
    sa.CheckConstraint("balance < 1000", name="account_balance"),
)
note = sa.Table(
    "note",
    metadata,
    _key("note_id", primary_key=True),
    sa.Column("owner_id", sa.Text(collation="C"), sa.ForeignKey(account.c.account_id), nullable=False),
    sa.Column("text", sa.Text),
    *remainder(),
)
line = sa.Table(
    "line",
    metadata,
    sa.Column("note_id", sa.Text(collation="C"), sa.ForeignKey(note.c.note_id), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("words", sa.Text),
    *remainder(),
)
session = sa.Table(
    "session",
    metadata,
    _key("session_id", primary_key=True),
    sa.Column("ttl", sa.BigInteger),
    sa.Column("expired_at", sa.DateTime(timezone=True)),
    *remainder(),
)
task = sa.Table(
    "task",
    metadata,
    _key("task_id", primary_key=True),
    _key("project"),
    sa.Column("title", sa.Text),
    sa.Column("done_by", sa.Text),
    sa.Column("done_at", sa.Text),
    *remainder(),
)
step = sa.Table(
    "step",
    metadata,
    sa.Column("task_id", sa.Text(collation="C"), sa.ForeignKey(task.c.task_id), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("words", sa.Text),
    *remainder(),
)
world = Source("world", names=camel_case)
accounts = Entity(
    account,
    [world.key("account|{account_id}", "account"), world.key("ACCOUNT#{account_id}", "account")],
)
notes = Entity(
    note,
    world.key("owner|{owner_id}", "note|{note_id}"),
    derived={"noteRef": "note|{note_id}", "ownerId": "{owner_id}"},
    children=[Child(table=line, attribute="lines", order=line.c.position)],
    copies=[
        Copy(partition="archive|{year}", sort="{place}", of="noteRef", orphan=promote),
        Copy(partition="bin|{year}", sort="{place}", of="noteRef"),
    ],
)
sessions = Entity(session, world.key("session|{session_id}", "session"), ttl="ttl", expired="apply")
tasks = Entity(
    task,
    world.key("project|{project}", "task|{task_id}"),
    derived={"taskRef": "task|{task_id}", "projectId": "{project}", "headline": maybe("{project}: {title}")},
    children=[Child(table=step, attribute="steps", order=step.c.position)],
    copies=[
        Copy(partition="done|{done_by}", sort="{done_at}", of="taskRef", orphan=promote, rebuild=render),
        Copy(partition="seen|{year}", sort="{place}", of="taskRef", rebuild=carry),
    ],
)
world.leave_out(
    "title|*",
    because="finds a task by its title, which has an index",
    rebuild=Mirror(
        of=tasks,
        partition="title|{title}",
        sort="{task_id}",
        attributes={"task": "task|{task_id}", "doneBy": maybe("{done_by}")},
    ),
)
world.not_yet("setting|*")
plan = world.compile()
reference = PlanReference(declarations="tests.sync_world:world", folder=Path(__file__).parents[1])
Key = tuple[str, str | None]
ENTITIES: Final = tuple(plan.entities)
LIMITS: Final = SyncLimits(
    lease_seconds=0.5,
    list_seconds=0.0,
    tend_seconds=0.0,
    poll_seconds=0.0,
    empty_reads=4,
    margin_seconds=0.0,
    readers=2,
    merge_changes=7,
    repairs_at_once=5,
    marker_writes=200,
    marker_return_seconds=0.0,
    marker_left_seconds=0.0,
)

PROCESS_LIMITS: Final = SyncLimits(
    lease_seconds=0.5, list_seconds=0.5, tend_seconds=0.1, poll_seconds=0.1, empty_reads=3, margin_seconds=0.2
)
"""Of workers in processes of their own, which tests kill."""


def random_item(random: Random) -> dict[str, Any]:
    """An item of one of the kinds, of few enough keys that they meet often."""
    number, owner, draw = str(random.randint(1, 9)), str(random.randint(1, 3)), random.random()
    refers = {"noteRef": {"S": f"note|{number}"}, "ownerId": {"S": owner}, "text": {"S": random.choice("abc")}}
    if draw < 0.4:
        key = f"account|{number}" if random.random() < 0.8 else f"ACCOUNT#{number}"
        item = {"pk": {"S": key}, "sk": {"S": "account"}, "balance": {"N": random.choice(["1", "2", "5000"])}}
        return item | ({"email": {"S": f"e{random.randint(1, 9)}"}} if random.random() < 0.5 else {})
    if draw < 0.65:
        return {"pk": {"S": f"owner|{owner}"}, "sk": {"S": f"note|{number}"}, **refers}
    if draw < 0.85:
        folder = random.choice(["archive", "archive", "bin"])
        return {"pk": {"S": f"{folder}|{owner}"}, "sk": {"S": str(random.randint(1, 5))}, **refers}
    if draw < 0.95:
        return {"pk": {"S": f"session|{number}"}, "sk": {"S": "session"}, "ttl": {"N": owner}}
    return {"pk": {"S": f"nobody's {number}"}, "sk": {"S": "z"}, "v": {"N": owner}}


class AtOnce(Executor):
    """An executor that does its work when it is asked to."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future


@dataclass(frozen=True)
class Scan:
    """The memory table as a source of items."""

    table: MemoryTable

    @property
    def origin(self) -> dict[str, Any]:
        return self.table.origin

    def units(self) -> list[Unit]:
        return self.table.units()

    def estimate(self) -> Estimate:
        return self.table.estimate()

    def read(self, unit: Unit, after: Position | None) -> Iterator[Chunk]:
        return self.table.read_segment(unit, after)


def fresh(dsn: str) -> None:
    """Empty the database of the tables and the ledger."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SET client_min_messages = warning")
        conn.execute("DROP SCHEMA IF EXISTS world CASCADE")
        conn.execute("DROP SCHEMA IF EXISTS ashore CASCADE")
    with connect(dsn, application_name="test", autocommit=True) as conn:
        ensure_ledger(conn)


def emptied(dsn: str) -> None:
    """As `fresh`, but that a ledger which is there stays, with nothing in it: that is several times as fast."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        found = conn.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = to_regnamespace('ashore')"
            " AND relkind = 'r' AND relname <> 'version'"
        ).fetchall()
        if not found:
            fresh(dsn)
            return
        conn.execute("SET client_min_messages = warning; DROP SCHEMA IF EXISTS world CASCADE")
        deletes = "; ".join(f"DELETE FROM {table}" for (table,) in found)
        conn.execute(f"SET session_replication_role = replica; {deletes}".encode())


def tables(conn: Conn) -> dict[str, TableName]:
    return {name: table for one in plan.entities.values() for name, table in tables_of(conn, one).items()}


def begin(dsn: str, table: MemoryTable) -> None:
    """What `ashore sync` does before anything else."""
    with connect(dsn, application_name="test", autocommit=True) as conn:
        ensure_stream(conn, plan, table, {name: [] for name in ENTITIES})


def _fetch(table: MemoryTable, keys: Sequence[Mapping[str, Any]]) -> list[bytes]:
    return table.get_items(keys)


@dataclass
class MemoryMarkers:
    """Writes markers to the memory table; `errors` are raised by the next calls, `written` are the keys so far."""

    table: MemoryTable
    errors: list[Exception] = field(default_factory=list)
    errors_of_delete: list[Exception | None] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def put(self, key: Any) -> None:
        self._fail()
        self.written.append(key["pk"]["S"])
        self.table.put(key)

    def delete(self, key: Any) -> None:
        self._fail()
        if self.errors_of_delete and (error := self.errors_of_delete.pop(0)) is not None:
            raise error
        if key["pk"]["S"] in {partition for partition, _ in self.table.items}:
            self.table.delete(key["pk"]["S"], key["sk"]["S"])

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)


def order(
    dsn: str,
    table: MemoryTable,
    *,
    on_gap: OnGap = "stop",
    markers: MemoryMarkers | None = None,
    clock: Callable[[], float] = time.time,
    **limits: Any,
) -> SyncOrder:
    chosen = SyncLimits(**{name: getattr(LIMITS, name) for name in LIMITS.__slots__} | limits)
    return SyncOrder(
        dsn=dsn,
        plan=plan,
        source=table,
        fetch=partial(_fetch, table),
        markers=markers,
        on_gap=on_gap,
        limits=chosen,
        clock=clock,
    )


def worker(dsn: str, table: MemoryTable, *, on_gap: OnGap = "stop", **limits: Any) -> Worker:
    conn = connect(dsn, application_name="test worker", autocommit=True)
    return Worker(conn=conn, order=order(dsn, table, on_gap=on_gap, **limits), tables=tables(conn), executor=AtOnce())


class SteppedLoad:
    """`ashore load --sync`, a chunk a step, in this process; it can be dropped at any step and taken up again."""

    def __init__(self, dsn: str, table: MemoryTable, entities: tuple[str, ...], *, restart: bool = False) -> None:
        scan = Scan(table)
        self.order = LoadOrder(
            dsn=dsn,
            plan=plan,
            make_encoding=PlannedEncoding(reference=reference, entities=entities),
            source=scan,
            entities=entities,
            rebuild=_Rebuild(plan=plan, source=scan),
            after_rows=_AfterRows(plan=plan),
            is_captured=True,
            restart=restart,
        )
        self.conn = connect(dsn, application_name="test load", autocommit=True)
        try:
            self.open = start_load(self.conn, self.order)
        except BaseException:
            self.conn.close()
            raise
        self.is_done = False
        self._chunks = self._read()

    def _read(self) -> Iterator[None]:
        record = self.open.record
        if record.phase == "rows":
            writer = ChunkWriter(
                conn=self.conn,
                load=record.id,
                run=record.run,
                source=record.source,
                encoding=planned_encoding(plan, self.order.entities),
                targets=self.open.targets,
            )
            while (claim := units.claim(self.conn, load=record.id, run=record.run, worker=1)) is not None:
                for number, chunk in enumerate(self.order.source.read(claim.unit, claim.position), start=claim.chunks):
                    writer.write(claim.unit.name, number, chunk)
                    yield
            with self.conn.transaction():
                loads.rows_ended(self.conn, record)
                loads.advance(self.conn, record, "keys")

    def step(self) -> None:
        """One chunk; after the last one everything that follows the rows."""
        if next(self._chunks, self) is self:
            self.finish()

    def drop(self) -> None:
        """Die."""
        self.conn.close()

    def finish(self) -> None:
        for _ in self._chunks:
            pass
        self.conn.close()
        run_load(LoadOrder(**{**{name: getattr(self.order, name) for name in self.order.__slots__}, "restart": False}))
        self.is_done = True


def positions(dsn: str) -> dict[str, int]:
    """How far each shard is, where it was read at all."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        rows = conn.execute("SELECT shard, position FROM ashore.shard WHERE position IS NOT NULL").fetchall()
    return {shard: int(position) for shard, position in rows}


def settle(dsn: str, table: MemoryTable, *, rounds: int = 2_000, on_gap: OnGap = "stop") -> None:
    """Let one worker go on until nothing is left to do (but gaps, which only a reading of the table repairs)."""
    one = worker(dsn, table, lease_seconds=30.0, on_gap=on_gap, readers=50)
    try:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("UPDATE ashore.shard SET owner = NULL")
            conn.execute("DELETE FROM ashore.sync_worker")
            [(moment,)] = conn.execute("SELECT clock_timestamp()").fetchall()
            left: tuple[int, ...] = ()
            for _ in range(rounds):
                one.round()
                left = _left(conn, moment)
                if not left[0] and left[1]:  # keys that were not to be repaired yet wait up to a minute
                    conn.execute("UPDATE ashore.repair SET tries = 0, not_before = clock_timestamp()")
                if not any(left):
                    for _ in range(5 if count_parked(conn, plan.name) else 0):  # it is tried again in each
                        one.round()
                    return
        message = f"the worker did not come to an end: {left}"
        raise AssertionError(message)
    finally:
        one.leave()
        one.conn.close()


def _left(conn: psycopg.Connection[Any], moment: Any) -> tuple[int, ...]:
    """Entities that merge, keys to repair, shards that have not passed, shards without children.

    A lost shard holds up what merges until somebody has the gap repaired that the synced entities have.
    """
    left = conn.execute(
        """SELECT (SELECT count(*) FROM ashore.entity WHERE state = 'merging' AND NOT EXISTS (
                       SELECT FROM ashore.gap WHERE repaired_at IS NULL AND asked_at IS NULL)),
                  (SELECT count(*) FROM ashore.repair),
                  (SELECT count(*) FROM ashore.shard s WHERE state = 'open'
                   AND coalesce(greatest(passed_at, marked_at) < %(at)s, true)),
                  (SELECT count(*) FROM ashore.shard s WHERE state = 'ended' AND NOT EXISTS (SELECT FROM ashore.gap)
                   AND NOT EXISTS (SELECT FROM ashore.shard c WHERE c.parent = s.shard))""",
        {"at": moment},
    ).fetchone()
    return tuple(left or ())


@dataclass(frozen=True)
class Homes:
    """Where each key's item is: key → item."""

    rows: dict[Key, dict[str, Any]]
    copies: dict[Key, dict[str, Any]]
    rejected: dict[Key, tuple[str, dict[str, Any]]]
    parked: dict[Key, dict[str, Any]]


def homes(dsn: str) -> Homes:
    """What PostgreSQL holds."""
    rows: dict[Key, dict[str, Any]] = {}
    copies = {}
    with connect(dsn, application_name="test", autocommit=True) as conn:
        prepare(conn)
        where = tables(conn)
        for entity in plan.entities.values():
            reader = RowReader(plan=entity, tables=where)
            columns = ", ".join(reader.key_columns)
            keys = list(conn.execute(f"SELECT {columns} FROM {reader.table}".encode()))
            for _, found in reader.by_key(conn, keys):
                item = from_rows(entity, found)
                assert key_texts(plan, item) not in rows, "two rows of one item"
                rows[key_texts(plan, item)] = item
        orphans = conn.execute(
            "SELECT count(*) FROM world.line l LEFT JOIN world.note n USING (note_id) WHERE n IS NULL"
        ).fetchone()
        assert orphans == (0,), "children without their parent"
        for stored, is_promoted in conn.execute("SELECT item, promoted FROM world.note_copy"):
            item = dict(whole_item(stored))
            copies[key_texts(plan, item)] = item
            if is_promoted:
                assert rows.pop(key_texts(plan, item)) == item, "a promoted copy's row is not the copy"
        rejected = {
            key_texts(plan, json.loads(item)): (reason, json.loads(item))
            for reason, item in conn.execute("SELECT reason, item FROM ashore.rejected_item")
        }
        parked = {
            key_texts(plan, json.loads(item)): json.loads(item)
            for (item,) in conn.execute("SELECT item FROM ashore.parked_change")
        }
        count = conn.execute("SELECT count(*) FROM ashore.rejected_item").fetchone()
        assert count == (len(rejected),), "an item is rejected twice"
    return Homes(rows, copies, rejected, parked)


def ask_every_key(dsn: str, table: MemoryTable) -> bool:
    """What a complete `ashore verify --repair` does after a gap, if every key of either side differed."""
    with connect(dsn, application_name="test", autocommit=True) as conn:
        known = gaps.open_gaps(conn, "world")
        if known:
            found = homes(dsn)
            keys = {*table.items, *found.rows, *found.copies, *found.rejected, *found.parked}
            named = [json.dumps({"pk": {"S": p}, "sk": {"S": q or ""}}, separators=(",", ":")) for p, q in keys]
            asked = [(repairs.key_hash(key.encode()), key.encode(), None) for key in named]
            repairs.ask_repair(conn, "world", asked, reason="verify")
            gaps.gaps_asked(conn, "world", [gap.id for gap in known])
            gaps.close_gaps(conn, "world")
    return bool(known)


def assert_equal(dsn: str, table: Any, entities: tuple[str, ...] = ENTITIES) -> None:
    """Every item of the table is in exactly one home, the one that it belongs to, and nothing else is there."""
    expected = _expected({key: json.loads(item) for key, item in table.items.items()}, entities)
    found = homes(dsn)
    assert found.copies == expected.copies
    assert {key: reason for key, (reason, _) in found.rejected.items()} == {
        key: reason for key, (reason, _) in expected.rejected.items()
    }
    assert found.rejected == expected.rejected
    by_email: defaultdict[str, set[Any]] = defaultdict(set)
    for key, item in expected.rows.items():
        if key[1] == "account" and "email" in item:
            by_email[item["email"]["S"]].add(key)
    assert {**found.rows, **found.parked} == expected.rows
    assert not found.rows.keys() & found.parked.keys()
    with psycopg.connect(dsn) as conn:
        refused = conn.execute("SELECT count(*) FROM ashore.taken_off WHERE state = 'refused'").fetchone()
    for keys in by_email.values():
        rows = len(keys & found.rows.keys())
        assert rows == (len(keys) if refused != (0,) else 1), "of those that share a UNIQUE value one has its row"
    rivals = set().union(*(keys for keys in by_email.values() if len(keys) > 1))
    assert found.parked.keys() <= rivals


def _expected(items: Mapping[Key, dict[str, Any]], entities: tuple[str, ...]) -> Homes:
    """Where each item belongs, worked out from the items alone."""
    match = matcher(plan)
    wanted = Homes({}, {}, {}, {})
    by_row: defaultdict[Any, list[tuple[Key, dict[str, Any]]]] = defaultdict(list)
    copies: list[tuple[Key, AsCopy, dict[str, Any]]] = []
    for key, item in items.items():
        found = match(*key)
        if found is None:
            wanted.rejected[key] = ("unmatched", item)
        elif isinstance(found, AsRow) and found.entity.name in entities:
            _expect_row(wanted, by_row, found, key, item)
        elif isinstance(found, AsCopy) and found.entity.name in entities:
            copies.append((key, found, item))
    originals = set()
    for (name, primary), rivals in by_row.items():
        for key, item in rivals:
            if len(rivals) == 1:
                wanted.rows[key] = item
                originals |= {primary[0]} if name == "note" else set()
            else:
                wanted.rejected[key] = ("duplicate_key", item)
    _expect_copies(wanted, copies, originals)
    return wanted


def _expect_row(wanted: Homes, by_row: Any, found: AsRow, key: Key, item: dict[str, Any]) -> None:
    try:
        row = to_rows(found.entity, item, found.generation).row
    except UnfitError as unfit:
        wanted.rejected[key] = (unfit.reason, item)
        return
    if found.entity.name == "account" and (row["balance"] or 0) >= 1000:
        wanted.rejected[key] = ("refused_by_postgres", item)
        return
    primary = tuple(row[column.name] for column in found.entity.table.primary_key.columns)
    by_row[found.entity.name, primary].append((key, item))


def _expect_copies(
    wanted: Homes, copies: list[tuple[Key, AsCopy, dict[str, Any]]], originals: set[str]
) -> None:  # fmt: skip
    promotable = {item["noteRef"]["S"] for _, found, item in copies if _may_be_promoted(found, item)}
    for key, _, item in copies:
        link = item["noteRef"]["S"]
        if link.removeprefix("note|") in originals or link in promotable:
            wanted.copies[key] = item
        else:
            reason = "nul_in_text" if "\0" in item["text"]["S"] and key[0].startswith("archive") else "orphan"
            wanted.rejected[key] = (reason, item)


def _may_be_promoted(found: AsCopy, item: Mapping[str, Any]) -> bool:
    """Whether the copy could be a row itself: the declaration says so, and its columns hold it."""
    return found.generation == 0 and "\0" not in item["text"]["S"]


class Writer(threading.Thread):
    """An application that puts and deletes items, until it is left."""

    def __init__(self, client: Any, seed: int) -> None:
        super().__init__(daemon=True)
        self.client, self.random = client, Random(seed)
        self.stopped = threading.Event()
        self.sent = 0

    def run(self) -> None:
        while not self.stopped.is_set():
            item = random_item(self.random)
            if self.random.random() < 0.3:
                self.client.delete_item(TableName="world", Key={"pk": item["pk"], "sk": item["sk"]})
            else:
                self.client.put_item(TableName="world", Item=item)
            self.sent += 1
            time.sleep(0.004)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.join()


def make_table(client: Any) -> None:
    """The table "world" and its stream, on an emulator."""
    client.create_table(
        TableName="world",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )


def scanned(client: Any) -> dict[Key, bytes]:
    """The items of the table "world" as boto3 scans them."""
    pages = client.get_paginator("scan").paginate(TableName="world", ConsistentRead=True)
    items = [item for page in pages for item in page["Items"]]
    return {(one["pk"]["S"], one["sk"]["S"]): json.dumps(one).encode() for one in items}


def records_of(order: SyncOrder) -> int:
    """How many records the stream holds, from the oldest on."""
    info = order.source.describe()
    assert info is not None
    records = 0
    for shards in order.source.shards(info.arn):
        for shard in shards:
            iterator: str | None = order.source.iterator(info.arn, shard.id, TRIM_HORIZON)
            while iterator is not None:
                page = order.source.read(iterator)
                records += len(page.changes)
                iterator = page.next if page.changes else None
    return records
