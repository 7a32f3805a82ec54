"""Gates of a purge: what has to hold before items are deleted from DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ashore.cutover.gates import Gate
from ashore.ledger import crossing, freshness, leases, purges, streams
from ashore.mapping.pattern import common_text
from ashore.mapping.plan import EntityPlan, Generation, Plan
from ashore.postgres.connect import Conn, one_row

MOST_LAG_SECONDS: Final = 60.0

_WAITING: Final = """
    SELECT (SELECT count(*) FROM ashore.rejected_item WHERE source = %(source)s AND entity = ANY(%(entities)s)),
           (SELECT count(*) FROM ashore.parked_change WHERE source = %(source)s AND entity = ANY(%(entities)s)),
           (SELECT count(*) FROM ashore.outbox
            WHERE source = %(source)s AND entity = ANY(%(entities)s) AND back)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeConditions:
    """What only the user or AWS can say.

    Attributes:
        point_in_time_recovery: Of the DynamoDB table; None where it cannot be asked.
        table_restore_point: The export or backup of the DynamoDB table, in the user's words.
        kept_in: The folder that items are written to before they are deleted.
        restore_point: What PostgreSQL could be restored to, in the user's words.
        table_arn: Of the table that the settings name.
        read_units: What the table's readers consumed in the day before; None where CloudWatch cannot be asked.
        consumers: Who else reads the table's stream, as far as AWS lists them; None where it cannot be asked.
        nobody_reads, nobody_writes, consumers_know: What the user says where it cannot be seen.
    """

    table_arn: str
    point_in_time_recovery: bool | None = None
    table_restore_point: str | None = None
    kept_in: str | None = None
    restore_point: str | None = None
    read_units: float | None = None
    consumers: tuple[str, ...] | None = None
    nobody_reads: bool = False
    nobody_writes: bool = False
    consumers_know: bool = False


def purge_gates(conn: Conn, plan: Plan, entities: Sequence[str], conditions: PurgeConditions) -> list[Gate]:
    """What has to hold before items of these entities, a whole crossing group, are deleted."""
    return [
        _retired(conn, plan, entities),
        _verified(conn, plan, entities),
        _nothing_waits(conn, plan, entities),
        _own_keys(plan, entities),
        _same_table(conn, plan, conditions),
        *_restore_points(conditions),
        _written_by_nobody(conn, plan, conditions),
        _read_by_nobody(conn, plan, entities, conditions),
        _consumers(conditions),
    ]


def _retired(conn: Conn, plan: Plan, entities: Sequence[str]) -> Gate:
    known = crossing.crossing_states(conn, plan.name)
    found = {name: known[name].state if name in known else "declared" for name in entities}
    return Gate(
        name="state",
        is_open=set(found.values()) == {"retired"},
        found=", ".join(f"{name} is {state}" for name, state in found.items()),
        way="all have to be retired: see `ashore retire`",
    )


def _verified(conn: Conn, plan: Plan, entities: Sequence[str]) -> Gate:
    """The stores part when an entity is retired, so it is the last comparison before that which counts."""
    told = []
    is_open = True
    for name in entities:
        verified = purges.verified_before_retiring(conn, plan.name, name)
        is_open = is_open and verified is not None and verified[1]
        if verified is None:
            told.append(f"{name} was never compared before it was retired")
        else:
            how = "equal" if verified[1] else "DIFFERENT"
            told.append(f"{name} was found {how} at {verified[0]:%Y-%m-%d %H:%M %Z}")
    return Gate(
        name="verification",
        is_open=is_open,
        found="; ".join(told),
        way="what DynamoDB holds may be nowhere else: compare the two yourself, and keep the items",
    )


def _nothing_waits(conn: Conn, plan: Plan, entities: Sequence[str]) -> Gate:
    names = {"source": plan.name, "entities": list(entities)}
    rejected, parked, outbox = one_row(conn.execute(_WAITING, names))
    waits = {"rejected items": rejected, "parked changes": parked, "rows to be written back": outbox}
    found = [f"{number:,} {what}" for what, number in waits.items() if number]
    return Gate(
        name="items without a row",
        is_open=not found,
        found=", ".join(found) or "none: nothing is rejected or parked",
        way="what was rejected is in DynamoDB and in no table: see `ashore rejects list`",
    )


def _own_keys(plan: Plan, entities: Sequence[str]) -> Gate:
    """Whether no key of these entities could be one of another's, as far as patterns can say."""
    found = []
    for own in (plan.entities[name] for name in entities):
        for name, other in plan.entities.items():
            if name not in entities and any(_meet(one, two) for one in _forms(own) for two in _forms(other)):
                found.append(f"keys of {own.name} may be keys of {name}")
    return Gate(
        name="keys of its own",
        is_open=not found,
        found="; ".join(found) or "no other entity's keys match",
        way="hold the placeholders of the patterns to a form, so that they cannot meet",
    )


