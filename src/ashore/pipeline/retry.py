"""Trying rejected items again, with the declaration as it is now."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from psycopg.rows import class_row

from ashore.dynamodb.scan import TableSource
from ashore.errors import AshoreError
from ashore.ledger import loads, records, repairs
from ashore.ledger.loads import LoadRecord
from ashore.ledger.locks import lock_flow
from ashore.ledger.repairs import key_hash
from ashore.ledger.schema import ensure_ledger
from ashore.load.errors import LoadInProgress
from ashore.mapping.encoder import item_key
from ashore.mapping.match import AsRow, key_texts, matcher
from ashore.mapping.plan import Plan
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import to_rows
from ashore.model.item import Item
from ashore.pipeline.load import tables_of
from ashore.pipeline.project import Project, item_source
from ashore.pipeline.rejects import NoSuchReject
from ashore.pipeline.retry_one import Stored, Trial, Verdict
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated
from ashore.postgres.items import prepare

_LOCK_PATIENCE_SECONDS: Final = 3.0
_AT_ONCE: Final = 100
_CHOSEN: Final = """
    SELECT id FROM ashore.rejected_item
    WHERE source = %(source)s AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))
      AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    ORDER BY id
"""
_STORED: Final = "SELECT id, load, entity, reason, item FROM ashore.rejected_item WHERE id = ANY(%s) ORDER BY id"
_DUPLICATES: Final = """
    SELECT id, load, entity, reason, item FROM ashore.rejected_item
    WHERE source = %s AND reason = 'duplicate_key' ORDER BY id
