"""Denying the application's writes in DynamoDB while PostgreSQL takes them, by the table's own policy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from ashore.cutover.denial import Denial, denial, sid_of, statement
from ashore.cutover.errors import NothingToDeny, StillWrittenInDynamoDB
from ashore.dynamodb.resource_policy import PolicyMoved, TablePolicy, statements_of
from ashore.dynamodb.scan import TableSource
from ashore.ledger import crossing, locks, records
from ashore.ledger.schema import ensure_ledger, found_version
from ashore.mapping.plan import Plan
from ashore.pipeline.groups import whole_groups
from ashore.pipeline.project import Project
from ashore.pipeline.sync import table_source
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated

APPLIED_SECONDS: Final = 15.0
"""How long a change of a policy is given to reach every host of AWS. No page promises a time."""
PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """The policy with its own statements alone, and what it is worth; `policy` is None where nothing can be denied.

    `changed` says whether the table's policy was; None where it was only printed.
    """

    policy: dict[str, Any] | None
    enforced: tuple[str, ...]
    detected: tuple[tuple[str, str], ...]
    strength: tuple[str, ...]
    changed: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"detected": [{"entity": name, "because": why} for name, why in self.detected]}


def denied_writes(
    project: Project, entities: Sequence[str], writers: Sequence[str], *, identity: bool = False
) -> Denied:
    """The policy that denies writes of whole crossing groups to all but `writers`. Writes nothing.

    With `identity` it is one to be attached to the application's roles; else the table's. Asks DynamoDB for the
    table's ARN, and the ledger, where there is one, what is retired.

    Raises:
        UnknownEntity, NotOneGroup, NeedsTable, CannotConnect, SourceError
    """
    names = whole_groups(project.plan, entities)
    with connect(project.dsn, application_name="ashore policy", autocommit=True) as conn, translated("reading"):
        retired = _in_state(conn, project.plan.name, "retired") if found_version(conn) else frozenset()
    return _told(project.plan, table_source(project), names, retired, writers, identity=identity)


def deny(
    project: Project, entities: Sequence[str], writers: Sequence[str], *, sleep: Callable[[float], None] = time.sleep
) -> Denied:
    """Put the statements into the table's policy, beside what others have there; idempotent.

    Raises:
        StillWrittenInDynamoDB, NothingToDeny: Nothing was changed.
        PolicyMoved, PolicyTooLong, SourceError: The policy is as it was.
    """
    names = whole_groups(project.plan, entities)
    source = table_source(project)
    with connect(project.dsn, application_name="ashore policy", autocommit=True) as conn, translated("denying"):
        ensure_ledger(conn)
        lock_denials(conn, project.plan.name, source)
        retired = _in_state(conn, project.plan.name, "retired")
        moved = retired | _in_state(conn, project.plan.name, "writing")
        if staying := [name for name in names if name not in moved]:
            raise StillWrittenInDynamoDB(entities=tuple(staying))
        told = _told(project.plan, source, names, retired, writers)
        if told.policy is None:
            raise NothingToDeny(reasons=told.detected)
        statements = told.policy["Statement"]
        sids = [one["Sid"] for one in statements]
        detail = {"source": project.plan.name, "entities": list(names), "sids": sids, "writers": list(writers)}
        records.audit(conn, "deny writes", detail)
        changed = TablePolicy(arn=source.describe().arn, aws=source.aws).put(statements)
    if changed:
        sleep(APPLIED_SECONDS)
    return replace(told, changed=changed)


def allow(project: Project, entities: Sequence[str], *, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Take the statements out of the table's policy again; return whether one was there. Idempotent.

    Raises:
        PolicyMoved, SourceError: The policy is as it was.
    """
    names = whole_groups(project.plan, entities)
    with connect(project.dsn, application_name="ashore policy", autocommit=True) as conn, translated("allowing"):
        ensure_ledger(conn)
        return allow_again(conn, project.plan, table_source(project), names, sleep=sleep)


