"""Probe: what markers show of the user's own table, measured and dated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ashore import __version__
from ashore.config.settings import Settings
from ashore.dynamodb.errors import AccessDenied
from ashore.dynamodb.measure import Measure, Measured, Progress, measure
from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.table import TableInfo
from ashore.dynamodb.write import UNITS_A_MARKER, dollars_per_million_write_units
from ashore.errors import AshoreError
from ashore.ledger import records
from ashore.ledger.schema import ensure_ledger
from ashore.pipeline.project import item_source
from ashore.pipeline.sync import NeedsTable, marker_writer, stream_source
from ashore.postgres.connect import connect
from ashore.postgres.errors import translated
from ashore.sync.start import readable_stream

_A_MILLION: Final = 1_000_000


@dataclass(eq=False, kw_only=True)
class MarkersNotAllowed(AshoreError):
    """These credentials may not write and remove markers. Nothing was written."""

    action: str
    resource: str

    code = "ASH820"
    exit_code = 3

    def what(self) -> str:
        return f"these credentials may not {self.action} on {self.resource}: nothing was written"

    def hint(self) -> str:
        return "`ashore policy --sync --markers` prints a policy that allows markers to be written, and nothing else"


@dataclass(eq=False, kw_only=True)
class KeyTakesNoMarkers(AshoreError):
    """The table's partition key is not text, and a marker's is."""

    table: str
    kind: str

    code = "ASH821"
    exit_code = 3

    def what(self) -> str:
        return f"the partition key of {self.table} is of type {self.kind}, and markers need text"

    def hint(self) -> str:
        return "a sync of this table judges by time what its stream has passed; nothing can be probed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeForecast:
    """What a probe will write.

    `expected` is how many markers so many equal shards need on average; `markers` are written at most, for which the
    table's owner pays `write_units` and, on demand in us-east-1, `dollars`.
    """

    table: str
    stream: str
    shards: int
    expected: int
    markers: int
    write_units: float
    dollars: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """What was seen of one table, and when. `kept_in_ledger` says whether the database has this report as well."""

    table: str
    region: str
    table_arn: str
    stream: str
    started_at: datetime
    ended_at: datetime
    version: str
    forecast: ProbeForecast
    measured: Measured
    poll_seconds: float
    kept_in_ledger: bool = False

    @property
    def reached(self) -> int:
        """Open shards that returned a marker."""
        measured = self.measured
        return measured.open + measured.came - len(measured.not_reached)

    @property
    def findings(self) -> tuple[str, ...]:
        """What keeps markers from showing all of this table's stream."""
        measured, found = self.measured, []
        if measured.not_reached:
            found.append(
                f"{len(measured.not_reached):,} shards returned no marker: a sync judges them by time, and says so"
            )
        if measured.out_of_order:
            found.append(
                f"{measured.out_of_order:,} markers came back after later ones of their shard: leave `markers` off"
            )
        if measured.returned < measured.written:
            found.append(f"{measured.written - measured.returned:,} markers did not come back in time")
        return tuple(found)

    def as_json(self) -> dict[str, Any]:
        """Plain values; delays as percentiles, in seconds."""
        measured = asdict(self.measured)
        delays = measured.pop("delays")
        return {
            "table": self.table,
            "region": self.region,
            "table_arn": self.table_arn,
            "stream": self.stream,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "version": self.version,
            "forecast": asdict(self.forecast),
            **measured,
            "not_reached": list(self.measured.not_reached),
            "reached": self.reached,
            "delay": {name: percentile(delays, share) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))},
            "poll_seconds": self.poll_seconds,
            "findings": list(self.findings),
            "kept_in_ledger": self.kept_in_ledger,
        }


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The value that this share of the ordered values does not exceed, in milliseconds' precision; None of none."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3) if ordered else None


def markers_for(shards: int) -> int:
    """How many markers reach each of so many equal shards, on average (the problem of the coupon collector)."""
    return math.ceil(shards * sum(1 / number for number in range(1, shards + 1)))


def forecast_probe(settings: Settings) -> ProbeForecast:
    """What a probe of the settings' table will write, and what that costs. Writes nothing.

    Raises:
        NeedsTable, KeyTakesNoMarkers, NoStream
        SourceError: The table or its stream cannot be described.
    """
    source = _table(settings)
    info = source.describe()
    if info.key[0].type != "S":
        raise KeyTakesNoMarkers(table=source.table, kind=info.key[0].type)
    stream = stream_source(source)
    arn = readable_stream(stream, f"table {source.table}").arn
    shards = sum(not shard.is_closed for page in stream.shards(arn) for shard in page)
    units = settings.marker_writes * UNITS_A_MARKER * (1 + _indexes_of_keys(info))
    if info.provisioned_read_units is None:
        price = f"on demand at ${dollars_per_million_write_units} a million write units (us-east-1)"
    else:
        price = "paid by its provisioned capacity"
    return ProbeForecast(
        table=source.table,
        stream=arn,
        shards=shards,
        expected=markers_for(shards),
        markers=settings.marker_writes,
        write_units=units,
        dollars=0.0
        if info.provisioned_read_units is not None
        else units / _A_MILLION * dollars_per_million_write_units,
        note=f"{price}; in a global table each other region pays for its copy",
    )


def probe(settings: Settings, forecast: ProbeForecast, progress: Progress = lambda *_: None) -> ProbeReport:
    """Write markers to the settings' table, one after the other, each removed at once, and see them come back.

    The report is kept in the ledger's audit log where the settings name a database.

    Raises:
        MarkersNotAllowed: Nothing was written.
        SourceError: DynamoDB failed; what was seen so far is lost.
        CannotConnect: The report could not be kept; nothing was written.
    """
    source = _table(settings)
    info = source.describe()
    if settings.postgres is not None:
        with connect(settings.postgres.reveal(), application_name="ashore probe", autocommit=True) as conn:
            ensure_ledger(conn)
    started_at = datetime.now(UTC)
    wanted = Measure(
        table=marker_writer(settings, source),
        stream=stream_source(source),
        arn=forecast.stream,
        key=[(key.name, key.type) for key in info.key],
        markers=settings.marker_writes,
    )
    try:
        measured = measure(wanted, progress)
    except AccessDenied as denied:
        raise MarkersNotAllowed(action=denied.action, resource=denied.resource) from denied
    report = ProbeReport(
        table=info.name,
        region=info.arn.split(":")[3],
        table_arn=info.arn,
        stream=forecast.stream,
        started_at=started_at,
        ended_at=datetime.now(UTC),
        version=__version__,
        forecast=forecast,
        measured=measured,
        poll_seconds=wanted.poll_seconds,
        kept_in_ledger=settings.postgres is not None,
    )
    if settings.postgres is not None:
        with (
            connect(settings.postgres.reveal(), application_name="ashore probe", autocommit=True) as conn,
            translated("keeping the report"),
        ):
            records.audit(conn, "probe", report.as_json())
    return report


def _table(settings: Settings) -> TableSource:
    source = None if settings.items_from is None else item_source(settings)
    if not isinstance(source, TableSource):
        raise NeedsTable
    return source


def _indexes_of_keys(info: TableInfo) -> int:
    """How many indexes a marker is in as well: those all of whose keys are key attributes of the table."""
    own = {key.name for key in info.key}
    return sum({key.name for key in index.key} <= own for index in info.indexes)
