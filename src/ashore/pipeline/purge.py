"""Purging: a retired group's items are deleted from DynamoDB, after its plan and its gates."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ashore.cost import prices
from ashore.cutover.errors import OtherPurgeUnfinished, PurgeIsRunning
from ashore.cutover.gates import Gate, assert_open
from ashore.cutover.purge import OTHERS, Purger
from ashore.cutover.purge_gates import PurgeConditions, purge_gates
from ashore.dynamodb.budget import ReadBudget
from ashore.dynamodb.facts import TableFacts, reads_of_a_day, table_facts
from ashore.dynamodb.remove import ItemRemover, write_unit_bytes
from ashore.dynamodb.scan import TableSource
from ashore.ledger import locks, purges, records
from ashore.ledger.purges import PurgeRecord
from ashore.ledger.schema import ensure_ledger
from ashore.mapping.plan import key_attributes
from ashore.observe.events import Emit, LoadStarted, silent
from ashore.pipeline.groups import whole_groups
from ashore.pipeline.load import tables_of
from ashore.pipeline.project import Project
from ashore.pipeline.sync import table_source
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated

DEFAULT_WRITE_UNITS: Final = 200.0
_WRITERS: Final = 16
_PATIENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeOptions:
    """What the user says; see `PurgeConditions` for what opens a gate.

    `write_units` a second are held. With `without_rows` items go as well whose row is not in PostgreSQL (any more).
    """

    restore_point: str | None = None
    table_restore_point: str | None = None
    keep_export: Path | None = None
    nobody_reads: bool = False
    nobody_writes: bool = False
    consumers_know: bool = False
    without_rows: bool = False
    write_units: float = DEFAULT_WRITE_UNITS

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"keep_export": None if self.keep_export is None else str(self.keep_export)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgePlan:
    """What a purge would do, and its gates.

    `items` are those of the entity's last load, copies included, and None where none is known; so they are an
    estimate, as the units are. `seconds` is at the budget. `dollars` is None for provisioned capacity, which is
    paid for anyway. `goes_on` says what an unfinished purge of the same entities has deleted.
    """

    entities: tuple[str, ...]
    table: str
    items: dict[str, int | None]
    as_of: str | None
    table_items: int
    write_units: float
    read_units: float
    dollars: float | None
    price: str
    seconds: float
    replicas: tuple[str, ...]
    keeps_in: str | None
    goes_on: str | None
    gates: tuple[Gate, ...]

    @property
    def is_open(self) -> bool:
        """Whether nothing stands in the way."""
        return all(gate.is_open for gate in self.gates)

    @property
    def confirmation(self) -> str:
        """What has to be typed."""
        return ",".join(self.entities)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "is_open": self.is_open}


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What became of the items: name of the entity → outcome → items.

    Outcomes: `deleted`; `gone` before their turn came; and left alone: `changed` since they were read, `foreign`
    (others wrote them), `without_row`. `not_touched` is what is not of these entities, `unreadable` among it.
    """

    purge: int
    entities: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    not_touched: int
    items_read: int
    read_units: float
    write_units: float
    kept_in: str | None

    @property
    def left(self) -> int:
        """Items of these entities that are in DynamoDB still."""
        left = ("changed", "foreign", "without_row")
        return sum(items for of in self.counts.values() for outcome, items in of.items() if outcome in left)

    @property
    def deleted(self) -> int:
        """Items that were deleted."""
        return sum(of.get("deleted", 0) for of in self.counts.values())

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "deleted": self.deleted, "left": self.left}


