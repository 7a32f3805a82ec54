"""Cutting entities over, and back: plan and gates first, then the switch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from ashore.cutover import gates, guard, run, switch
from ashore.cutover.cost import WRITE_UNIT_BYTES, expected_units
from ashore.cutover.gates import Conditions, Gate
from ashore.cutover.run import Done, Order, Rehearsed
from ashore.cutover.switch import Crossing
from ashore.dynamodb.facts import replicas_of
from ashore.dynamodb.write import dollars_for
from ashore.ledger import crossing, outbox, records
from ashore.ledger.schema import ensure_ledger
from ashore.pipeline.deny import allow_again, fence_of, is_denied, lock_denials, sids_of
from ashore.pipeline.groups import whole_groups
from ashore.pipeline.load import tables_of
from ashore.pipeline.project import Project
from ashore.pipeline.sync import table_source
from ashore.pipeline.waivers import waived_lines
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoverPlan:
    """What a command would do: to which entities, with which gates, fenced how, holding writes for how long at most.

    `cost` says what writing back takes afterwards, `waived` what is passed by, and why.
    """

    doing: str
    entities: tuple[str, ...]
    gates: tuple[Gate, ...]
    fence: tuple[str, ...]
    max_pause_seconds: float
    cost: tuple[str, ...] = ()
    waived: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether nothing stands in the way."""
        return all(gate.is_open for gate in self.gates)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "is_open": self.is_open}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user says of a cutover. See `ashore.cutover.gates.Conditions`; `roles` are the application's."""

    roles: tuple[str, ...] = ()
    max_pause_seconds: float = 60.0
    validity_seconds: float | None = None
    has_way_back: bool = True
    restore_point: str | None = None
    writes_from: str | None = None


