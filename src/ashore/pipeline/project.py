"""Opening a project: its settings become a compiled declaration, a source of items and a database's address."""

from __future__ import annotations

import math
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, assert_never

from ashore.config.settings import FromExport, FromTable, Settings
from ashore.dynamodb.access import (
    marker_permissions,
    purge_permissions,
    required_permissions,
    reverse_permissions,
    stream_permissions,
)
from ashore.dynamodb.export import ExportSource
from ashore.dynamodb.scan import TableSource
from ashore.errors import AshoreError, Problem, SettingsError
from ashore.ledger import loads, units
from ashore.ledger.schema import found_version
from ashore.load.errors import UnknownEntity
from ashore.mapping.declared import PlanReference, load_plan
from ashore.mapping.plan import Plan
from ashore.postgres.address import server_of
from ashore.postgres.connect import connect
from ashore.postgres.errors import translated

Items = TableSource | ExportSource

ITEMS_A_SECOND_A_WORKER: Final = 15_000
"""A cautious guess for the forecast; `ashore bench load` measures the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project whose declaration was compiled. Nothing is connected yet."""

    settings: Settings
    reference: PlanReference
    plan: Plan
    dsn: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a load will read, and where to. `seconds` is a guess; `goes_on` says what an unfinished load has done."""

    source: str
    kind: Literal["table", "export"]
    reads: str
    writes_to: str
    entities: tuple[str, ...]
    workers: int
    items: int
    bytes: int
    read_units: float
    dollars: float
    seconds: float
    note: str
    goes_on: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(eq=False, kw_only=True)
class DeclarationRaised(AshoreError):
    """The module with the declarations could not be imported: it raised something of its own."""

    declarations: str
    error: str
    place: str

    code = "ASH112"
    exit_code = 2

    def what(self) -> str:
        return f"importing {self.declarations!r} raised {self.error} at {self.place}"

    def hint(self) -> str:
        return "correct the module; `python -c 'import …'` in the project's directory shows the whole traceback"


def open_project(settings: Settings) -> Project:
    """Import and compile the declaration of a project.

    Raises:
        DeclarationNotFoundError, DeclarationError, DeclarationRaised
        SettingsError: The settings name no declaration or no database.
    """
    if settings.declarations is None or settings.postgres is None:
        raise _incomplete("declarations and postgres")
    reference = PlanReference(declarations=settings.declarations, folder=settings.folder)
    return Project(settings=settings, reference=reference, plan=plan_of(reference), dsn=settings.postgres.reveal())


def plan_of(reference: PlanReference) -> Plan:
    """The compiled declaration; whatever the user's module raises becomes an error that says where.

    Raises:
        DeclarationNotFoundError, DeclarationError, DeclarationRaised
    """
    try:
        return load_plan(reference)
    except AshoreError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1]
        inside = [frame for frame in frames if reference.folder and frame.filename.startswith(str(reference.folder))]
        frame = inside[-1] if inside else last
        line = error.lineno if isinstance(error, SyntaxError) else frame.lineno
        file = error.filename if isinstance(error, SyntaxError) and error.filename else frame.filename
        said = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}".splitlines()[0]
        raise DeclarationRaised(
            declarations=reference.declarations, error=said, place=f"{Path(file).name} line {line}"
        ) from error


def item_source(settings: Settings) -> Items:
    """The table or export that the settings name.

    Raises:
        SettingsError: They name none.
    """
    aws = settings.aws
    match settings.items_from:
        case FromTable(table=table, read_units=read_units, segments=segments):
            return TableSource(
                table=table,
                region=aws.region,
                endpoint_url=aws.endpoint_url,
                profile=aws.profile,
                segments=segments,
                read_units_per_second=read_units,
                workers=settings.workers,
            )
        case FromExport(export=export):
            return ExportSource(path=export, region=aws.region, endpoint_url=aws.endpoint_url, profile=aws.profile)
        case None:
            raise _incomplete("table or export")
        case _:
            assert_never(settings.items_from)


def chosen_entities(plan: Plan, names: Sequence[str]) -> tuple[str, ...]:
    """The named entities, or all that are declared.

    Raises:
        UnknownEntity: One of them is not declared.
    """
    for name in names:
        if name not in plan.entities:
            raise UnknownEntity(entity=name, known=sorted(plan.entities))
    return tuple(dict.fromkeys(names)) or tuple(plan.entities)


def forecast(project: Project, source: Items, names: Sequence[str]) -> Forecast:
    """What a load of these entities will take; asks the source how large it is and reads the ledger, no more.

    Raises:
        SourceError: The source cannot be read.
        CannotConnect: The database cannot be reached.
        UnknownEntity: An entity is not declared.
    """
    entities = chosen_entities(project.plan, names)
    estimate = source.estimate()
    workers = project.settings.workers
    seconds = estimate.items / (workers * ITEMS_A_SECOND_A_WORKER)
    match source:
        case TableSource():
            reads = f"table {source.table}"
            pace = source.read_units_per_second or source.describe().provisioned_read_units
            seconds = max(seconds, estimate.read_units / pace) if pace else seconds
        case ExportSource():
            reads = f"export {source.describe().location}"
        case _:
            assert_never(source)
    return Forecast(
        source=project.plan.name,
        kind="table" if isinstance(source, TableSource) else "export",
        reads=reads,
        writes_to=server_of(project.dsn),
        entities=entities,
        workers=workers,
        items=estimate.items,
        bytes=estimate.bytes,
        read_units=estimate.read_units,
        dollars=estimate.dollars,
        seconds=math.ceil(seconds),
        note=estimate.note,
        goes_on=_unfinished(project),
    )


def _unfinished(project: Project) -> str | None:
    with connect(project.dsn, application_name="ashore", autocommit=True) as conn, translated("reading the ledger"):
        if not found_version(conn):
            return None
        record = loads.unfinished(conn, project.plan.name)
        if record is None:
            return None
        tally = units.tally(conn, record.id)
    done = f"{tally.items_read:,} items read, {tally.units_done} of {tally.units} units done"
    return f"load {record.id} of {record.started_at:%Y-%m-%d %H:%M %Z} is unfinished: {done}"


def policy(
    settings: Settings,
    *,
    with_stream: bool = False,
    with_markers: bool = False,
    with_reverse: bool = False,
    with_purge: bool = False,
) -> dict[str, Any]:
    """The least IAM policy with which the settings' source, and its stream, can be read; asks nobody.

    With `with_markers` it also lets markers be written to the table, with `with_reverse` any item, and
    with `with_purge` items be deleted.
    """
    source = item_source(settings)
    statements = required_permissions(source)
    statements += stream_permissions(source) if with_stream else []
    statements += marker_permissions(source) if with_markers else []
    statements += reverse_permissions(source) if with_reverse else []
    statements += purge_permissions(source) if with_purge else []
    return {"Version": "2012-10-17", "Statement": statements}


def _incomplete(what: str) -> SettingsError:
    return SettingsError([Problem(where="settings", what=f"{what} must be set", hint="see `ashore config show`")])
