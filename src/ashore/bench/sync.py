"""`ashore bench sync`: changes applied, against the fastest bare upserts of the same rows in the same run."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any, Final

from psycopg import sql

from ashore.bench.flat import flat, flat_items, metadata
from ashore.bench.machine import machine, versions
from ashore.bench.server import bench_postgres, settings, settle
from ashore.dynamodb.stream import changes_of
from ashore.ledger import loads
from ashore.ledger.schema import ensure_ledger
from ashore.local.postgres import LocalPostgres
from ashore.mapping.copy_text import entity_columns
from ashore.model.attribute import TypedValue
from ashore.model.change import ChangePage, Shard, Start, StreamInfo
from ashore.pipeline.load import tables_of
from ashore.postgres.connect import Conn, connect, one_row
from ashore.postgres.copy import copy_text
from ashore.postgres.names import TableName
from ashore.postgres.tables import create_missing
from ashore.sync.order import SyncLimits, SyncOrder
from ashore.sync.start import ensure_stream
from ashore.sync.worker import Worker

_A_PAGE: Final = 850
"""Records of 1.15 KB in a page: GetRecords gives 1 MB or 1,000."""
_SHARDS: Final = 2
_plan: Final = flat.compile()
_entity: Final = _plan.entities["docket_entry"]
_ARN: Final = "arn:bench/stream"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncFigures:
    """What was measured.

    `changes_per_s` from the first read to the last commit, parsing included. `upsert_limit_per_s` is the best of
    `limits`: bare upserts and deletes of the same rows in transactions of the same size, prepared beforehand.
    `merge_rows_per_s` is of captured changes into their table, `capture_per_s` of changes into `pending_change`.
    """

    changes: int
    rows_before: int
    changes_per_s: float
    upsert_limit_per_s: float
    ratio: float
    limits: Mapping[str, float]
    capture_per_s: float
    merge_rows_per_s: float
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    machine: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(slots=True)
class PreparedStream:
    """A `ChangeSource` of answers of GetRecords that were prepared: what a client could read at best."""

    pages: Mapping[str, Sequence[bytes]]
    ended: set[str] = field(default_factory=set)

    @property
    def origin(self) -> dict[str, Any]:
        """Of no real table."""
        return {"kind": "table", "table_arn": "arn:bench", "table_id": None}

    def describe(self) -> StreamInfo:
        """Of no real stream."""
        return StreamInfo(arn=_ARN, table_arn="arn:bench", view="NEW_IMAGE", is_enabled=True)

    def shards(self, arn: str) -> Iterator[Sequence[Shard]]:  # noqa: ARG002 (as `ChangeSource` has it)
        """All of them, in one page."""
        yield [Shard(id=shard, parent=None, first=1, last=None) for shard in self.pages]

    def iterator(self, arn: str, shard: str, start: Start) -> str:  # noqa: ARG002
        """The shard's beginning."""
        return f"{shard}\n0"

    def read(self, iterator: str, *, limit: int | None = None) -> ChangePage:  # noqa: ARG002
        """The next prepared page, parsed as a real one."""
        shard, _, at = iterator.partition("\n")
        place = int(at)
        if place >= len(self.pages[shard]):
            return ChangePage(changes=[], next=iterator)
        answer = self.pages[shard][place]
        changes, _ = changes_of(answer, "bench")
        return ChangePage(changes=changes, next=f"{shard}\n{place + 1}", bytes_read=len(answer))


@dataclass(frozen=True, slots=True)
class _Step:
    """The rows and the keys of one page as bare SQL takes them: the newest of each key."""

    lines: bytes
    rows: list[tuple[str | None, ...]]
    removed: list[tuple[str, str]]