def _same_table(conn: Conn, plan: Plan, conditions: PurgeConditions) -> Gate:
    """Whether the table is the one that these rows were kept up to date from."""
    stream = streams.stream_of(conn, plan.name)
    is_same = stream is not None and stream.arn.startswith(f"{conditions.table_arn}/stream/")
    read = "no table's stream was read" if stream is None else f"the stream {stream.arn} was read"
    return Gate(
        name="table",
        is_open=is_same,
        found=conditions.table_arn if is_same else f"it is {conditions.table_arn}, and {read}",
        way="name the table that the rows came from",
    )


def _forms(entity: EntityPlan) -> list[Generation]:
    copies = () if entity.copies is None else entity.copies.generations
    return [*entity.generations, *copies]


def _meet(one: Generation, other: Generation) -> bool:
    if common_text(one.partition, other.partition) is None:
        return False
    return one.sort is None or other.sort is None or common_text(one.sort, other.sort) is not None


def _restore_points(conditions: PurgeConditions) -> Iterator[Gate]:
    recovery = {True: "point-in-time recovery is on", False: "point-in-time recovery is off", None: "cannot be asked"}
    kept = None if conditions.kept_in is None else f"what is deleted is kept in {conditions.kept_in}"
    yield Gate(
        name="restore point of DynamoDB",
        is_open=conditions.point_in_time_recovery is True or bool(conditions.table_restore_point or kept),
        found=conditions.table_restore_point or kept or recovery[conditions.point_in_time_recovery],
        way="export the table and name the export with --table-restore-point, or say --keep-export FOLDER",
    )
    yield Gate(
        name="restore point of PostgreSQL",
        is_open=bool(conditions.restore_point),
        found=conditions.restore_point or "nothing was said",
        way="make one (a snapshot, or point-in-time recovery), and name it with --restore-point",
    )


def _written_by_nobody(conn: Conn, plan: Plan, conditions: PurgeConditions) -> Gate:
    """While the stream is read, what others write is known, and left alone."""
    stream = streams.stream_of(conn, plan.name)
    state = "not begun" if stream is None else stream.state
    workers, _ = leases.workers_alive(conn, plan.name)
    lag = freshness.lag_seconds(conn, plan.name)
    is_watched = state == "running" and workers > 0 and lag is not None and lag <= MOST_LAG_SECONDS
    found = f"the sync is {state}, {workers} workers live, the lag is {'not known' if lag is None else f'{lag:.1f} s'}"
    return Gate(
        name="writes of others",
        is_open=is_watched or conditions.nobody_writes,
        found=found + ("; nobody writes to the table, as you say" if conditions.nobody_writes else ""),
        way="let `ashore sync run` run, so that what others write is found; or say --nobody-writes",
    )


def _read_by_nobody(conn: Conn, plan: Plan, entities: Sequence[str], conditions: PurgeConditions) -> Gate:
    states = crossing.crossing_states(conn, plan.name)
    retired = {name for name, one in states.items() if one.state == "retired"}
    others = [name for name in plan.entities if name not in entities and name not in retired]
    if conditions.nobody_reads:
        found, is_open = "nobody reads these items, as you say", True
    elif others or any(rule.rule.outcome == "not_yet" for rule in plan.rules):
        found = "the table is read for what else is in it, and CloudWatch does not tell items apart"
        is_open = False
    elif conditions.read_units is None:
        found, is_open = "CloudWatch cannot be asked", False
    else:
        found = f"{conditions.read_units:,.0f} read units in the day before, by CloudWatch"
        is_open = conditions.read_units == 0
    return Gate(
        name="readers",
        is_open=is_open,
        found=found,
        way="make sure that nothing reads these items in DynamoDB any more, and say --nobody-reads",
    )


def _consumers(conditions: PurgeConditions) -> Gate:
    """Every deletion is a record of the stream, and its other readers act on it."""
    listed = conditions.consumers
    found = "cannot be asked" if listed is None else f"{len(listed)} listed" + "".join(f", {one}" for one in listed)
    if conditions.consumers_know:
        found += "; they know what a deletion means, as you say"
    return Gate(
        name="readers of the stream",
        is_open=conditions.consumers_know or listed == (),
        found=found,
        way="each deletion reaches them: switch them off, or let them pass deletions by, and say --consumers-know",
    )