def allow_again(
    conn: Conn, plan: Plan, source: TableSource, names: Sequence[str], *, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """As `allow`, over a connection; waits until AWS should have applied it."""
    sids = sids_of(plan, names)
    changed = TablePolicy(arn=source.describe().arn, aws=source.aws).remove(sids)
    if changed or records.was_denied(conn, plan.name, sids):
        records.audit(conn, "allow writes", {"source": plan.name, "entities": list(names), "sids": sorted(sids)})
    if changed:
        sleep(APPLIED_SECONDS)
    return changed


def lock_denials(conn: Conn, source: str, table: TableSource) -> None:
    """Let nobody deny or roll back beside this connection, so that no write is denied after it went back.

    Raises:
        PolicyMoved: Somebody else does one of them, and does not end.
    """
    if not locks.lock_flow(conn, f"{source} denials", patience_seconds=PATIENCE_SECONDS):
        raise PolicyMoved(table=table.table)


def is_denied(plan: Plan, source: TableSource, names: Sequence[str]) -> bool | None:
    """Whether the table's policy has a statement of these groups; None where that cannot be asked."""
    found = statements_of(source.describe().arn, source.aws)
    return None if found is None else any(one.get("Sid") in sids_of(plan, names) for one in found)


def fence_of(conn: Conn, plan: Plan, source: TableSource, names: Sequence[str]) -> tuple[str, ...]:
    """How strong the fence is on DynamoDB's side, a line each, for the plan of a cutover."""
    named = "writes of others are not prevented, but found in its stream and named: `ashore foreign list`"
    there = is_denied(plan, source, names)
    lines = strength_of(_denials(plan, names, _in_state(conn, plan.name, "retired")))
    if there:
        return tuple(f"DynamoDB: {line}" for line in lines)
    could = "; with `ashore policy --deny … --apply`, once PostgreSQL has the writes: " + "; ".join(lines)
    return (f"DynamoDB: {named}{could}",)


def strength_of(found: Sequence[Denial]) -> tuple[str, ...]:
    """What may be claimed of the fence on DynamoDB's side while the statements are there, a line each."""
    lines = []
    for one in found:
        if one.enforced:
            how = "the whole table is denied" if one.is_whole_table else "by its partition keys"
            lines.append(f"enforced by IAM for {', '.join(one.enforced)}: {how}")
        lines += [f"detected only for {name}: {why}" for name, why in one.detected]
    return tuple(lines)


def sids_of(plan: Plan, names: Sequence[str]) -> frozenset[str]:
    """The names of the statements of these groups: one a group, so that each can come back by itself."""
    return frozenset(sid_of(plan.name, group) for group in _groups(plan, names))


def _groups(plan: Plan, names: Sequence[str]) -> list[tuple[str, ...]]:
    return sorted({tuple(sorted(plan.group_of(name))) for name in names})


def _denials(plan: Plan, names: Sequence[str], retired: frozenset[str]) -> list[Denial]:
    return [denial(plan, group, retired) for group in _groups(plan, names)]


def _in_state(conn: Conn, source: str, state: str) -> frozenset[str]:
    states = crossing.crossing_states(conn, source)
    return frozenset(name for name, one in states.items() if one.state == state)


def _told(
    plan: Plan,
    source: TableSource,
    names: Sequence[str],
    retired: frozenset[str],
    writers: Sequence[str],
    *,
    identity: bool = False,
) -> Denied:
    denials = _denials(plan, names, retired)
    arn = source.describe().arn
    statements = []
    for group, found in zip(_groups(plan, names), denials, strict=True):
        one = statement(found, table_arn=arn, writers=writers, sid=sid_of(plan.name, group))
        if one is not None:
            statements.append({key: value for key, value in one.items() if not (identity and key == "Principal")})
    return Denied(
        policy={"Version": "2012-10-17", "Statement": statements} if statements else None,
        enforced=tuple(name for one in denials for name in one.enforced),
        detected=tuple(pair for one in denials for pair in one.detected),
        strength=strength_of(denials),
    )
