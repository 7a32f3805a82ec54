"""The PostgreSQL that benchmarks load into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from ashore.local.postgres import LocalPostgres, embedded_postgres
from ashore.postgres.connect import connect

settings: Final[Mapping[str, str]] = {
    # what a commit promises, it keeps: said here although it is the default
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    # as anyone sets them who loads much; the defaults are for a machine of twenty years ago
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "min_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "maintenance_work_mem": "256MB",
    "wal_buffers": "64MB",
}


@contextmanager
def bench_postgres() -> Iterator[LocalPostgres]:
    """Run PostgreSQL 18 on a temporary data folder with `settings`."""
    with embedded_postgres(settings=settings) as server:
        yield server


def settle(server: LocalPostgres) -> None:
    """Write a checkpoint, so that each measurement begins with a clean log."""
    with connect(server.dsn, application_name="ashore bench", autocommit=True) as conn:
        conn.execute("CHECKPOINT")