"""


@dataclass(eq=False, kw_only=True)
class LoadUnfinished(AshoreError):
    """A load of the source has not ended, so that its tables have no keys yet; nothing was changed."""

    source: str
    load: int

    code = "ASH621"
    exit_code = 3

    def what(self) -> str:
        return f"load {self.load} of {self.source} has not ended"

    def hint(self) -> str:
        return "finish it with `ashore load` first"


@dataclass(eq=False, kw_only=True)
class OtherSource(AshoreError):
    """The rejected items came from a table, and the settings name another source; nothing was changed."""

    source: str

    code = "ASH622"
    exit_code = 3

    def what(self) -> str:
        return f"the rejected items of {self.source} came from another table than the settings name"

    def hint(self) -> str:
        return "name the table that was loaded, with --table or in ashore.toml: the items are read again from it"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryReport:
    """What became of the rejected items that were tried again: each is in one of the five numbers.

    `landed` have rows now. `gone` are no longer in the table. `needs_no_row` are now counted under a rule, or belong
    to an entity that is not loaded. `queued` belong to an entity into which the stream flows: the sync reads them again
    from the table. Those that stay are in `stays`, with the reasons of today.
    """

    source: str
    tried: int
    landed: int
    gone: int
    needs_no_row: int
    stays: tuple[Verdict, ...]
    queued: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        stays = [{name: getattr(one, name) for name in ("id", "entity", "reason", "attribute")} for one in self.stays]
        numbers = {
            name: getattr(self, name) for name in ("source", "tried", "landed", "gone", "needs_no_row", "queued")
        }
        return {**numbers, "stays": len(self.stays), "rejects": stays}


def retry_rejects(project: Project, *, numbers: Sequence[int] = (), reason: str | None = None) -> RetryReport:
    """Try rejected items again: those with the given numbers, or of one reason, or all.

    Items of a table are read again, strongly consistent; those of an export are taken as they were stored. Each item
    lands, or stays, in a transaction of its own. Idempotent; killed, it goes on when it is called again.

    Two items that give one row key both stay, as in a load, until one of them is gone.

    Raises:
        NoSuchReject: A number is not there.
        LoadInProgress, LoadUnfinished, OtherSource: Nothing was changed.
        SourceError: The table could not be read; what landed stays.
    """
    source = project.plan.name
    with connect(project.dsn, application_name="ashore rejects retry", autocommit=True) as conn:
        with translated("starting to try again"):
            ensure_ledger(conn)
            record = _guarded(conn, source)
            chosen = _chosen(conn, source, numbers, reason)
            queued = _queue(conn, project.plan, chosen)
            chosen = [number for number in chosen if number not in queued]
            prepare(conn)
        verdicts = [] if record is None else list(_Retry(project, conn, record).run(chosen))
        with translated("writing the audit"):
            outcomes: Counter[str] = Counter(verdict.outcome for verdict in verdicts)
            if verdicts:
                records.audit(conn, "rejects retry", {"source": source, **outcomes})
    return RetryReport(
        source=source,
        tried=len(verdicts) + len(queued),
        landed=outcomes["landed"],
        gone=outcomes["gone"],
        needs_no_row=outcomes["needs_no_row"],
        stays=tuple(verdict for verdict in verdicts if verdict.outcome == "stays"),
        queued=len(queued),
    )


def _queue(conn: Conn, plan: Plan, chosen: Sequence[int]) -> frozenset[int]:
    """Put the items of entities into which the stream flows into the repair queue; return their numbers."""
    known = loads.entities_of(conn, plan.name)
    synced = {name for name, one in known.items() if one.state in {"merging", "syncing", "reading"}}
    if not synced:
        return frozenset()
    with conn.cursor(row_factory=class_row(Stored)) as cursor:
        found = cursor.execute(_STORED, (list(chosen),)).fetchall()
    queued = {}
    for stored in found:
        key = _key(plan, stored.item)
        if key is not None and (stored.entity or loads.UNMATCHED) in synced:
            queued[stored.id] = (item_key(plan, key).encode(), stored.entity)
    keys = [(key_hash(key), key, entity) for key, entity in queued.values()]
    repairs.ask_repair(conn, plan.name, keys, reason="retry")
    return frozenset(queued)


def _guarded(conn: Conn, source: str) -> LoadRecord | None:
    """The newest load, ended, with the lock of the flow taken; None where there was none yet."""
    if not lock_flow(conn, source, patience_seconds=_LOCK_PATIENCE_SECONDS):
        holder = loads.unfinished(conn, source)
        if holder is None:
            raise LoadInProgress(source=source, host=None, pid=None, since=None)
        raise LoadInProgress(source=source, host=holder.host, pid=holder.pid, since=holder.run_started_at)
    unfinished = loads.unfinished(conn, source)
    if unfinished is not None:
        raise LoadUnfinished(source=source, load=unfinished.id)
    return loads.last(conn, source)


def _chosen(conn: Conn, source: str, numbers: Sequence[int], reason: str | None) -> list[int]:
    wanted = {"source": source, "ids": list(numbers) or None, "reason": reason}
    found = [number for (number,) in conn.execute(_CHOSEN, wanted)]
    for number in numbers:
        if number not in found:
            raise NoSuchReject(number=number, source=source)
    return found


class _Retry:
    """One call of `retry_rejects`, once it holds the lock."""

    def __init__(self, project: Project, conn: Conn, record: LoadRecord) -> None:
        self._conn = conn
        self._plan = project.plan
        known = loads.entities_of(conn, project.plan.name)
        loaded = [name for name in project.plan.entities if name in known and known[name].state == "loaded"]
        targets = {name: table for one in loaded for name, table in tables_of(conn, self._plan.entities[one]).items()}
        self._trial = Trial(conn=conn, plan=self._plan, encoder=self._plan.encoder(loaded), targets=targets)
        self._table = _table(project, record)

    def run(self, chosen: Sequence[int]) -> Iterator[Verdict]:
        with translated("trying rejected items again"):
            rivals = self._rivals()
            for start in range(0, len(chosen), _AT_ONCE):
                with self._conn.cursor(row_factory=class_row(Stored)) as cursor:
                    batch = cursor.execute(_STORED, (chosen[start : start + _AT_ONCE],)).fetchall()
                now = self._now(batch)
                for stored in batch:
                    raw = now[stored.id]
                    key = None if raw is None else self._row_key(raw)
                    is_contested = key is not None and bool(rivals.get(key, set()) - {stored.id})
                    verdict = self._trial.run(stored, raw, is_contested=is_contested)
                    if verdict.outcome != "stays" and key is not None:
                        rivals.get(key, set()).discard(stored.id)
                    yield verdict

    def _rivals(self) -> Mapping[tuple[Any, ...], set[int]]:
        """Row key → the items rejected as its duplicates that are still there."""
        found: defaultdict[tuple[Any, ...], set[int]] = defaultdict(set)
        with self._conn.cursor(row_factory=class_row(Stored)) as cursor:
            duplicates = cursor.execute(_DUPLICATES, (self._plan.name,)).fetchall()
        for start in range(0, len(duplicates), _AT_ONCE):
            for number, raw in self._now(duplicates[start : start + _AT_ONCE]).items():
                key = None if raw is None else self._row_key(raw)
                if key is not None:
                    found[key].add(number)
        return found

    def _now(self, batch: Sequence[Stored]) -> dict[int, bytes | None]:
        """The items as they are now; None for one that is gone."""
        if self._table is None:
            return {stored.id: stored.item for stored in batch}
        keys = {stored.id: _key(self._plan, stored.item) for stored in batch}
        wanted = {item_key(self._plan, key): key for key in keys.values() if key is not None}
        found = {item_key(self._plan, _decode(raw)): raw for raw in self._table.get_items(list(wanted.values()))}
        return {
            stored.id: stored.item if (key := keys[stored.id]) is None else found.get(item_key(self._plan, key))
            for stored in batch
        }

    def _row_key(self, raw: bytes) -> tuple[Any, ...] | None:
        """The key of the row that an item would be; None where it would be none."""
        try:
            item = _decode(raw)
            match = matcher(self._plan)(*key_texts(self._plan, item))
            if not isinstance(match, AsRow):
                return None
            row = to_rows(match.entity, item, match.generation).row
        except (UnfitError, msgspec.DecodeError):
            return None
        return (match.entity.name, *(row[column.name] for column in match.entity.table.primary_key.columns))


def _table(project: Project, record: LoadRecord) -> TableSource | None:
    """The table to read items again from; None where the load was of an export.

    Raises:
        OtherSource: The settings name another one.
    """
    if record.origin.get("kind") != "table":
        return None
    source = None if project.settings.items_from is None else item_source(project.settings)
    if not isinstance(source, TableSource) or source.origin != record.origin:
        raise OtherSource(source=project.plan.name)
    return source


def _key(plan: Plan, raw: bytes) -> Item | None:
    """The item's key attributes; None where it has none that can be asked for."""
    try:
        item = _decode(raw)
        key_texts(plan, item)
    except (UnfitError, msgspec.DecodeError):
        return None
    return {key.name: item[key.name] for key in (plan.partition_key, plan.sort_key) if key is not None}


def _decode(raw: bytes) -> Item:
    return msgspec.json.decode(raw, type=dict[str, dict[str, Any]])
