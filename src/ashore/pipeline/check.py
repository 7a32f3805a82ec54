"""Check: everything that stands in a project's way, told at once. Changes nothing anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, assert_never

import psycopg

from ashore.config.settings import Resolved
from ashore.dynamodb.access import check_access as check_source_access
from ashore.dynamodb.export import ExportSource
from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.table import TableInfo
from ashore.errors import AshoreError, Problem, ProblemsError
from ashore.ledger.schema import check_ledger
from ashore.mapping.declared import PlanReference
from ashore.mapping.native import path_in_use
from ashore.mapping.plan import Plan
from ashore.pipeline.check_items import advice_on, first_items
from ashore.pipeline.check_tables import check_tables
from ashore.pipeline.project import Items, item_source, plan_of
from ashore.postgres.address import server_of
from ashore.postgres.binary import misfit_entities
from ashore.postgres.connect import connect
from ashore.postgres.errors import translated
from ashore.postgres.server import check_access as check_server_access
from ashore.postgres.server import server


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPart:
    """One part of a project: what was seen, what is wrong, what could be better.

    `not_checked` says why a part was not looked at, and is empty otherwise.
    """

    name: str
    facts: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    advice: tuple[Problem, ...] = ()
    not_checked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """A checked project."""

    parts: tuple[CheckPart, ...]

    @property
    def problems(self) -> list[Problem]:
        """All problems of all parts."""
        return [problem for part in self.parts for problem in part.problems]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        parts = [
            {
                "name": part.name,
                "facts": list(part.facts),
                "problems": [_plain(problem) for problem in part.problems],
                "advice": [_plain(problem) for problem in part.advice],
                "not_checked": part.not_checked or None,
            }
            for part in self.parts
        ]
        return {"problems": len(self.problems), "parts": parts}


def check_project(resolved: Resolved) -> CheckReport:
    """Check configuration, declarations, PostgreSQL and its tables, the source and the permissions.

    Nothing is raised for what is wrong with the project: it is in the report, and one part's problems do not keep
    the others from being checked. Reads at most 26 items of a table.
    """
    settings = resolved.settings
    environment = settings.environment or "none"
    config = CheckPart(
        name="configuration",
        facts=(f"project {settings.folder}", f"environment {environment}"),
        problems=resolved.problems,
    )
    plan, declarations = _declarations(resolved)
    server, source = _postgres(resolved, plan), _source(resolved, plan)
    return CheckReport(parts=(config, declarations, server, source, _encoding(resolved, plan)))


def _declarations(resolved: Resolved) -> tuple[Plan | None, CheckPart]:
    name, settings = "declarations", resolved.settings
    if settings.declarations is None:
        return None, CheckPart(name=name, not_checked="the configuration names none")
    reference = PlanReference(declarations=settings.declarations, folder=settings.folder)
    try:
        plan = plan_of(reference)
    except AshoreError as error:
        return None, CheckPart(name=name, problems=_problems_of(error, settings.declarations))
    listed = ", ".join(plan.entities)
    return plan, CheckPart(name=name, facts=(f"source {plan.name}: {len(plan.entities)} entities: {listed}",))


def _postgres(resolved: Resolved, plan: Plan | None) -> CheckPart:
    name, address = "PostgreSQL", resolved.settings.postgres
    if address is None:
        return CheckPart(name=name, not_checked="the configuration names no database that can be tried")
    dsn = address.reveal()
    declared = [] if plan is None else [table for entity in plan.entities.values() for table in entity.tables]
    problems = check_server_access(dsn, declared)
    facts = [server_of(dsn)]
    advice: tuple[Problem, ...] = ()
    try:
        with connect(dsn, application_name="ashore check", autocommit=True) as conn, translated("checking tables"):
            facts.append(f"version {server(conn).version}")
            problems += check_ledger(conn)
            if plan is not None:
                found = check_tables(conn, plan)
                problems += found.problems
                advice = found.advice
                facts.append(f"{len(found.there)} tables are there, {len(found.missing)} will be made")
    except AshoreError as error:
        if not problems:
            problems += _problems_of(error, "postgres")
    return CheckPart(name=name, facts=tuple(facts), problems=tuple(problems), advice=advice)


def _encoding(resolved: Resolved, plan: Plan | None) -> CheckPart:
    """Which path turns items into rows, and why; none of it keeps anything from working."""
    name, address = "encoding", resolved.settings.postgres
    if plan is None:
        return CheckPart(name=name, not_checked="there are no declarations to look at")
    path = path_in_use(plan)
    if not path.is_native and not path.left_out:
        return CheckPart(name=name, facts=(f"in Python, text COPY: {path.because}",))
    left_out = dict(path.left_out)
    if address is not None:
        try:
            with connect(address.reveal(), application_name="ashore check", autocommit=True) as conn:
                left_out |= misfit_entities(conn, plan)
        except (AshoreError, psycopg.Error):
            pass  # the part about PostgreSQL tells it
    native = [entity for entity in plan.entities if entity not in left_out]
    facts = [f"native, binary COPY, by {path.because}: {', '.join(native) or 'no entity'}"]
    facts += [f"in Python, text COPY: {entity}, since {why}" for entity, why in left_out.items()]
    return CheckPart(name=name, facts=tuple(facts))


def _source(resolved: Resolved, plan: Plan | None) -> CheckPart:
    name = "source"
    if resolved.settings.items_from is None:
        return CheckPart(name=name, not_checked="the configuration names no table and no export")
    source = item_source(resolved.settings)
    problems = check_source_access(source)
    if problems:
        return CheckPart(name=name, problems=tuple(problems))
    advice: list[Problem] = []
    try:
        match source:
            case TableSource():
                facts = _table_facts(source.describe())
                problems += [] if plan is None else _table_problems(plan, source.describe())
                advice += _table_advice(plan, source.describe())
            case ExportSource():
                facts = _export_facts(source)
            case _:
                assert_never(source)
        if plan is not None and not problems:
            advice += _looked_at(plan, source)
    except AshoreError as error:
        return CheckPart(name=name, problems=_problems_of(error, name))
    return CheckPart(name=name, facts=tuple(facts), problems=tuple(problems), advice=tuple(advice))


def _looked_at(plan: Plan, source: Items) -> list[Problem]:
    return list(advice_on(plan, first_items(source)))


def _table_facts(found: TableInfo) -> list[str]:
    key = ", ".join(f"{attribute.name} ({attribute.type})" for attribute in found.key)
    return [f"table {found.name}, key {key}", f"{found.items:,} items, {found.bytes:,} bytes"]


def _export_facts(source: ExportSource) -> list[str]:
    manifest = source.describe()
    when = "an unknown time" if manifest.exported_at is None else f"{manifest.exported_at:%Y-%m-%d %H:%M:%S %Z}"
    return [
        f"export {manifest.location} of {when}",
        f"{manifest.items:,} items in {len(manifest.files)} files, of table {manifest.table_arn}",
    ]


def _table_problems(plan: Plan, found: TableInfo) -> Iterator[Problem]:
    declared = [(key.name, key.type) for key in (plan.partition_key, plan.sort_key) if key is not None]
    actual = [(key.name, key.type) for key in found.key]
    if declared != actual:
        what = f"its key is {_spelled(actual)}, declared as {_spelled(declared)}"
        hint = "correct partition_key and sort_key of the Source (KeyAttribute(name=…, type=…) where it is not text)"
        yield Problem(where=f"table {found.name}", what=what, hint=hint)
    for entity in plan.entities.values():
        if entity.ttl is not None and entity.ttl != found.ttl_attribute:
            there = (
                "has none, or none that may be asked for" if found.ttl_attribute is None else repr(found.ttl_attribute)
            )
            what = f"ttl is declared as {entity.ttl!r}; the table {there}"
            yield Problem(where=f"entity {entity.name}", what=what, hint="correct `ttl`, or enable it on the table")


def _table_advice(plan: Plan | None, found: TableInfo) -> Iterator[Problem]:
    where = f"table {found.name}"
    ttl = found.ttl_attribute
    if plan is not None and ttl is not None and not any(entity.ttl == ttl for entity in plan.entities.values()):
        what = f"items expire by {ttl!r}, and no entity declares ttl={ttl!r}"
        yield Problem(where=where, what=what, hint="declare it, so that expired items are known as such")
    if found.point_in_time_recovery is False:
        what = (
            "point-in-time recovery is off: the table cannot be exported, and there is no way back to an earlier moment"
        )
        yield Problem(where=where, what=what, hint="aws dynamodb update-continuous-backups … turns it on")
    if found.stream is None:
        what = "it has no stream: a load is a one-off copy, which later writes do not reach"
        yield Problem(where=where, what=what, hint="enable a stream with NEW_AND_OLD_IMAGES to keep the copy current")
    elif found.stream.view != "NEW_AND_OLD_IMAGES":
        what = f"its stream carries {found.stream.view}"
        yield Problem(where=where, what=what, hint="NEW_AND_OLD_IMAGES lets every change be followed")


def _spelled(key: list[tuple[str, Any]]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in key)


def _problems_of(error: AshoreError, where: str) -> tuple[Problem, ...]:
    if isinstance(error, ProblemsError):
        return tuple(error.problems)
    return (Problem(where=where, what=error.what(), hint=error.hint()),)


def _plain(problem: Problem) -> dict[str, str]:
    return {"where": problem.where, "what": problem.what, "hint": problem.hint}
