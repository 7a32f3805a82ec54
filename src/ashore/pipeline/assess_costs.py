"""What a table costs now and after, from its facts and the proposal; and whether to cross at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ashore.assess.proposal import Column, Entity, Proposal
from ashore.assess.report.assessment import CostLine, CostSection, Verdict
from ashore.cost import verdict as rules
from ashore.cost.after import aurora_bills, rds_bill
from ashore.cost.crossing import export_bill, load_time, scan_bill
from ashore.cost.size import ColumnSize, IndexSize, Size, TableSize, table_size
from ashore.cost.sums import Bill
from ashore.cost.table import Use, table_bill
from ashore.dynamodb.facts import TableFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """The bills, and the verdict that rests on them among other things."""

    sections: tuple[CostSection, ...]
    verdict: Verdict


def costs_of(proposal: Proposal, facts: TableFacts | None, *, workers: int) -> Costs:
    """Reckon with what is known; what is not is named in the notes of each section.

    Without `facts` (an export) neither reads nor writes are known: the bill of now is that of storage alone, and cost
    is no reason for a verdict.
    """
    sizes = [*_sizes(proposal)]
    total = sum(size.total for size in sizes)
    reads, writes, peak = _use(facts)
    known = facts is not None and facts.consumed is not None
    now = _bill_now(proposal, facts)
    if not known:
        now = replace(now, title="DynamoDB: its storage alone, reads and writes are not known")
    after = [
        rds_bill(total, peak),
        *aurora_bills(total, reads_per_s=reads, writes_per_s=writes, peak_requests_per_s=peak),
    ]
    on_demand = facts is None or facts.billing == "on demand"
    has_recovery = facts is not None and facts.info.point_in_time_recovery is True
    once = [scan_bill(proposal.bytes, on_demand=on_demand), export_bill(proposal.bytes, has_recovery=has_recovery)]
    sections = [_section(bill) for bill in (now, *after, *once)]
    sections += [_sizes_section(sizes, total), _time_section(proposal, workers)]
    dearest = max((bill.total for bill in after if bill.lines), default=None)
    return Costs(sections=tuple(sections), verdict=_verdict(proposal, facts, now.total if known else None, dearest))


def _use(facts: TableFacts | None) -> tuple[float, float, float]:
    used = None if facts is None else facts.consumed
    if used is None:
        return 0.0, 0.0, 0.0
    return used.read_average, used.write_average, used.read_peak + used.write_peak


def _bill_now(proposal: Proposal, facts: TableFacts | None) -> Bill:
    if facts is None:
        uses = [Use(name=proposal.table, items=proposal.items, bytes=proposal.bytes, read_units=None, write_units=None)]
        return table_bill(uses, on_demand=True, has_recovery=None)
    on_demand = facts.billing == "on demand"
    info, used = facts.info, facts.consumed
    uses = [
        Use(
            name=info.name,
            items=info.items,
            bytes=info.bytes,
            read_units=(used.read_average if used else None) if on_demand else info.provisioned_read_units,
            write_units=(used.write_average if used else None) if on_demand else facts.provisioned_write_units,
        )
    ]
    for index in facts.indexes:
        of_index = index.consumed
        none_of_its_own = None if index.is_global else 0.0
        uses.append(
            Use(
                name=index.name,
                items=index.items,
                bytes=index.bytes,
                read_units=(of_index.read_average if of_index else none_of_its_own)
                if on_demand
                else index.provisioned_read_units or none_of_its_own,
                write_units=(of_index.write_average if of_index else none_of_its_own)
                if on_demand
                else index.provisioned_write_units or none_of_its_own,
            )
        )
    return table_bill(
        uses,
        on_demand=on_demand,
        is_infrequent_access=facts.table_class == "STANDARD_INFREQUENT_ACCESS",
        has_recovery=info.point_in_time_recovery,
        replicas=len(facts.replicas),
    )


def _sizes(proposal: Proposal) -> Iterator[Size]:
    scale = proposal.items / max(proposal.items_read, 1)
    for entity in proposal.entities:
        rows = math.ceil(entity.items * scale)
        yield table_size(
            TableSize(name=entity.name, rows=rows, columns=_columns(entity.columns), indexes=_indexes(entity))
        )
        key = [column for column in entity.columns if column.name in entity.key_columns]
        for child in entity.children:
            columns = _columns([*key, *child.columns])
            index = IndexSize(columns=(*_columns(key), ColumnSize(kind="integer")))
            rows = math.ceil(child.items * scale)
            yield table_size(TableSize(name=child.table, rows=rows, columns=columns, indexes=(index,)))


def _columns(columns: Iterable[Column]) -> tuple[ColumnSize, ...]:
    return tuple(
        ColumnSize(kind=column.kind, average_bytes=column.average_bytes, not_null=column.present) for column in columns
    )


def _indexes(entity: Entity) -> tuple[IndexSize, ...]:
    by_name = {column.name: column for column in entity.columns}
    distinct = {one.path: one.distinct for one in entity.evidence}
    found = [IndexSize(columns=_columns(by_name[name] for name in entity.key_columns))]
    for index in entity.indexes:
        columns = [by_name[name] for name in index.columns]
        path = columns[0].path
        found.append(
            IndexSize(columns=_columns(columns), distinct=distinct.get(path[0]) if path and len(columns) == 1 else None)
        )
    return tuple(found)


def _section(bill: Bill) -> CostSection:
    lines = tuple(
        CostLine(
            label=one.what,
            quantity=f"{one.quantity:,.4g} {one.unit}",
            unit_price=f"${one.unit_price:g}",
            amount=f"${one.amount:,.2f}",
            formula=one.formula,
            source=one.source,
            price_date=one.price_date if one.confirmed else f"{one.price_date}, not confirmed",
        )
        for one in bill.lines
    )
    return CostSection(
        title=bill.title, when=bill.when, lines=lines, total=f"${bill.total:,.2f}", note="; ".join(bill.notes)
    )


def _sizes_section(sizes: Iterable[Size], total: int) -> CostSection:
    lines = tuple(
        CostLine(
            label=one.name,
            quantity=f"{one.row_bytes:,.0f} bytes a row",
            unit_price="",
            amount=_size(one.total),
            formula=f"rows {_size(one.heap)}, out of line {_size(one.toast)}, indexes {_size(one.indexes)}",
        )
        for one in sizes
    )
    return CostSection(
        title="Size in PostgreSQL",
        when="once",
        lines=lines,
        total=_size(total),
        note="as a load leaves it: without dead rows, and without the columns extra and residue",
    )


def _time_section(proposal: Proposal, workers: int) -> CostSection:
    average = proposal.bytes / max(proposal.items, 1)
    time = load_time(proposal.items, workers=workers, item_bytes=average)
    line = CostLine(
        label=f"Load by {workers} workers",
        quantity=f"{proposal.items:,} items",
        unit_price="",
        amount=_duration(time.seconds),
        formula=time.formula,
    )
    return CostSection(
        title="Time of the load",
        when="once",
        lines=(line,),
        total=_duration(time.seconds),
        note=f"bound by {time.bound_by}; from an export, on a machine like the one that was measured",
    )


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def _duration(seconds: float) -> str:
    return (
        f"{seconds / 3600:,.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:,.1f} min"
        if seconds >= 60
        else f"{seconds:,.0f} s"
    )


def _verdict(proposal: Proposal, facts: TableFacts | None, now: float | None, after: float | None) -> Verdict:
    entities = proposal.entities
    used = None if facts is None else facts.consumed
    patterns = sum(len(entity.keys) + len(entity.copies) for entity in entities)
    found = rules.verdict(
        rules.Workload(
            entities=len(entities),
            access_patterns=patterns + (0 if facts is None else sum(index.is_global for index in facts.indexes)),
            foreign_keys=sum(not key.missing for entity in entities for key in entity.foreign_keys),
            mappings=sum(entity.role == "mapping" for entity in entities),
            copies=sum(len(entity.copies) for entity in entities),
            writes_per_s=None if used is None else used.write_average,
            write_peak_per_s=None if used is None else used.write_peak,
            writing_regions=None if facts is not None and facts.replicas else 1,
            dollars_now=now,
            dollars_after=after,
        )
    )
    return Verdict(word=found.word, reasons=tuple(reason.text for reason in found.reasons))
