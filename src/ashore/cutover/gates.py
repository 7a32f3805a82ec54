"""Gates: what has to hold before reads or writes move. Each says what was found, and the way to open it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

from ashore.cutover import sequences, switch, way_back
from ashore.cutover.errors import GatesClosed
from ashore.cutover.switch import Crossing
from ashore.ledger import crossing, feeds, freshness, leases, outbox, streams, taken_off, waivers
from ashore.postgres.connect import Conn, one_row

MOST_LAG_SECONDS: Final = 60.0
REHEARSAL_IS_FRESH: Final = timedelta(days=1)

_COUNTS: Final = """
    SELECT (SELECT count(*) FROM ashore.repair
            WHERE source = %(source)s AND (entity = ANY(%(entities)s) OR entity IS NULL)),
           (SELECT count(*) FROM ashore.gap WHERE source = %(source)s AND repaired_at IS NULL)
"""
_REHEARSED: Final = """
    SELECT (detail ->> 'seconds')::float8, clock_timestamp() - at FROM ashore.audit
    WHERE command = 'cutover rehearsal' AND detail ->> 'source' = %(source)s
      AND detail -> 'entities' @> %(entities)s::jsonb
    ORDER BY at DESC LIMIT 1
"""
_NOT_VALID_INDEXES: Final = """
    SELECT c.relname FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
    WHERE x.indrelid = ANY(%s::regclass[]) AND NOT (x.indisvalid AND x.indisready) ORDER BY 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One condition: whether it holds, what was found, and what to do where it does not."""

    name: str
    is_open: bool
    found: str
    way: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What only the user or AWS can say.

    Attributes:
        max_pause_seconds: How long writes may be held.
        has_way_back: Whether rows are written back to DynamoDB after the cutover.
        point_in_time_recovery: Of the DynamoDB table; None where it cannot be asked.
        restore_point: What PostgreSQL could be restored to, in the user's words; None where nothing was said.
        replicas: Other regions that the table is written in.
        writes_from: The only region that writes come from, as the user says.
        stream_region: The region whose stream is read.
    """

    max_pause_seconds: float
    has_way_back: bool = True
    point_in_time_recovery: bool | None = None
    restore_point: str | None = None
    replicas: tuple[str, ...] = ()
    writes_from: str | None = None
    stream_region: str | None = None


def assert_open(doing: str, gates: Iterable[Gate]) -> None:
    """Do nothing where all gates are open.

    Raises:
        GatesClosed: With each that is not.
    """
    closed = tuple((gate.name, gate.found, gate.way) for gate in gates if not gate.is_open)
    if closed:
        raise GatesClosed(doing=doing, closed=closed)


def reads_gates(conn: Conn, one: Crossing) -> list[Gate]:
    """What has to hold before calls that only read go to PostgreSQL."""
    return [_state(conn, one, ("syncing",)), *_stream(conn, one), _verified(conn, one), *_waiting(conn, one)]


def writes_gates(conn: Conn, one: Crossing, conditions: Conditions) -> list[Gate]:
    """What has to hold before writes go to PostgreSQL."""
    return [
        _state(conn, one, ("syncing", "reading")),
        *_stream(conn, one),
        _verified(conn, one),
        *_waiting(conn, one),
        _indexes(conn, one),
        _sequences(conn, one),
        _way_back(conn, one, conditions),
        _rehearsed(conn, one, conditions),
        *_restore_points(conditions),
        _one_region(conditions),
    ]


def return_gates(conn: Conn, one: Crossing) -> list[Gate]:
    """What has to hold before writes go back to DynamoDB."""
    return [
        _state(conn, one, ("writing",)),
        *_stream(conn, one),
        _noted(conn, one),
        *_written_back(conn, one),
        *_not_fed(conn, one),
    ]


def retire_gates(conn: Conn, one: Crossing) -> list[Gate]:
    """What has to hold before the way back is closed for good."""
    return [_state(conn, one, ("writing",)), *_written_back(conn, one), *_fed(conn, one)]


def _state(conn: Conn, one: Crossing, expected: tuple[str, ...]) -> Gate:
    known = crossing.crossing_states(conn, one.source)
    found = {name: known[name].state if name in known else "declared" for name in one.entities}
    told = ", ".join(f"{name} is {state}" for name, state in found.items())
    is_open = set(found.values()) <= set(expected) and len(set(found.values())) == 1
    return Gate(name="state", is_open=is_open, found=told, way=f"all have to be {' or '.join(expected)}")


