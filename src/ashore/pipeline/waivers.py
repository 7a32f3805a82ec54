"""Waiving what stands in the way of a cutover, by key: for a reason, until a day, and as it is now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ashore.errors import AshoreError
from ashore.ledger import records, waivers
from ashore.ledger.schema import ensure_ledger
from ashore.ledger.waivers import Obstacle, Waiver
from ashore.pipeline.project import Project
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated


@dataclass(eq=False, kw_only=True)
class NothingToWaive(AshoreError):
    """Nothing stands in the way under a key that was named. Nothing was waived."""

    source: str
    number: int

    code = "ASH871"
    exit_code = 2

    def what(self) -> str:
        return f"{self.number} of the keys named have nothing in {self.source} that stands in the way"

    def hint(self) -> str:
        return "`ashore waivers open` shows the keys of what does, as they have to be written"


@dataclass(eq=False, kw_only=True)
class NoTimeToWaive(AshoreError):
    """The day until which something is to be waived is over. Nothing was waived."""

    until: str

    code = "ASH872"
    exit_code = 2

    def what(self) -> str:
        return f"{self.until} is over"

    def hint(self) -> str:
        return "give a day that is to come: --until 2030-01-31, or 2030-01-31T18:00:00+00:00"


def open_obstacles(project: Project) -> list[Obstacle]:
    """What stands in the way and is not waived, by key; at most 1,000."""
    with _connected(project) as conn, translated("reading the ledger"):
        ensure_ledger(conn)
        return [one for one in waivers.obstacles(conn, project.plan.name) if not one.is_waived]


def waive(project: Project, keys: Sequence[str], *, reason: str, until: datetime) -> list[int]:
    """Pass by all that stands in the way under these keys, as it is now; return the waivers' numbers.

    What is waived already, is not waived again. A moment without an offset is of UTC.

    Raises:
        NothingToWaive, NoTimeToWaive
    """
    source = project.plan.name
    moment = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    if moment <= datetime.now(UTC):
        raise NoTimeToWaive(until=moment.isoformat())
    with _connected(project) as conn, translated("waiving"):
        ensure_ledger(conn)
        with conn.transaction():
            found = waivers.obstacles(conn, source, keys)
            unknown = len({*keys} - {one.key for one in found})
            if unknown:
                raise NothingToWaive(source=source, number=unknown)
            chosen = [one for one in found if not one.is_waived]
            numbers = waivers.waive(conn, source, chosen, reason=reason, until=moment)
            detail = {"source": source, "waivers": numbers, "reason": reason, "until": moment.isoformat()}
            told = [{"kind": one.kind, "entity": one.entity, "key": one.key, "what": one.what} for one in chosen]
            records.audit(conn, "waive", {**detail, "waived": told})
    return numbers


def list_waivers(project: Project) -> list[Waiver]:
    """All that were not withdrawn, those included whose time is over."""
    with _connected(project) as conn, translated("reading the ledger"):
        ensure_ledger(conn)
        return waivers.waivers(conn, project.plan.name)


def withdraw(project: Project, numbers: Sequence[int]) -> list[int]:
    """Let waivers count no more; return the numbers of those that there were."""
    source = project.plan.name
    with _connected(project) as conn, translated("withdrawing"):
        ensure_ledger(conn)
        with conn.transaction():
            withdrawn = waivers.withdraw(conn, source, numbers)
            records.audit(conn, "waiver withdrawn", {"source": source, "waivers": withdrawn})
    return withdrawn


def waived_lines(conn: Conn, source: str) -> tuple[str, ...]:
    """The waivers that count, in words, for a plan; their keys are in `ashore waivers list`."""
    return tuple(
        f"waiver {one.id}: {one.kind} of {one.entity or 'no entity'} ({one.what}), because {one.reason!r};"
        f" by {one.who}, until {one.until:%Y-%m-%d %H:%M %Z}"
        for one in waivers.waivers(conn, source)
        if not one.is_over
    )


def _connected(project: Project) -> Conn:
    return connect(project.dsn, application_name="ashore waive", autocommit=True)
