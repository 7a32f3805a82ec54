"""The verification of one entity, once its shadow is finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ashore.ledger.waivers import is_waived
from ashore.mapping.copy_text import child_columns, copies_columns, entity_columns
from ashore.mapping.document import encode
from ashore.mapping.plan import EntityPlan, Plan, key_attributes
from ashore.model.item import mask
from ashore.postgres.connect import Conn
from ashore.postgres.items import RowKey, in_batches
from ashore.postgres.names import TableName
from ashore.postgres.tables import count_rows
from ashore.verify.compare import Mismatch, Pair, by_kind, compare, mismatches
from ashore.verify.report import Difference, EntityReport
from ashore.verify.reread import CopyRereader, Fetch, ItemKey, Patience, Rereader, Verdict, key_of_item
from ashore.verify.shadow import SCHEMA, Shadow, samples
from ashore.verify.witness import Witness

_AT_ONCE: Final = 500
_MOST_REREAD: Final = 20_000
"""Keys of one table that are read again on a live table; where more differ, the load and the table are apart."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What does not agree, by one snapshot: all of it in a table, and the first of it with its DynamoDB keys."""

    table: TableName
    listed: Sequence[Mismatch]
    keys: Mapping[RowKey, ItemKey]


@dataclass(slots=True, kw_only=True)
class EntityVerifier:
    """Compares the tables of one entity with their shadows, and witnesses its samples.

    `differences` names the first `most` of what differs; `apart` are the DynamoDB keys of those that did not agree when
    they were read again, all of them if `is_complete`. `standing` are the keys, as JSON, that differ, waived ones among
    them, each with a digest of both sides. The connection is in autocommit mode and went through
    `ashore.postgres.items.prepare`.
    """

    plan: Plan
    entity: EntityPlan
    shadow: Shadow
    fetch: Fetch | None
    most: int
    patience: Patience = field(default_factory=Patience)
    differences: list[Difference] = field(default_factory=list)
    apart: list[ItemKey] = field(default_factory=list)
    standing: dict[str, bytes] = field(default_factory=dict)
    is_complete: bool = True
    _waived_rows: set[RowKey] = field(default_factory=set)

    def verify(self, conn: Conn) -> EntityReport:
        """Compare all its tables both ways, then let the witness look."""
        report = EntityReport(entity=self.entity.name)
        report.expected = count_rows(conn, self.shadow.reader(self.entity).table)
        report.actual = count_rows(conn, self.shadow.target_reader(self.entity).table)
        for number, pair in enumerate(self._pairs()):
            table = TableName(SCHEMA, f"mismatch_{number}_{self.entity.name}"[:60])
            with conn.transaction():
                conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                if not compare(conn, pair, table):
                    continue
                found = self._found(conn, pair, table)
            self._report_mismatches(conn, report, pair, found)
        self._witness(conn, report)
        return report

    def _pairs(self) -> list[Pair]:
        entity = self.entity
        key = tuple(column.name for column in entity.table.primary_key.columns)
        pairs = [self._pair(entity.table.fullname, key, key, entity_columns(entity))]
        for child in entity.children:
            theirs = {ours: column for column, ours in child.parent}
            parent = tuple(theirs[column] for column in key)
            pairs.append(self._pair(child.record.table.fullname, (*parent, child.order), parent, child_columns(child)))
        if entity.copies is not None:
            table = entity.copies.table
            own = tuple(column.name for column in table.primary_key.columns)
            pairs.append(self._pair(table.fullname, own, own, copies_columns(entity.copies)))
        return pairs

    def _pair(self, name: str, key: tuple[str, ...], parent: tuple[str, ...], columns: Sequence[str]) -> Pair:
        return Pair(
            expected=self.shadow.tables[name],
            actual=self.shadow.targets[name],
            key=key,
            parent=parent,
            columns=tuple(column for column in columns if column not in key),
        )

    def _found(self, conn: Conn, pair: Pair, table: TableName) -> _Found:
        if self.fetch is None:
            return _Found(table, mismatches(conn, table, self.most), {})
        listed = mismatches(conn, table, _MOST_REREAD)
        reader = self._reader(pair, self.fetch)
        batches = in_batches(sorted({one.parent for one in listed}), _AT_ONCE)
        return _Found(
            table, listed, {key: of for batch in batches for key, of in reader.item_keys(conn, batch).items()}
        )

    def _report_mismatches(self, conn: Conn, report: EntityReport, pair: Pair, found: _Found) -> None:
        if self.fetch is None:
            for kind, number in by_kind(conn, found.table).items():
                setattr(report, kind, getattr(report, kind) + number)
            self._name(pair, found.listed)
            return
        listed, keys = found.listed, found.keys
        reader = self._reader(pair, self.fetch)
        verdicts = dict.fromkeys((one.parent for one in listed), "differs") | self._judge(conn, reader, keys)
        report.settled += sum(verdict == "agrees" for verdict in verdicts.values())
        report.undecided += sum(verdict == "undecided" for verdict in verdicts.values())
        waived = self._waived(conn, reader, {key: of for key, of in keys.items() if verdicts[key] == "differs"})
        report.waived += len(waived)
        self._waived_rows |= waived if pair.actual == self.shadow.targets[self.entity.table.fullname] else set()
        remaining = [one for one in listed if verdicts[one.parent] == "differs" and one.parent not in waived]
        for one in remaining:
            setattr(report, one.kind, getattr(report, one.kind) + 1)
        more = sum(by_kind(conn, found.table).values()) - len(listed)
        report.different += more
        self.is_complete = self.is_complete and not more and keys.keys() == verdicts.keys()
        self._name(pair, remaining)

    def _waived(self, conn: Conn, reader: Rereader | CopyRereader, keys: Mapping[RowKey, ItemKey]) -> set[RowKey]:
        """Those of some keys that differ as somebody said that they may; the others stand in the way."""
        waived: set[RowKey] = set()
        for batch in in_batches(list(keys), _AT_ONCE):
            for key, sides in reader.sides(conn, {key: keys[key] for key in batch}).items():
                told = encode({one.name: sides.key[one.name] for one in key_attributes(self.entity)}).decode()
                if is_waived(conn, self.plan.name, "difference", told, sides.state):
                    waived.add(key)
                self.standing[told] = sides.state
        return waived

    def _reader(self, pair: Pair, fetch: Fetch) -> Rereader | CopyRereader:
        copies = self.entity.copies
        if copies is not None and pair.actual == self.shadow.targets[copies.table.fullname]:
            return CopyRereader(entity=self.entity, table=pair.actual, fetch=fetch, patience=self.patience)
        return self._rereader(fetch)

    def _judge(
        self, conn: Conn, reader: Rereader | CopyRereader, keys: Mapping[RowKey, ItemKey]
    ) -> dict[RowKey, Verdict]:
        verdicts: dict[RowKey, Verdict] = {}
        for batch in in_batches(list(keys), _AT_ONCE):
            verdicts |= reader.judge(conn, {key: keys[key] for key in batch})
        self.apart += [keys[key] for key, verdict in verdicts.items() if verdict != "agrees"]
        return verdicts

    def _rereader(self, fetch: Fetch) -> Rereader:
        return Rereader(
            plan=self.plan,
            entity=self.entity,
            expected=self.shadow.reader(self.entity),
            actual=self.shadow.target_reader(self.entity),
            fetch=fetch,
            patience=self.patience,
        )

    def _name(self, pair: Pair, found: Sequence[Mismatch]) -> None:
        for one in found[: max(0, self.most - len(self.differences))]:
            self.differences.append(
                Difference(
                    kind=one.kind,
                    entity=self.entity.name,
                    table=str(pair.actual),
                    key=mask(one.key),
                    columns=one.columns,
                )
            )

    def _witness(self, conn: Conn, report: EntityReport) -> None:
        witness = Witness(self.plan, self.entity)
        shapes: set[str] = set()
        witnessed: set[str] = set()
        after = 0
        while found := samples(conn, self.entity.name, after=after, limit=_AT_ONCE):
            after = found[-1][0]
            shapes |= {shape for _, shape, _ in found}
            keyed = [(key, shape, raw) for _, shape, raw in found if (key := witness.row_key(raw)) is not None]
            rows = dict(self.shadow.target_reader(self.entity).by_key(conn, list({key for key, _, _ in keyed})))
            for key, shape, raw in keyed:
                if key not in rows:
                    continue
                refuted = witness.refutes(raw, rows[key])
                if not refuted:
                    report.witnessed += 1
                    witnessed.add(shape)
                elif key not in self._waived_rows:
                    self._report_refuted(conn, report, key, raw, refuted)
        report.shapes, report.witnessed_shapes = len(shapes), len(witnessed)

    def _report_refuted(
        self, conn: Conn, report: EntityReport, key: RowKey, raw: bytes, refuted: Sequence[str]
    ) -> None:
        if self.fetch is not None:
            judged = self._rereader(self.fetch).judge(conn, {key: key_of_item(self.entity, raw)})
            if judged[key] != "differs":
                report.settled += 1
                return
        report.refuted += 1
        self.differences.append(
            Difference(
                kind="different",
                entity=self.entity.name,
                table=f"{self.shadow.targets[self.entity.table.fullname]} (witness)",
                key=mask(key),
                columns=tuple(refuted),
            )
        )
