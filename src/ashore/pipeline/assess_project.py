"""Assess a table or an export as a project: read it, write the files, compare with what people edited."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from ashore import __version__
from ashore.assess.code import code_map
from ashore.assess.code_files import source_files
from ashore.assess.drift import Drift, compare
from ashore.assess.hazards import hazards
from ashore.assess.proposal import Hazard, Proposal
from ashore.assess.report.assessment import Assessment, as_json
from ashore.assess.write_project import PROPOSED, write_project, write_reports
from ashore.config.settings import Settings
from ashore.dynamodb.export import ExportSource
from ashore.dynamodb.facts import TableFacts, table_facts
from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.table import TableInfo
from ashore.errors import AshoreError, Problem, SettingsError
from ashore.mapping.declared import PlanReference
from ashore.observe.events import Emit, silent
from ashore.pipeline.assess import Assessed, assess
from ashore.pipeline.assess_costs import costs_of
from ashore.pipeline.assess_facts import observations, pairs
from ashore.pipeline.project import plan_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to assess and how. `key` and `indexes` are what an export does not say of its table."""

    settings: Settings
    source: TableSource | ExportSource
    sample: int | None
    read_units: float
    key: tuple[tuple[str, str], ...] = ()
    indexes: tuple[str, ...] = ()
    code: Path | None = None
    out: Path | None = None
    show_values: bool = False
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was read and proposed; the paths of the files that were written; how an edited declaration differs."""

    assessment: Assessment
    items_read: int
    read_units: float
    written: tuple[str, ...] = ()
    drift: Drift | None = None

    @property
    def proposal(self) -> Proposal:
        """The entities and all that belongs to them."""
        return self.assessment.proposal

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **as_json(self.assessment),
            "items_read": self.items_read,
            "read_units": self.read_units,
            "written": list(self.written),
            "drift": None if self.drift is None else asdict(self.drift),
        }


@dataclass(eq=False, kw_only=True)
class NothingToPropose(AshoreError):
    """No item was read that an entity could be proposed for."""

    table: str
    items_read: int

    code: ClassVar[str] = "ASH722"
    exit_code: ClassVar[int] = 2

    def what(self) -> str:
        return f"table {self.table!r} gave {self.items_read:,} items, and none of them shows an entity"

    def hint(self) -> str:
        return "assess a table with items in it; of an export, check the key that was named with --key"


def attributes_of(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Key attributes as a command line writes them: ``pk``, or ``readAt:N`` for one that is not text.

    Raises:
        SettingsError: More than two, or a type that no key has.
    """
    found = []
    problems = []
    for text in texts:
        name, colon, kind = text.rpartition(":")
        if not colon or not name:
            name, kind = text, "S"
        if kind not in {"S", "N", "B"}:
            problems.append(Problem(where="--key", what=f"a key is of type S, N or B, not {kind!r}", hint="as in at:N"))
        found.append((name, kind))
    if len(texts) > 2:
        problems.append(Problem(where="--key", what="a table has one or two key attributes", hint="leave others out"))
    if problems:
        raise SettingsError(problems)
    return tuple(found)


def index_of(text: str) -> tuple[str, tuple[str, ...]]:
    """A secondary index as a command line writes it, ``NAME=ATTRIBUTE[,ATTRIBUTE]``: its name, its key's attributes.

    Without a name it is called as its attributes, with the commas.
    """
    name, equals, attributes = text.partition("=")
    return (name, tuple(attributes.split(","))) if equals else (text, tuple(text.split(",")))


def assess_project(order: Order, *, emit: Emit = silent) -> Result:
    """Read, propose, and write what there is a folder for. Nothing that people edited is overwritten.

    Raises:
        KeyUnknown: Of an export, the key was not given, and the items leave it open.
        CannotWriteProject: A file cannot be written; those before it stay.
        NothingToPropose: There were no items. Nothing was written.
        AshoreError: As the source does.
    """
    facts = _facts(order)
    assessed = _assess(order, emit)
    if not assessed.proposal.entities:
        raise NothingToPropose(table=assessed.proposal.table, items_read=assessed.survey.items_read)
    read = assessed.survey
    ttl = None if facts is None else facts.info.ttl_attribute
    seen = observations(read, ttl=ttl, now=order.now.timestamp())
    found = (*_unreadable(read.unreadable), *hazards(facts, seen))
    assessed = replace(assessed, proposal=replace(assessed.proposal, hazards=found))
    costs = costs_of(assessed.proposal, facts, workers=order.settings.workers)
    assessment = Assessment(
        proposal=assessed.proposal,
        verdict=costs.verdict,
        version=__version__,
        read_at=order.now,
        facts=() if facts is None else tuple(pairs(facts)),
        costs=costs.sections,
        code=None if order.code is None else code_map(source_files(order.code), assessed.proposal),
        show_values=order.show_values,
    )
    if order.out is None:
        return Result(assessment=assessment, items_read=read.items_read, read_units=read.read_units)
    items_from = order.settings.items_from
    if items_from is None:
        message = "there was something to read"
        raise AssertionError(message)
    files = write_project(assessed.proposal, order.out, items_from, order.settings.aws)
    drift = None
    if PROPOSED in files.written:
        declared = plan_of(PlanReference(declarations="entities:source", folder=order.out))
        drift = compare(declared, assessed.proposal)
    reports = write_reports(assessment, order.out)
    return Result(
        assessment=assessment,
        items_read=read.items_read,
        read_units=read.read_units,
        written=tuple(str(order.out / name) for name in (*files.written, *reports)),
        drift=drift,
    )


def _unreadable(items: int) -> Iterator[Hazard]:
    if items:
        yield Hazard(
            severity="warning",
            what=f"{items:,} items could not be read, or lack the key that was named",
            hint="a load rejects them and keeps them whole; of an export, check --key",
        )


def _facts(order: Order) -> TableFacts | None:
    return table_facts(order.source.table, order.source.aws) if isinstance(order.source, TableSource) else None


def _assess(order: Order, emit: Emit) -> Assessed:
    source = order.source
    info = source.describe()
    if isinstance(info, TableInfo):
        name = info.name
        key = tuple((attribute.name, str(attribute.type)) for attribute in info.key)
        indexes = {index.name: tuple(attribute.name for attribute in index.key) for index in info.indexes}
        ttl = info.ttl_attribute
    else:
        name, ttl = info.table_arn.rpartition("/")[2], None
        key = order.key
        indexes = dict(map(index_of, order.indexes))
    return assess(
        source,
        table_name=name,
        partition_key=key[0] if key else None,
        sort_key=key[1] if len(key) > 1 else None,
        indexes=indexes,
        ttl=ttl,
        sample=order.sample,
        workers=order.settings.workers,
        read_units=order.read_units or float("inf"),
        show_values=order.show_values,
        emit=emit,
    )