def measure_sync(changes: int, *, tell: Tell, seed: int = 1) -> SyncFigures:
    """Apply so many changes (nine in ten of existing rows, the others new or removed), and upsert them bare."""
    before = machine()
    rows = max(changes // 2, 1_000)
    tell(f"making {changes:,} changes of {rows:,} rows")
    base = list(flat_items(rows + changes // 20 + 1, seed))
    pages = _pages(base, rows, changes, Random(seed))  # noqa: S311 (made-up items are no secret)
    with bench_postgres() as server:
        target = _make(server, base[:rows])
        steps = [_step(page) for shard in pages.values() for page in shard]
        limits = {}
        for name, write in (("copy", _by_copy), ("unnest", _by_unnest), ("executemany", _by_executemany)):
            tell(f"the limit by {name}")
            limits[name] = changes / _timed(server, target, base[:rows], steps, write)
        tell("sync")
        speeds = [changes / _sync(server, target, base[:rows], pages, changes)]
        tell("capture and merge")
        captured, merged = _capture_and_merge(server, target, base[:rows], pages, changes)
        best = max(limits.values())
        return SyncFigures(
            changes=changes,
            rows_before=rows,
            changes_per_s=round(statistics.median(speeds)),
            upsert_limit_per_s=round(best),
            ratio=round(statistics.median(speeds) / best, 3),
            limits={name: round(speed) for name, speed in limits.items()},
            capture_per_s=round(captured),
            merge_rows_per_s=round(merged),
            settings=dict(settings),
            versions=versions(server),
            machine=before,
        )


def _pages(base: Sequence[bytes], rows: int, changes: int, random: Random) -> dict[str, list[bytes]]:
    """Answers of GetRecords by shard; all changes of a key are in one shard."""
    pages: dict[str, list[bytes]] = {f"shard-{number}": [] for number in range(_SHARDS)}
    waiting: dict[str, list[str]] = {shard: [] for shard in pages}
    fresh = rows
    for sequence in range(1, changes + 1):
        draw = random.random()
        if draw < 0.05:
            place, fresh = fresh, fresh + 1
            if fresh >= len(base):
                place, fresh = random.randrange(rows), fresh - 1
        else:
            place = random.randrange(rows)
        item = base[place].decode()
        key = item[: item.index(',"entityName"')] + "}"
        is_removed = draw > 0.95
        image = f'"Keys":{key},"SequenceNumber":"{sequence:021d}","ApproximateCreationDateTime":1700000000'
        image += "" if is_removed else f',"NewImage":{item.replace("attempts", "attempts", 1)}'
        name = "REMOVE" if is_removed else "MODIFY"
        shard = f"shard-{place % _SHARDS}"
        waiting[shard].append(f'{{"eventID":"e","eventName":"{name}","dynamodb":{{{image}}}}}')
        if len(waiting[shard]) == _A_PAGE:
            pages[shard].append(_answer(waiting[shard]))
            waiting[shard] = []
    for shard, records in waiting.items():
        if records:
            pages[shard].append(_answer(records))
    return pages


def _answer(records: Sequence[str]) -> bytes:
    return f'{{"NextShardIterator":"next","Records":[{",".join(records)}]}}'.encode()


def _step(page: bytes) -> _Step:
    changes, _ = changes_of(page, "bench")
    newest = {change.key: change for change in changes}
    items = [change.item for change in newest.values() if change.item is not None]
    lines = _plan.encoder().encode(items).copy_data.get(_entity.table.fullname, b"")
    rows = [tuple(_value(text) for text in line.split("\t")) for line in lines.decode().splitlines()]
    removed = [_texts(json.loads(change.key)) for change in newest.values() if change.item is None]
    return _Step(lines, rows, removed)


def _value(text: str) -> str | None:
    return None if text == "\\N" else text.replace("\\\\", "\\")


def _texts(key: Mapping[str, TypedValue]) -> tuple[str, str]:
    return key["pk"]["S"].partition("|")[2], key["sk"]["S"].partition("|")[2]


def _make(server: LocalPostgres, base: Sequence[bytes]) -> TableName:
    with connect(server.dsn, application_name="ashore bench", autocommit=True) as conn:
        ensure_ledger(conn)
        create_missing(conn, list(metadata.tables.values()), default_schema="public")
        target = tables_of(conn, _entity)[_entity.table.fullname]
        _fill(conn, target, base)
        return target


def _fill(conn: Conn, target: TableName, base: Sequence[bytes]) -> None:
    conn.execute(sql.SQL("TRUNCATE {}").format(target.identifier))
    lines = _plan.encoder().encode(base).copy_data[_entity.table.fullname]
    copy_text(conn, target, entity_columns(_entity), lines)
    conn.execute(sql.SQL("VACUUM ANALYZE {}").format(target.identifier))


Write = Callable[[Conn, TableName, _Step], None]


def _timed(
    server: LocalPostgres, target: TableName, base: Sequence[bytes], steps: Sequence[_Step], write: Write
) -> float:
    with connect(server.dsn, application_name="ashore bench", autocommit=True) as conn:
        _fill(conn, target, base)
        conn.execute(
            sql.SQL("CREATE TEMP TABLE bare ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA").format(
                _names(entity_columns(_entity)), target.identifier
            )
        )
        settle(server)
        began = time.monotonic()
        for step in steps:
            with conn.transaction():
                write(conn, target, step)
                if step.removed:
                    _delete(conn, target, step.removed)
        return time.monotonic() - began


def _by_copy(conn: Conn, target: TableName, step: _Step) -> None:
    copy_text(conn, TableName("pg_temp", "bare"), entity_columns(_entity), step.lines)
    conn.execute(_upsert(target, sql.SQL("SELECT {} FROM bare").format(_names(entity_columns(_entity)))))


def _by_unnest(conn: Conn, target: TableName, step: _Step) -> None:
    columns = entity_columns(_entity)
    types = [_type(name) for name in columns]
    source = sql.SQL("SELECT * FROM unnest({})").format(
        sql.SQL(", ").join(sql.SQL("%s::{}[]").format(sql.SQL(kind)) for kind in types)
    )
    conn.execute(_upsert(target, source), [list(column) for column in zip(*step.rows, strict=True)])


def _by_executemany(conn: Conn, target: TableName, step: _Step) -> None:
    values = sql.SQL("VALUES ({})").format(
        sql.SQL(", ").join(sql.SQL("%s::{}").format(sql.SQL(_type(name))) for name in entity_columns(_entity))
    )
    with conn.pipeline(), conn.cursor() as cursor:
        cursor.executemany(_upsert(target, values), step.rows)


def _delete(conn: Conn, target: TableName, removed: Sequence[tuple[str, str]]) -> None:
    conn.execute(
        sql.SQL(
            "DELETE FROM {} t USING unnest(%s::text[], %s::uuid[]) AS k(a, b)"
            " WHERE t.docket_number = k.a AND t.docket_entry_id = k.b"
        ).format(target.identifier),
        [[a for a, _ in removed], [b for _, b in removed]],
    )


def _upsert(target: TableName, source: sql.Composable) -> sql.Composed:
    columns = entity_columns(_entity)
    key = ("docket_number", "docket_entry_id")
    return sql.SQL("INSERT INTO {} ({}) {} ON CONFLICT ({}) DO UPDATE SET {}").format(
        target.identifier,
        _names(columns),
        source,
        _names(key),
        sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in columns if name not in key
        ),
    )


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _type(column: str) -> Any:
    kind = _entity.table.columns[column].type
    return {"uuid": "uuid", "integer": "int", "numeric": "numeric", "boolean": "bool", "datetime": "timestamptz"}.get(
        kind.__visit_name__, "jsonb" if kind.__visit_name__ == "JSONB" else "text"
    )


def _sync(
    server: LocalPostgres,
    target: TableName,
    base: Sequence[bytes],
    pages: Mapping[str, Sequence[bytes]],
    changes: int,
) -> float:
    with connect(server.dsn, application_name="ashore bench", autocommit=True) as conn:
        _fill(conn, target, base)
        _begin(conn, pages, state="syncing")
        settle(server)
        with _worker(server, conn, pages) as worker:
            return _run(worker, conn, changes)


def _begin(conn: Conn, pages: Mapping[str, Sequence[bytes]], *, state: str) -> int:
    """A ledger in which the entity has just been loaded, and no record has been read."""
    conn.execute("TRUNCATE ashore.stream, ashore.shard, ashore.entity, ashore.pending_change CASCADE")
    ensure_stream(conn, _plan, PreparedStream(pages), {"docket_entry": []})
    record = loads.begin(
        conn, source=_plan.name, entities=["docket_entry"], origin={}, fingerprint="", is_captured=True
    )
    loads.rows_ended(conn, record)
    loads.advance(conn, record, "done")
    for name, tables in (("docket_entry", [_entity.table.fullname]), (loads.UNMATCHED, [])):
        loads.set_entity(conn, source=_plan.name, entity=name, tables=tables, state=state, load=record.id)
    return record.id


class _worker:  # noqa: N801 (a context)
    """A worker on a connection of its own."""

    def __init__(self, server: LocalPostgres, conn: Conn, pages: Mapping[str, Sequence[bytes]]) -> None:
        self._conn = connect(server.dsn, application_name="ashore sync bench", autocommit=True)
        self._executor = ThreadPoolExecutor(4)
        order = SyncOrder(
            dsn=server.dsn,
            plan=_plan,
            source=PreparedStream(pages),
            fetch=lambda _: [],
            limits=SyncLimits(margin_seconds=0.0),
        )
        tables = tables_of(conn, _entity)
        self._worker = Worker(conn=self._conn, order=order, tables=tables, executor=self._executor)

    def __enter__(self) -> Worker:
        return self._worker

    def __exit__(self, *_: object) -> None:
        self._worker.leave()
        self._executor.shutdown()
        self._conn.close()


_RECORDS: Final = "SELECT coalesce(sum(records), 0)::bigint FROM ashore.shard"


def _run(worker: Worker, conn: Conn, changes: int) -> float:
    began = time.monotonic()
    done = 0
    while done < changes:
        worker.round()
        done = int(one_row(conn.execute(_RECORDS))[0])
    return time.monotonic() - began


def _capture_and_merge(
    server: LocalPostgres,
    target: TableName,
    base: Sequence[bytes],
    pages: Mapping[str, Sequence[bytes]],
    changes: int,
) -> tuple[float, float]:
    """Changes a second captured, and rows a second merged."""
    with connect(server.dsn, application_name="ashore bench", autocommit=True) as conn:
        _fill(conn, target, base)
        _begin(conn, pages, state="loading")
        settle(server)
        with _worker(server, conn, pages) as worker:
            captured = changes / _run(worker, conn, changes)
            pending = int(one_row(conn.execute("SELECT count(*) FROM ashore.pending_change"))[0])
            loads.set_state(conn, source=_plan.name, entities=["docket_entry", loads.UNMATCHED], state="merging")
            began: float | None = None
            while True:
                if worker.round() and began is None:
                    began = time.monotonic()
                states = loads.entities_of(conn, _plan.name)
                if states["docket_entry"].state == "syncing":
                    break
            seconds = time.monotonic() - (began or time.monotonic())
    merged = pending - min(pending, SyncLimits().merge_changes)
    return captured, merged / seconds if seconds > 0 else float(pending)
