"""The lag of a sync: from the return of a PutItem until another connection sees the row in PostgreSQL."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final, cast

from psycopg import sql

from ashore.bench.errors import MeasuringProcessEnded, RowsNotSeen
from ashore.bench.flat import flat_items
from ashore.bench.synced import begin, make_table, plan, row_key
from ashore.dynamodb.stream import TableStream
from ashore.local.dynamodb import LocalAws, dynamodb_local, find_dynamodb_local
from ashore.local.errors import JavaMissing
from ashore.local.postgres import LocalPostgres
from ashore.pipeline.sync import run_worker
from ashore.postgres.connect import Conn, connect
from ashore.postgres.names import TableName
from ashore.sync.order import SyncLimits, SyncOrder

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from mypy_boto3_dynamodb import DynamoDBClient

CHANGES_A_SECOND: Final = 200
_TABLE: Final = "bench"
_WRITERS: Final = 4
"""DynamoDB Local takes 1,500 puts a second; a put of boto3 takes about 2 ms."""
_LOOK_SECONDS: Final = 0.005
"""Between two looks at PostgreSQL; a lag is told too long by up to as much."""
_PATIENCE_SECONDS: Final = 60.0
_context: Final = get_context("spawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """Lags in milliseconds, of `rows` rows that were written at `rows_per_s`; where there are none, `why` not."""

    rows: int = 0
    rows_per_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    longest_ms: float | None = None
    why: str | None = None


def measure_lag(server: LocalPostgres, *, seconds: float) -> Lag:
    """Write new items into DynamoDB Local while a worker in a process of its own syncs them.

    Raises:
        RowsNotSeen: Some never came.
        MeasuringProcessEnded: The worker failed.
    """
    folder = find_dynamodb_local()
    if folder is None:
        return Lag(why="there is no DynamoDB Local on this machine")
    try:
        with dynamodb_local(folder) as aws:
            client = aws.client("dynamodb")
            _create_table(client)
            target = make_table(server, [])
            ready, stop = _context.Event(), _context.Event()
            worker = _context.Process(target=_work, args=(server.dsn, aws, ready, stop), daemon=True)
            worker.start()
            try:
                while not ready.wait(0.1):
                    if not worker.is_alive():
                        raise MeasuringProcessEnded(doing="syncing")
                return _measure(server, aws, target, int(seconds * CHANGES_A_SECOND))
            finally:
                stop.set()
                worker.join(30)
                worker.kill()
    except JavaMissing:
        return Lag(why="there is no Java on this machine")


def _create_table(client: DynamoDBClient) -> None:
    client.create_table(
        TableName=_TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )


def _work(dsn: str, aws: LocalAws, ready: Event, stop: Event) -> None:
    """The worker's process, with the limits that `ashore sync run` has."""
    os.environ.update(aws.environment)
    source = TableStream(table=_TABLE, region=aws.region, endpoint_url=aws.endpoint_url)
    with connect(dsn, application_name="ashore bench", autocommit=True) as conn:
        begin(conn, source, state="syncing")
    order = SyncOrder(dsn=dsn, plan=plan, source=source, fetch=lambda _: [], limits=SyncLimits())
    ready.set()
    # multiprocessing's event has what a worker asks of a threading one: is_set and wait
    run_worker(order, cast("threading.Event", stop))


def _measure(server: LocalPostgres, aws: LocalAws, target: TableName, rows: int) -> Lag:
    items = [json.loads(raw) for raw in flat_items(rows, 1)]
    watch = _Watch(target=target, rows=rows)
    with (
        connect(server.dsn, application_name="ashore bench", autocommit=True) as conn,
        ThreadPoolExecutor(_WRITERS) as executor,
    ):
        clients = [aws.client("dynamodb") for _ in range(_WRITERS)]
        turns = itertools.count()
        began = time.monotonic()
        writers = [executor.submit(_write, client, items, turns, began, watch) for client in clients]
        watch.until_all_seen(conn)
        for writer in writers:
            writer.result()
    lags = sorted(watch.seen[key] - at for key, at in watch.written.items())
    return Lag(
        rows=rows,
        rows_per_s=round((rows - 1) / (max(watch.written.values()) - min(watch.written.values())), 1),
        p50_ms=_milliseconds(lags[rows // 2]),
        p99_ms=_milliseconds(lags[rows * 99 // 100]),
        longest_ms=_milliseconds(lags[-1]),
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1_000, 1)


def _write(
    client: DynamoDBClient, items: Sequence[Any], turns: itertools.count[int], began: float, watch: _Watch
) -> None:
    """Put the items whose turn this writer takes, each not before its time."""
    for turn in turns:
        if turn >= len(items):
            return
        time.sleep(max(0.0, began + turn / CHANGES_A_SECOND - time.monotonic()))
        client.put_item(TableName=_TABLE, Item=items[turn])
        watch.written[row_key(items[turn])] = time.monotonic()


class _Watch:
    """When each item was written, and when its row was seen (`time.monotonic`), by the row's key."""

    def __init__(self, *, target: TableName, rows: int) -> None:
        self.written: dict[tuple[str, str], float] = {}
        self.seen: dict[tuple[str, str], float] = {}
        self._rows = rows
        self._there = (
            sql.SQL(
                "SELECT k.a, k.b::text FROM unnest(%s::text[], %s::uuid[]) AS k(a, b)"
                " JOIN {} AS t ON t.docket_number = k.a AND t.docket_entry_id = k.b"
            )
            .format(target.identifier)
            .as_bytes()
        )

    def until_all_seen(self, conn: Conn) -> None:
        """Look again and again for what was written and not seen yet.

        Raises:
            RowsNotSeen: Nothing was seen for a minute.
        """
        newest = time.monotonic()
        while len(self.seen) < self._rows:
            awaited = [key for key in list(self.written) if key not in self.seen]
            found = conn.execute(self._there, [[a for a, _ in awaited], [b for _, b in awaited]]).fetchall()
            now = time.monotonic()
            self.seen.update(dict.fromkeys(found, now))
            if found:
                newest = now
            elif now - newest > _PATIENCE_SECONDS:
                raise RowsNotSeen(seen=len(self.seen), written=len(self.written), seconds=_PATIENCE_SECONDS)
            time.sleep(_LOOK_SECONDS)