def _stream(conn: Conn, one: Crossing) -> Iterator[Gate]:
    stream = streams.stream_of(conn, one.source)
    state = "not begun" if stream is None else stream.state
    workers, _ = leases.workers_alive(conn, one.source)
    yield Gate(
        name="stream",
        is_open=state == "running" and workers > 0,
        found=f"the sync is {state}, {workers} workers live",
        way="let `ashore sync run` run; it writes back and lets rows expire, too",
    )
    lag = freshness.lag_seconds(conn, one.source)
    yield Gate(
        name="lag",
        is_open=lag is not None and lag <= MOST_LAG_SECONDS,
        found="not known yet" if lag is None else f"{lag:.1f} s",
        way=f"wait until it is below {MOST_LAG_SECONDS:.0f} s: see `ashore status --watch`",
    )


def _verified(conn: Conn, one: Crossing) -> Gate:
    verified = freshness.last_verified(conn, one.source)
    if verified is None:
        return Gate(name="verification", is_open=False, found="never found equal", way="run `ashore verify`")
    states = [found for name, found in crossing.crossing_states(conn, one.source).items() if name in one.entities]
    stale = list(verified.stale)
    if any(found.state == "syncing" and verified.at <= found.since for found in states):
        stale.append("the entities came to their state after it")
    return Gate(
        name="verification",
        is_open=not stale,
        found="; ".join([f"found equal at {verified.at:%Y-%m-%d %H:%M:%S %Z}", *stale]),
        way="run `ashore verify`",
    )


def _waiting(conn: Conn, one: Crossing) -> Iterator[Gate]:
    yield _obstacles(
        conn, one, "rejected items", "rejected", "see `ashore rejects list`, put them right, and `ashore rejects retry`"
    )
    yield _obstacles(
        conn, one, "parked changes", "parked", "two items have one UNIQUE value: change one of them in the application"
    )
    names = {"source": one.source, "entities": list(one.entities)}
    repairs, gaps = one_row(conn.execute(_COUNTS, names))
    for name, number, way in (
        ("keys to repair", repairs, "wait for the sync to repair them"),
        ("gaps in the stream", gaps, "run `ashore verify --repair`"),
    ):
        yield Gate(name=name, is_open=number == 0, found=f"{number:,}", way=way)


def _obstacles(conn: Conn, one: Crossing, name: str, kind: waivers.Kind, way: str) -> Gate:
    number, waived = waivers.count_obstacles(conn, one.source, kind, one.entities)
    found = f"{number:,}" + (f", and {waived:,} waived" if waived else "")
    return Gate(name=name, is_open=number == 0, found=found, way=f"{way}; or `ashore waive` them by key")


def _indexes(conn: Conn, one: Crossing) -> Gate:
    tables = {str(table) for table in one.own_tables}
    names = [row[0] for row in conn.execute(_NOT_VALID_INDEXES, (sorted(tables),))]
    off = [
        definition.name
        for definition, state in taken_off.taken_off(conn, one.source)
        if str(definition.table) in tables and (state == "refused" or definition.kind != "foreign_key")
    ]
    found = ", ".join([*(f"{name} is not valid" for name in names), *(f"{name} is off" for name in off)])
    return Gate(
        name="keys and indexes",
        is_open=not found,
        found=found or "all are there and valid",
        way="remove what stands in their way and make them again; REINDEX what is not valid",
    )


def _sequences(conn: Conn, one: Crossing) -> Gate:
    found = sequences.behind(conn, one.own_tables)
    behind = [f"{sequence} (for {table}.{column})" for table, column, sequence in found]
    return Gate(
        name="sequences",
        is_open=not behind,
        found=f"behind: {', '.join(behind)}" if behind else "none is behind the rows",
        way="SELECT setval(sequence, max(column))",
    )


def _way_back(conn: Conn, one: Crossing, conditions: Conditions) -> Gate:
    """Whether each row can be rebuilt into everything that DynamoDB's readers may look for."""
    name = "way back"
    if not conditions.has_way_back:
        return Gate(name=name, is_open=True, found="none, as you say: DynamoDB stays as it is at the cutover")
    lost = way_back.lost(conn, one)
    return Gate(
        name=name,
        is_open=not lost,
        found="; ".join(lost) or "every row can be written back whole",
        way="declare what is missing (Copy(rebuild=…), Mirror), or say --no-way-back",
    )


def _rehearsed(conn: Conn, one: Crossing, conditions: Conditions) -> Gate:
    arguments = {"source": one.source, "entities": json.dumps(list(one.entities))}
    row = conn.execute(_REHEARSED, arguments).fetchone()
    way = "run it with --rehearse; it holds nothing"
    if row is None:
        return Gate(name="rehearsal", is_open=False, found="never", way=way)
    seconds, age = row
    found = f"{age.total_seconds() / 3600:.1f} hours ago: a pause of {seconds:.1f} s"
    is_open = age <= REHEARSAL_IS_FRESH and seconds <= conditions.max_pause_seconds
    if seconds > conditions.max_pause_seconds:
        found += f", and it may be {conditions.max_pause_seconds:.0f} s"
        way = "allow more with --max-pause, or make the lag smaller"
    return Gate(name="rehearsal", is_open=is_open, found=found, way=way)