@dataclass(slots=True, kw_only=True)
class Purge:
    """The command over one connection; made by `opened`."""

    conn: Conn
    project: Project
    entities: tuple[str, ...]
    options: PurgeOptions
    source: TableSource

    def plan(self) -> PurgePlan:
        """What it would do. Asks AWS about the table, its readers and those of its stream; deletes nothing.

        Raises:
            OtherPurgeUnfinished: A purge that was begun has to be ended first.
            SourceError: The table cannot be described.
        """
        facts = table_facts(self.source.table, self.source.aws)
        begun = self._begun()
        expected = purges.expected_items(self.conn, self.project.plan.name, self.entities)
        items = {name: expected[name][0] if name in expected else None for name in self.entities}
        ended = [at for _, at in expected.values() if at is not None]
        writes, reads = _units(facts, sum(found or 0 for found in items.values()))
        dollars, price = _dollars(facts, writes, reads)
        budget = self.source.read_units_per_second
        return PurgePlan(
            entities=self.entities,
            table=facts.info.arn,
            items=items,
            as_of=min(ended).isoformat() if ended else None,
            table_items=facts.info.items,
            write_units=writes,
            read_units=reads,
            dollars=dollars,
            price=price,
            seconds=writes / self.options.write_units + (reads / budget if budget else 0.0),
            replicas=facts.replicas,
            keeps_in=self._kept_in,
            goes_on=None if begun is None else self._done_so_far(begun),
            gates=tuple(purge_gates(self.conn, self.project.plan, self.entities, self._conditions(facts, begun))),
        )

    def run(self, emit: Emit = silent) -> Purged:
        """Delete; goes on where an earlier run was killed.

        Raises:
            GatesClosed, OtherPurgeUnfinished, PurgeIsRunning: Nothing was deleted.
            SourceError, LeaseLost, KeptItemsMissing: What was deleted is counted, and the same command goes on.
        """
        source = self.project.plan.name
        if not locks.lock_flow(self.conn, f"{source} purge", patience_seconds=_PATIENCE_SECONDS):
            raise PurgeIsRunning(source=source)
        try:
            ahead = self.plan()
            assert_open("purging", ahead.gates)
            record = self._record()
            told = {"source": source, "entities": list(self.entities), "options": self.options.as_json()}
            records.audit(self.conn, "purge", {**told, "purge": record.id, "run": record.run})
            emit(self._started(record, ahead))
            self._purge(record, emit)
            done = self._outcome(record)
            with self.conn.transaction():
                purges.end(self.conn, record)
                records.audit(self.conn, "purged", {"source": source, **done.as_json()})
            return done
        finally:
            locks.unlock_flow(self.conn, f"{source} purge")

    def _purge(self, record: PurgeRecord, emit: Emit) -> None:
        plan = self.project.plan
        tables = {
            name: table for entity in plan.entities.values() for name, table in tables_of(self.conn, entity).items()
        }
        with ThreadPoolExecutor(_WRITERS, thread_name_prefix="ashore purge") as executor:
            Purger(
                conn=self.conn,
                plan=plan,
                tables=tables,
                source=self.source,
                get_items=self.source.get_items,
                remover=ItemRemover(
                    table=self.source.table,
                    key=tuple(key.name for key in key_attributes(plan)),
                    region=self.source.region,
                    endpoint_url=self.source.endpoint_url,
                    profile=self.source.profile,
                ),
                executor=executor,
                budget=ReadBudget(self.options.write_units),
                needs_row=not self.options.without_rows,
                emit=emit,
            ).run(record)

    def _record(self) -> PurgeRecord:
        begun = self._begun()
        if begun is not None:
            return purges.take_over(self.conn, begun, self.options.as_json())
        return purges.begin(
            self.conn,
            source=self.project.plan.name,
            entities=self.entities,
            origin=self.source.origin,
            said=self.options.as_json(),
            kept_in=self._kept_in,
            units=self.source.units(),
        )

    def _begun(self) -> PurgeRecord | None:
        """The unfinished purge, which must be this one."""
        begun = purges.unfinished(self.conn, self.project.plan.name)
        if begun is None:
            return None
        differs = [
            what
            for what, one, other in (
                ("other entities", sorted(self.entities), sorted(begun.entities)),
                ("another table", self.source.origin, begun.origin),
                ("another folder in --keep-export", self._kept_in, begun.kept_in),
            )
            if one != other
        ]
        if differs:
            raise OtherPurgeUnfinished(began=", ".join(begun.entities), differs=" and ".join(differs))
        return begun

    @property
    def _kept_in(self) -> str | None:
        folder = self.options.keep_export
        return None if folder is None else str(folder.resolve())

    def _conditions(self, facts: TableFacts, begun: PurgeRecord | None) -> PurgeConditions:
        """Reads since an unfinished purge was begun are its own, and not counted."""
        until = datetime.now(UTC) if begun is None else begun.started_at
        lambdas, kinesis = facts.lambda_readers, facts.kinesis_streams
        return PurgeConditions(
            table_arn=facts.info.arn,
            point_in_time_recovery=facts.info.point_in_time_recovery,
            table_restore_point=self.options.table_restore_point,
            kept_in=self._kept_in,
            restore_point=self.options.restore_point,
            read_units=reads_of_a_day(facts.info, self.source.aws, until),
            consumers=None if lambdas is None or kinesis is None else (*lambdas, *kinesis),
            nobody_reads=self.options.nobody_reads,
            nobody_writes=self.options.nobody_writes,
            consumers_know=self.options.consumers_know,
        )

    def _done_so_far(self, begun: PurgeRecord) -> str:
        done = self._outcome(begun)
        return f"purge {begun.id} is unfinished: {done.items_read:,} items read, {done.deleted:,} deleted"

    def _started(self, record: PurgeRecord, ahead: PurgePlan) -> LoadStarted:
        read, _, _ = purges.sums_of(self.conn, record.id)
        return LoadStarted(
            source=self.project.plan.name,
            load=record.id,
            attempt=1,
            run=record.run,
            resumed=record.run > 1,
            entities=self.entities,
            units=len(self.source.units()),
            units_done=0,
            items_expected=ahead.table_items,
            items_done=read,
            what="purge",
        )

    def _outcome(self, record: PurgeRecord) -> Purged:
        counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for (entity, _, outcome), items in purges.counts_of(self.conn, record.id).items():
            counts[entity][outcome] = counts[entity].get(outcome, 0) + items
        others = counts.pop(OTHERS, {})
        read, read_units, write_units = purges.sums_of(self.conn, record.id)
        return Purged(
            purge=record.id,
            entities=self.entities,
            counts=dict(counts),
            not_touched=sum(others.values()),
            items_read=read,
            read_units=read_units,
            write_units=write_units,
            kept_in=record.kept_in,
        )


