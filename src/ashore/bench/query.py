"""`ashore bench query`: what people ask of the rows after a load, with its times.

The questions are those of a team that made this move by hand with ten million records: what took them an hour on
DynamoDB took minutes in SQL, and these seconds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

from ashore.bench.loader import Job, Loaded, measure_load
from ashore.bench.machine import machine, versions
from ashore.bench.profiles import profiles
from ashore.bench.server import bench_postgres, settings, settle
from ashore.dynamodb.export import ExportSource
from ashore.local.export_writer import write_export
from ashore.local.postgres import LocalPostgres
from ashore.postgres.connect import Conn, connect

_INDEX: Final = "CREATE INDEX inbox ON bench.docket_entry (section, status, filing_date DESC)"
_UPDATE: Final = "UPDATE bench.docket_entry SET attempts = attempts + 1"
_questions: Final[Mapping[str, LiteralString]] = {
    "count": "SELECT count(*) FROM bench.docket_entry",
    "unindexed_search": "SELECT count(*) FROM bench.docket_entry WHERE free_text LIKE '%notice%motion%'",
    "report": """
        SELECT section, date_trunc('month', filing_date), count(*), avg(number_of_pages), sum(fee)
        FROM bench.docket_entry GROUP BY 1, 2 ORDER BY 1, 2
    """,
    "inbox_by_index": """
        SELECT docket_number, document_title, filing_date FROM bench.docket_entry
        WHERE section = 'docket' AND status = 'pending' ORDER BY filing_date DESC LIMIT 50
    """,
}
_repeats: Final = 3

origin_at_ten_million: Final[Mapping[str, float]] = {
    "insert": 120,
    "update_all": 18,
    "unindexed_search": 18,
    "count": 2,
}
"""Seconds that the team measured, with ten million records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFigures:
    """Seconds by question: the median of three, of one for the UPDATE, which changes every row.

    `insert` is the load of the rows, `index` the building of the index of the inbox.
    """

    rows: int
    seconds: Mapping[str, float]
    origin_at_ten_million: Mapping[str, float]
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    machine: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure_queries(
    rows: int, *, workers: int, tell: Callable[[str], None], folder: Path | None = None
) -> QueryFigures:
    """Load so many rows of the flat profile, then ask and time the questions; `tell` hears what is being done."""
    before = machine()
    profile = profiles["flat"]
    with tempfile.TemporaryDirectory(prefix="ashore-bench-", dir=folder) as made, bench_postgres() as server:
        tell(f"writing an export of {rows:,} items")
        home = write_export(Path(made), profile.items(rows), files=8 * workers)
        tell("the load")
        source = ExportSource(path=str(home))
        loaded = measure_load(
            Job(dsn=server.dsn, reference=profile.reference, source=source, workers=workers, notes=Path(made))
        )
        seconds = _asked(server, loaded, tell)
        return QueryFigures(
            rows=rows,
            seconds={name: round(taken, 5) for name, taken in seconds.items()},
            origin_at_ten_million=dict(origin_at_ten_million),
            settings=dict(settings),
            versions=versions(server),
            machine=before,
        )


def _asked(server: LocalPostgres, loaded: Loaded, tell: Callable[[str], None]) -> dict[str, float]:
    settle(server)
    seconds = {"insert": loaded.row_seconds}
    with connect(server.dsn, application_name="ashore bench query", autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE) bench.docket_entry")
        tell("index")
        seconds["index"] = _timed(conn, _INDEX)
        for name, question in _questions.items():
            tell(name)
            seconds[name] = statistics.median(_timed(conn, question) for _ in range(_repeats))
        settle(server)
        tell("update_all")
        seconds["update_all"] = _timed(conn, _UPDATE)
    return seconds


def _timed(conn: Conn, statement: LiteralString) -> float:
    began = time.perf_counter()
    cursor = conn.execute(statement)
    if cursor.description is not None:
        cursor.fetchall()
    return time.perf_counter() - began
