"""The compiler of one record: which attribute fills which column of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from ashore.errors import Problem
from ashore.mapping.declare import Attribute, Epoch, Explicit, InText, Unfit
from ashore.mapping.names import Convention
from ashore.mapping.pattern import Pattern
from ashore.mapping.plan import EXTRA, RESIDUE, ColumnPlan, RecordPlan
from ashore.mapping.pointer import pointer
from ashore.mapping.types import column_type, numbers, times
from ashore.mapping.types.base import ColumnType
from ashore.mapping.wire import is_number, is_value
from ashore.model.attribute import TypedValue


@dataclass(slots=True)
class Refusals:
    """Gathers what is wrong in one place of a declaration."""

    where: str
    problems: list[Problem] = field(default_factory=list)

    def __call__(self, what: str, hint: str) -> None:
        self.problems.append(Problem(where=self.where, what=what, hint=hint))

    def inside(self, part: str) -> Refusals:
        """The same gathering, for a part of this place."""
        return Refusals(f"{self.where}, {part}", self.problems)

    def pattern(self, text: str) -> Pattern | None:
        """The pattern that a text is; None where it is none, which is gathered."""
        try:
            return Pattern.parse(text)
        except ValueError as error:
            self(f"the pattern {text!r} cannot be read", str(error))
            return None


@dataclass(slots=True, kw_only=True)
class _Named:
    path: tuple[str, ...]
    epoch: str | None = None
    in_text: bool = False


class RecordCompiler:
    """Compiles the columns of one table, the parent's or a child's."""

    def __init__(  # noqa: PLR0913 (what a declaration says of a record)
        self,
        refuse: Refusals,
        table: sa.Table,
        *,
        names: Convention,
        attributes: Mapping[Attribute, sa.Column[Any] | Epoch | InText],
        constant: Mapping[str, Any],
        null: Mapping[str, Explicit],
        unfit: Mapping[str, Unfit],
        filled: frozenset[str],
        taken: Mapping[str, str],
    ) -> None:
        self.refuse = refuse
        self.table = table
        self.names = names
        self.attributes = attributes
        self.constant = constant
        self.null = null
        self.unfit = unfit
        self.filled = filled
        self.taken = {**taken, **dict.fromkeys(constant, "constant")}

    def compile(self) -> RecordPlan:
        """The plan of the record; not to be used where something was refused."""
        self._check_remainder()
        named = self._named()
        columns = [
            plan
            for column in self.table.columns
            if self._is_filled_by_items(column) and (plan := self._column(column, named)) is not None
        ]
        self._check_paths(columns)
        self._check_mapped(named, {column.column for column in columns})
        tops = {column.path[0] for column in columns}
        for attribute in self.null:
            if not any(column.path == (attribute,) for column in columns):
                self.refuse(f"`null` speaks of {attribute!r}, which has no column", "name a column's attribute")
        for attribute, policy in self.unfit.items():
            if policy not in {"reject", "strip", "residue"}:
                self.refuse(f"`unfit` of {attribute!r} is {policy!r}", "use reject, strip or residue")
            if attribute in self.taken and attribute not in tops and self.taken[attribute] != "children":
                self.refuse(f"`unfit` speaks of {attribute!r}, which is {self.taken[attribute]}", "leave it out")
        return RecordPlan(
            table=self.table,
            columns=tuple(columns),
            constant=tuple((name, self._typed(name, value)) for name, value in self.constant.items()),
            unfit=dict(self.unfit),
        )

    def _is_filled_by_items(self, column: sa.Column[Any]) -> bool:
        generated = column.identity is not None or column.computed is not None
        return not generated and column.name not in self.filled and column.name not in {EXTRA, RESIDUE}

    def _check_remainder(self) -> None:
        for name in (EXTRA, RESIDUE):
            column = self.table.columns.get(name)
            if column is None or not isinstance(column.type, postgresql.JSONB) or not column.nullable:
                self.refuse(
                    f"table {self.table.fullname!r} has no nullable jsonb column {name!r}",
                    "add `*ashore.remainder()` to the table's columns",
                )

    def _named(self) -> dict[str, _Named]:
        named: dict[str, _Named] = {}
        for attribute, target in self.attributes.items():
            column = target.column if isinstance(target, Epoch | InText) else target
            epoch = target.unit if isinstance(target, Epoch) else None
            path = tuple(str(attribute).split(".")) if isinstance(attribute, str) else tuple(map(str, attribute))
            if not all(path):
                self.refuse(f"`attributes` maps {attribute!r}, which has an empty name in it", "name each step")
            elif self.table.columns.get(column.name) is not column:
                self.refuse(f"`attributes` maps {attribute!r} to {column}, a column of another table", "name its own")
            elif column.name in self.filled:
                self.refuse(f"`attributes` maps {attribute!r} to {column.name!r}, which the key fills", "use `derived`")
            elif column.name in named:
                self.refuse(f"`attributes` gives column {column.name!r} two attributes", "leave one")
            else:
                named[column.name] = _Named(path=path, epoch=epoch, in_text=isinstance(target, InText))
        return named

    def _column(self, column: sa.Column[Any], named: Mapping[str, _Named]) -> ColumnPlan | None:
        spoken = named.get(column.name) or _Named(path=(str(self.names(str(column.name))),))
        found: ColumnType | str = column_type(column.type)
        if spoken.epoch is not None:
            aware = isinstance(column.type, sa.DateTime) and column.type.timezone
            found = times.epoch(spoken.epoch) if aware else "an epoch number needs DateTime(timezone=True)"
        if spoken.in_text:
            found = found if isinstance(found, str) else numbers.in_text(found)
        if isinstance(found, str):
            self.refuse(f"column {column.name!r}: {found}", "see the reference of column types")
            return None
        top = spoken.path[0]
        if top in self.taken:
            self.refuse(
                f"column {column.name!r} takes attribute {top!r}, which is {self.taken[top]}",
                "map the column to another attribute, or list it in `only_in_postgres`",
            )
        return ColumnPlan(
            column=str(column.name),
            type=found,
            path=spoken.path,
            pointer=pointer(spoken.path),
            required=not column.nullable,
            explicit_null=spoken.path in {(name,) for name in self.null},
            unfit=self.unfit.get(".".join(spoken.path), self.unfit.get(top, self.unfit.get("*", "reject"))),
        )

    def _check_paths(self, columns: list[ColumnPlan]) -> None:
        for column in columns:
            for other in columns:
                if column is other:
                    continue
                if column.path == other.path and column.column < other.column:
                    self.refuse(
                        f"columns {column.column!r} and {other.column!r} take one attribute", "map one elsewhere"
                    )
                inside = len(other.path) > len(column.path) and other.path[: len(column.path)] == column.path
                if inside and (column.type.name != "jsonb" or len(column.path) > 1):
                    self.refuse(
                        f"column {other.column!r} takes a part of what column {column.column!r} takes whole",
                        "the whole can only be a jsonb column of the top-level attribute",
                    )

    def _check_mapped(self, named: Mapping[str, _Named], filled: set[str]) -> None:
        for name in named.keys() - filled:
            column = self.table.columns[name]
            if not self._is_filled_by_items(column):
                self.refuse(f"`attributes` maps an attribute to {name!r}, which no attribute can fill", "take it out")

    def _typed(self, name: str, value: Any) -> TypedValue:
        match value:
            case bool():
                return {"BOOL": value}
            case str():
                return {"S": value}
            case int() | Decimal() if is_number(str(value)):
                return {"N": str(value)}
            case dict() if is_value(value):
                return value
            case _:
                self.refuse(
                    f"constant {name!r} is a {type(value).__name__}", "use text, a number, a boolean or a typed value"
                )
                return {}
