"""Leases of shards, under workers that look after the same shards at the same time."""

from __future__ import annotations

import random
import secrets
import sys
import threading
import time
from collections.abc import Callable

import psycopg

from ashore.ledger import leases, streams
from ashore.ledger.schema import ensure_ledger
from ashore.model.change import Shard
from ashore.postgres.connect import Conn, connect

SECONDS = 2.0


def test_listing_renewing_releasing_and_leaving_never_wait_for_each_other_in_a_circle(postgres_dsn: str) -> None:
    seed = secrets.randbelow(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    rng = random.Random(seed)
    shards = [Shard(id=f"shard-{number}", parent=None, first=number, last=None) for number in range(60)]
    with connect(postgres_dsn, application_name="test", autocommit=True) as conn:
        ensure_ledger(conn)
        with conn.transaction():
            streams.begin(conn, source="s", arn="arn", origin={}, shards=shards)

    def listing(conn: Conn) -> None:
        with conn.transaction():
            streams.keep_listed(conn, "s", rng.sample(shards, len(shards)))

    def working(name: str) -> Callable[[Conn], None]:
        def work(conn: Conn) -> None:
            taken = leases.take(conn, "s", name, most=40, seconds=30)
            kept = leases.keep_alive(conn, "s", name, seconds=30)
            assert {one.shard for one in taken} <= kept
            leases.release(conn, "s", name, rng.sample(sorted(kept), len(kept) // 2))
            leases.leave(conn, "s", name)

        return work

    failures: list[psycopg.Error] = []
    threads = [
        threading.Thread(target=_again_and_again, args=(postgres_dsn, body, failures))
        for body in (listing, listing, working("one"), working("two"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == failures


def _again_and_again(dsn: str, body: Callable[[Conn], None], failures: list[psycopg.Error]) -> None:
    until = time.monotonic() + SECONDS
    with connect(dsn, application_name="test", autocommit=True) as conn:
        conn.execute("SET deadlock_timeout = '20ms'")
        while time.monotonic() < until and not failures:
            try:
                body(conn)
            except psycopg.Error as error:
                failures.append(error)