@contextmanager
def opened(project: Project, entities: Sequence[str], options: PurgeOptions) -> Iterator[Purge]:
    """The purge of whole crossing groups, over a connection of its own.

    Raises:
        UnknownEntity, NotOneGroup: The names are not those of one or several whole groups.
        NeedsTable, CannotConnect
    """
    names = whole_groups(project.plan, entities)
    source = table_source(project)
    with connect(project.dsn, application_name="ashore purge", autocommit=True) as conn, translated("purging"):
        ensure_ledger(conn)
        yield Purge(conn=conn, project=project, entities=names, options=options, source=source)


def _units(facts: TableFacts, items: int) -> tuple[float, float]:
    """Write units of the deletions, each in every index too, at the table's mean size; read units of the table."""
    mean = facts.info.bytes / facts.info.items if facts.info.items else 0.0
    each = max(1, math.ceil(mean / write_unit_bytes)) * (1 + len(facts.info.indexes))
    return float(items * each), facts.info.estimate().read_units


def _dollars(facts: TableFacts, writes: float, reads: float) -> tuple[float | None, str]:
    if facts.billing == "provisioned":
        return None, "paid for by its provisioned capacity"
    found = prices.infrequent_access if facts.table_class == "STANDARD_INFREQUENT_ACCESS" else prices.standard
    write, read = found.write_request, found.read_request
    dollars = writes / 1e6 * write.dollars + reads / 1e6 * read.dollars
    shown = f"${write.dollars} a {write.unit[:-1]} and ${read.dollars} a {read.unit[:-1]}"
    return round(dollars, 2), f"{shown}, {prices.region}, as of {write.as_of}"