def _restore_points(conditions: Conditions) -> Iterator[Gate]:
    recovery = conditions.point_in_time_recovery
    yield Gate(
        name="restore point of DynamoDB",
        is_open=recovery is True,
        found={True: "point-in-time recovery is on", False: "point-in-time recovery is off", None: "cannot be asked"}[
            recovery
        ],
        way="switch it on: aws dynamodb update-continuous-backups --point-in-time-recovery-specification …",
    )
    yield Gate(
        name="restore point of PostgreSQL",
        is_open=bool(conditions.restore_point),
        found=conditions.restore_point or "nothing was said",
        way="make one (a snapshot, or point-in-time recovery), and name it with --restore-point",
    )


def _one_region(conditions: Conditions) -> Gate:
    if not conditions.replicas:
        return Gate(name="regions", is_open=True, found="the table has no replicas")
    is_said = conditions.writes_from is not None and conditions.writes_from == conditions.stream_region
    return Gate(
        name="regions",
        is_open=is_said,
        found=f"replicas in {', '.join(conditions.replicas)}; the stream of {conditions.stream_region} is read",
        way="writes of another region come late: let them all come from that region, and say so with --writes-from",
    )


def _at_the_cap(standing: outbox.Standing) -> str:
    if standing.units_per_second is None or not standing.estimated_seconds:
        return ""
    return (
        f"; about {standing.estimated_units:,.0f} write units, which take {standing.estimated_seconds:,.0f} s"
        f" at the cap of {standing.units_per_second:,g} a second"
    )


def _not_fed(conn: Conn, one: Crossing) -> Iterator[Gate]:
    """One feed at a time: after the way back it is the earlier one, which reads the table's stream."""
    fed = sorted(feeds.feeds(conn, one.source).keys() & set(one.entities))
    if fed or _searched(one):
        yield Gate(
            name="feed of OpenSearch",
            is_open=not fed,
            found=f"Ashore feeds an index with {', '.join(fed)}" if fed else "Ashore feeds no index of these",
            way="run `ashore index end`, and switch the old feed on again",
        )


def _fed(conn: Conn, one: Crossing) -> Iterator[Gate]:
    """What is not written back any more does not reach an index that is fed from the table's stream."""
    missing = sorted(_searched(one) - feeds.feeds(conn, one.source).keys())
    if _searched(one):
        yield Gate(
            name="feed of OpenSearch",
            is_open=not missing,
            found=f"nobody would feed {', '.join(missing)}" if missing else "Ashore feeds every index that is declared",
            way="run `ashore index begin`, or take `search` out of the declaration",
        )


def _searched(one: Crossing) -> set[str]:
    return {name for name in one.entities if one.plan.entities[name].search is not None}


def _noted(conn: Conn, one: Crossing) -> Gate:
    missing = switch.not_written_back(conn, one)
    return Gate(
        name="way back",
        is_open=not missing,
        found=f"rows of {', '.join(missing)} are not written back" if missing else "rows are written back",
        way="there is none after --no-way-back: DynamoDB has what it had then",
    )


def _written_back(conn: Conn, one: Crossing) -> Iterator[Gate]:
    standing = outbox.standing(conn, one.source)
    found = [each for each in waivers.obstacles(conn, one.source) if each.kind == "refused"]
    refused = [f"{each.entity} {each.what}" for each in found if each.entity in one.entities and not each.is_waived]
    waived = sum(each.is_waived for each in found if each.entity in one.entities)
    yield Gate(
        name="rows that DynamoDB cannot hold",
        is_open=not refused,
        found=(f"{len(refused)}: {'; '.join(sorted(set(refused))[:3])}" if refused else "none")
        + (f", and {waived:,} waived" if waived else ""),
        way="change them so that they fit, `ashore status` names them; or `ashore waive` them by key",
    )
    behind = 0.0 if standing.oldest is None else (standing.now - standing.oldest).total_seconds()
    yield Gate(
        name="written back",
        is_open=behind <= MOST_LAG_SECONDS and (standing.estimated_seconds or 0.0) <= MOST_LAG_SECONDS,
        found=f"{standing.entries:,} rows wait, the oldest for {behind:.1f} s{_at_the_cap(standing)}",
        way="wait until less is behind, or raise the cap with `ashore sync limit`",
    )
    way = "see `ashore foreign list`"
    yield _obstacles(conn, one, "writes of others", "foreign", way)
