"""Gaps in a sync: which are open, what closes them, and repairing them from incremental exports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ashore.dynamodb.changes_export import ChangesExport, changes_exports
from ashore.dynamodb.settings import Aws
from ashore.ledger import gaps, loads, records, streams, written
from ashore.ledger.gaps import Gap
from ashore.ledger.repairs import ask_repair, key_hash
from ashore.ledger.schema import ensure_ledger
from ashore.mapping.copy_text import whole_item
from ashore.mapping.document import encode
from ashore.mapping.items import from_rows
from ashore.mapping.plan import EntityPlan, Plan, key_attributes
from ashore.model.change import Change
from ashore.model.item import Item
from ashore.pipeline.load import tables_of
from ashore.pipeline.project import Project
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated
from ashore.postgres.items import RowReader, prepare
from ashore.postgres.names import TableName
from ashore.sync.batches import APPLYING
from ashore.sync.errors import ExportOfOtherTable, GapNotCovered, GapStillGrows, GapWithoutBeginning, NotBegun
from ashore.sync.gaps import MARGIN, Window, exportable, missing, window_of
from ashore.sync.markers import is_marker
from ashore.sync.routing import KeyRouter

_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GapStatus:
    """An open gap. Records that were written between `since` (None: unknown) and `until` were lost.

    `is_asked` says that its keys are in the repair queue. `closes` says what closes it; `exports` are the windows, as
    (from, to), that exports have to cover for it.
    """

    gap: int
    shard: str | None
    kind: str
    since: str | None
    until: str
    is_asked: bool
    closes: str
    exports: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GapsRepaired:
    """What a repair from exports did, or would do.

    `keys` are keys by entity that the exports name; `recent` those that PostgreSQL has from since the first export's
    beginning, of rows and other homes. `asked` are the gaps that close once these keys have left the repair queue,
    `closed` those that have closed already, `left` those that stay open. A key that is in two exports counts twice.
    """

    source: str
    keys: Mapping[str, int]
    recent: int
    asked: tuple[int, ...]
    closed: tuple[int, ...]
    left: tuple[GapStatus, ...]
    dry_run: bool


def gaps_of(conn: Conn, source: str) -> tuple[GapStatus, ...]:
    """The open gaps of a source, as the ledger has them."""
    return tuple(_status(gap) for gap in gaps.open_gaps(conn, source))


def _status(gap: Gap) -> GapStatus:
    window = window_of(gap)
    if gap.asked_at is not None:
        closes = "the repair queue, once the keys that were put into it have left it"
    elif gap.decision is None:
        closes = "`ashore sync run --on-gap repair` goes on after it; then `ashore sync repair`"
    elif window is None:
        closes = "`ashore sync repair --scan`"
    else:
        closes = "`ashore sync repair --export …`, or `ashore sync repair --scan`"
    return GapStatus(
        gap=gap.id,
        shard=gap.shard,
        kind=gap.kind,
        since=None if gap.known_at is None else gap.known_at.isoformat(),
        until=gap.found_at.isoformat(),
        is_asked=gap.asked_at is not None,
        closes=closes,
        exports=() if window is None else tuple((_iso(one.since), _iso(one.until)) for one in exportable([window])),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGaps:
    """The open gaps of a source; `exports` are the windows that exports have to cover for all of them together."""

    source: str
    table_arn: str
    gaps: tuple[GapStatus, ...]
    exports: tuple[tuple[str, str], ...]


def open_gaps(project: Project) -> OpenGaps:
    """Read the open gaps; changes nothing.

    Raises:
        NotBegun: Nothing of the source was ever synced.
    """
    source = project.plan.name
    with connect(project.dsn, application_name="ashore sync", autocommit=True) as conn, translated("reading gaps"):
        ensure_ledger(conn)
        stream = _stream(conn, source)
        found = [gap for gap in gaps.open_gaps(conn, source) if gap.asked_at is None]
        listed = gaps_of(conn, source)
    windows = [window for gap in found if (window := window_of(gap)) is not None]
    return OpenGaps(
        source=source,
        table_arn=str(stream.origin.get("table_arn", "")),
        gaps=listed,
        exports=tuple((_iso(one.since), _iso(one.until)) for one in exportable(windows)),
    )


def exports_at(project: Project, paths: Sequence[str]) -> list[ChangesExport]:
    """The incremental exports at some paths, with the project's AWS settings.

    Raises:
        ExportNotFound, ExportUnsupported, ExportDamaged, StorageFailed
    """
    aws = project.settings.aws
    given = Aws(region=aws.region, endpoint_url=aws.endpoint_url, profile=aws.profile)
    return [export for path in paths for export in changes_exports(path, given)]


def repair_from_exports(
    *, plan: Plan, dsn: str, exports: Sequence[ChangesExport], dry_run: bool = False
) -> GapsRepaired:
    """Put every key that an open gap may concern into the repair queue; the queue reads each from the table.

    Those are the keys that the exports name, deletes included, as far as they were written since the gap's beginning;
    and, since an export leaves out what was made and deleted within its window, those of all rows that were written
    since that began, and of rejected and parked items. Nothing is taken from an image. A gap is repaired once they have
    left the queue, which needs a worker. Killed, it may be run again.

    Raises:
        NotBegun, ExportOfOtherTable, GapNotCovered, GapWithoutBeginning, GapStillGrows: Nothing was queued.
        SourceError: An export is damaged. Keys may have been queued, which does no harm; no gap will close by them.
    """
    source = plan.name
    with connect(dsn, application_name="ashore sync repair", autocommit=True) as conn, translated("repairing"):
        ensure_ledger(conn)
        prepare(conn)
        _assert_same_table(source, _stream(conn, source).origin, exports)
        wanted = [gap for gap in gaps.open_gaps(conn, source) if gap.asked_at is None]
        covered = _covered(source, wanted, [Window(*export.window) for export in exports])
        asked = tuple(gap.id for gap in covered)
        collector = _Collector(conn=conn, plan=plan, dry_run=dry_run)
        closed: list[int] = []
        if covered:
            windows = [window for gap in covered if (window := window_of(gap)) is not None]
            used = [one for one in exports if any(window.meets(Window(*one.window)) for window in windows)]
            collector.read(used, since=min(window.since for window in windows))
            collector.read_recent(min(one.window[0] for one in used) - MARGIN)
            if not dry_run:
                with conn.transaction():
                    gaps.gaps_asked(conn, source, asked)
                    detail = {"source": source, "gaps": list(asked), "keys": sum(collector.keys.values())}
                    records.audit(conn, "sync repair", {**detail, "recent": collector.recent})
                closed = gaps.close_gaps(conn, source)
        left = tuple(one for one in gaps_of(conn, source) if one.gap not in asked)
    return GapsRepaired(
        source=source,
        keys=dict(sorted(collector.keys.items())),
        recent=collector.recent,
        asked=asked,
        closed=tuple(closed),
        left=left,
        dry_run=dry_run,
    )


def _stream(conn: Conn, source: str) -> streams.StreamRecord:
    stream = streams.stream_of(conn, source)
    if stream is None:
        raise NotBegun(source=source)
    return stream


def _assert_same_table(source: str, origin: Mapping[str, Any], exports: Iterable[ChangesExport]) -> None:
    for export in exports:
        manifest = export.describe()
        is_other = manifest.table_arn != origin.get("table_arn")
        ids = {manifest.table_id, origin.get("table_id")} - {None, ""}
        if is_other or len(ids) > 1:
            raise ExportOfOtherTable(source=source, export=manifest.location)


def _covered(source: str, wanted: Sequence[Gap], windows: Sequence[Window]) -> list[Gap]:
    """The gaps that these windows cover; if none is, and some are open, the error that says why."""
    growing = tuple(gap.id for gap in wanted if gap.decision is None)
    needed = [(gap, window_of(gap)) for gap in wanted if gap.decision is not None]
    unknown = tuple(gap.id for gap, window in needed if window is None)
    lacking = {gap.id: missing(window, windows) for gap, window in needed if window is not None}
    covered = [gap for gap, window in needed if window is not None and not lacking[gap.id]]
    if covered or not wanted:
        return covered
    if any(lacking.values()):
        listed = sorted({(window, gap) for gap, parts in lacking.items() for window in parts})
        raise GapNotCovered(source=source, missing=tuple(f"{window} (gap {gap})" for window, gap in listed))
    if unknown:
        raise GapWithoutBeginning(source=source, gaps=unknown)
    raise GapStillGrows(source=source, gaps=growing)


@dataclass(slots=True, kw_only=True)
class _Collector:
    """Puts keys of entities whose stream is applied into the queue, some thousands a transaction."""

    conn: Conn
    plan: Plan
    dry_run: bool
    keys: Counter[str] = field(default_factory=Counter)
    recent: int = 0
    _router: KeyRouter = field(init=False)
    _applied: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._router = KeyRouter(self.plan)
        states = loads.entities_of(self.conn, self.plan.name)
        self._applied = frozenset(name for name, one in states.items() if one.state in APPLYING)

    def read(self, exports: Iterable[ChangesExport], *, since: datetime) -> None:
        """The keys of exports, without those whose last write was before `since`."""
        micros = since.timestamp() * 1e6
        for export in exports:
            for block in export.changed():
                changed = [one.key for one in block if one.written is None or one.written >= micros]
                self.keys.update(self._queue(changed))

    def read_recent(self, since: datetime) -> None:
        """The keys of what PostgreSQL has from since a moment, or where that cannot be told of all that it has."""
        oldest = written.written_since(self.conn, self.plan.name, since)
        for name in sorted(self._applied & self.plan.entities.keys()):
            entity = self.plan.entities[name]
            for block in _recent(self.conn, entity, tables_of(self.conn, entity), oldest):
                self.recent += self._queue(block).total()
        self.recent += self._queue(written.keys_without_rows(self.conn, self.plan.name)).total()

    def _queue(self, keys: Sequence[bytes]) -> Counter[str]:
        counts: Counter[str] = Counter()
        found: dict[bytes, str] = {}
        for key in keys:
            if is_marker(self.plan, key):
                continue
            keyed = self._router.keyed(Change(0, key, None, 0.0))
            if keyed.entity is not None and keyed.entity in self._applied:
                found[keyed.key] = keyed.entity
        counts.update(found.values())
        if not self.dry_run:
            rows = [(key_hash(key), key, entity) for key, entity in found.items()]
            for start in range(0, len(rows), _AT_ONCE):
                ask_repair(self.conn, self.plan.name, rows[start : start + _AT_ONCE], reason="gap")
        return counts


def _recent(
    conn: Conn, entity: EntityPlan, tables: Mapping[str, TableName], oldest: int | None
) -> Iterator[list[bytes]]:
    reader = RowReader(plan=entity, tables=tables)
    for keys in written.keys_written_since(conn, reader.table, reader.key_columns, oldest):
        yield [_key(entity, from_rows(entity, rows)) for _, rows in reader.by_key(conn, keys)]
    if entity.copies is not None:
        table = tables[entity.copies.table.fullname]
        for items in written.items_written_since(conn, table, oldest):
            yield [_key(entity, whole_item(item)) for item in items]


def _key(entity: EntityPlan, item: Item) -> bytes:
    return encode({one.name: item[one.name] for one in key_attributes(entity)})


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