@dataclass(slots=True, kw_only=True)
class Cutover:
    """The commands over one connection; made by `opened`. Each looks at its gates again before it changes anything."""

    conn: Conn
    project: Project
    one: Crossing
    options: Options

    def plan_reads(self) -> CutoverPlan:
        """What has to hold before reads move."""
        found = tuple(gates.reads_gates(self.conn, self.one))
        fence = ("none: calls that feed a write stay on DynamoDB, and so do writes",)
        return self._plan("moving the reads", found, fence, 0.0)

    def plan_writes(self) -> CutoverPlan:
        """What has to hold before writes move. Asks AWS for point-in-time recovery and replicas."""
        found = tuple(gates.writes_gates(self.conn, self.one, self._conditions()))
        plan = self._plan("moving the writes", found, self._fence(), self.options.max_pause_seconds)
        return replace(plan, cost=self._cost()) if self.options.has_way_back else plan

    def plan_back(self) -> CutoverPlan:
        """What has to hold before writes move back."""
        found = tuple(gates.return_gates(self.conn, self.one))
        return self._plan("the way back", found, self._fence(), self.options.max_pause_seconds)

    def plan_retire(self) -> CutoverPlan:
        """What has to hold before the way back is closed for good."""
        return self._plan("retiring", tuple(gates.retire_gates(self.conn, self.one)), (), 0.0)

    def rehearse(self) -> Rehearsed:
        """How long a cutover would hold writes; nothing is held."""
        self._set_validity()
        return run.rehearse(self.conn, self.one, self._order())

    def reads(self) -> None:
        """Move the reads.

        Raises:
            GatesClosed, RoleMayStillWrite, StateMoved: Nothing was moved.
        """
        gates.assert_open("moving the reads", self.plan_reads().gates)
        self._set_validity()
        switch.guard_up(self.conn, self.one, self.options.roles)
        self._move("syncing", "reading", "cutover reads")

    def writes(self) -> Done:
        """Move the writes.

        Raises:
            GatesClosed, RoleMayStillWrite: Nothing was moved.
            TookTooLong, StateMoved: Writes go to DynamoDB, as before.
        """
        gates.assert_open("moving the writes", self.plan_writes().gates)
        self._set_validity()
        switch.guard_up(self.conn, self.one, self.options.roles)
        self._audit("cutover writes")
        return run.cut_over(self.conn, self.one, self._order())

    def back(self) -> Done:
        """One step back: reads from PostgreSQL, or writes once DynamoDB has everything.

        Raises:
            GatesClosed: Nothing was moved.
            TookTooLong, StateMoved, RoleMayStillWrite: Writes go to PostgreSQL, as before; what denied them in DynamoDB
                was taken back.
            PolicyMoved, SourceError: The table's policy still denies them. Nothing was moved.
        """
        states = crossing.crossing_states(self.conn, self.one.source)
        if all(states[name].state == "reading" for name in self.one.entities if name in states):
            self._move("reading", "syncing", "rollback reads")
            return Done(entities=self.one.entities, state="syncing", pause_seconds=0.0, passed="no writes were held")
        gates.assert_open("the way back", self.plan_back().gates)
        self._audit("rollback writes")
        self._allow_writes()
        return run.roll_back(self.conn, self.one, self._order())

    def retire(self) -> None:
        """Close the way back for good: nothing is written to DynamoDB any more.

        Raises:
            GatesClosed, StateMoved, TookTooLong: Nothing was moved.
        """
        gates.assert_open("retiring", self.plan_retire().gates)
        run.retire(self.conn, self.one, self._order(), note=lambda: self._audit("retire"))

    def _plan(self, doing: str, found: tuple[Gate, ...], fence: tuple[str, ...], seconds: float) -> CutoverPlan:
        return CutoverPlan(
            doing=doing,
            entities=self.one.entities,
            gates=found,
            fence=fence,
            max_pause_seconds=seconds,
            waived=waived_lines(self.conn, self.one.source),
        )

    def _move(self, expected: str, to: crossing.OpenState, command: str) -> None:
        with self.conn.transaction():
            crossing.move(self.conn, source=self.one.source, entities=self.one.entities, expected=expected, to=to)
            self._audit(command)

    def _audit(self, command: str) -> None:
        said = {name: value for name, value in asdict(self.options).items() if value is not None}
        detail = {"source": self.one.source, "entities": list(self.one.entities), "options": said}
        records.audit(self.conn, command, detail)

    def _allow_writes(self) -> None:
        """Take back what denies writes in DynamoDB, before it takes them; PostgreSQL has them until then."""
        plan, names = self.one.plan, self.one.entities
        source = table_source(self.project)
        lock_denials(self.conn, plan.name, source)
        if is_denied(plan, source, names) or records.was_denied(self.conn, plan.name, sids_of(plan, names)):
            allow_again(self.conn, plan, source, names)

    def _order(self) -> Order:
        return Order(max_pause_seconds=self.options.max_pause_seconds, has_way_back=self.options.has_way_back)

    def _set_validity(self) -> None:
        if self.options.validity_seconds is not None:
            crossing.set_validity(self.conn, self.one.source, round(self.options.validity_seconds * 1000))

    def _conditions(self) -> Conditions:
        table = table_source(self.project)
        return Conditions(
            max_pause_seconds=self.options.max_pause_seconds,
            has_way_back=self.options.has_way_back,
            point_in_time_recovery=table.describe().point_in_time_recovery,
            restore_point=self.options.restore_point,
            replicas=replicas_of(table.table, table.aws),
            writes_from=self.options.writes_from,
            stream_region=table.describe().arn.split(":")[3],
        )

    def _cost(self) -> tuple[str, ...]:
        """What writing back takes, judged by the changes that the stream brought so far."""
        table = table_source(self.project).describe()
        units = max(1, math.ceil(table.bytes / max(table.items, 1) / WRITE_UNIT_BYTES))
        found = expected_units(self.conn, self.one, units_an_item=units)
        cap = outbox.standing(self.conn, self.one.source).units_per_second or self.project.settings.write_back_units
        limited = "no cap: see `ashore sync limit`" if cap is None else f"capped at {cap:,g} write units a second"
        if found is None:
            return (f"writing back: how much is not known yet, nothing was seen for a minute; {limited}",)
        seen = f"judged by {found.changes:,} changes in {found.hours:,.1f} hours"
        dollars = f"${dollars_for(found.units_a_day):,.2f} on demand in us-east-1"
        return (
            f"writing back: about {found.units_a_day:,.0f} write units a day ({dollars}), {seen}; {limited}",
            f"an item is taken to be {units} KB, the table's average; each index that it is in costs as much again",
        )

    def _fence(self) -> tuple[str, ...]:
        how = guard.how(self.conn, self.one.source, self.one.entities)
        if how == "not guarded":
            how = "will be guarded by " + (
                f"privileges of {', '.join(self.options.roles)}" if self.options.roles else "a trigger"
            )
        seconds = crossing.fence_seconds(self.conn, self.one.source)
        return (
            f"applications act on what they were told for {seconds:g} s at most; the fence waits for that long",
            f"PostgreSQL: {how}",
            *fence_of(self.conn, self.one.plan, table_source(self.project), self.one.entities),
            "that the stream was read past the fence is known by time, unless markers are on",
        )


@contextmanager
def opened(project: Project, entities: Sequence[str], options: Options) -> Iterator[Cutover]:
    """The commands for a crossing group, over a connection of their own.

    Raises:
        UnknownEntity, NotOneGroup: The names are not those of one or several whole groups.
        CannotConnect
    """
    names = whole_groups(project.plan, entities)
    with connect(project.dsn, application_name="ashore cutover", autocommit=True) as conn, translated("cutting over"):
        ensure_ledger(conn)
        tables = {
            name: table for entity in project.plan.entities.values() for name, table in tables_of(conn, entity).items()
        }
        one = Crossing(plan=project.plan, entities=names, tables=tables)
        yield Cutover(conn=conn, project=project, one=one, options=options)
