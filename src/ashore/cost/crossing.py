"""What reading a whole table costs once, and how long a load takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ashore.cost.prices import export, standard
from ashore.cost.sums import Bill, line
from ashore.cost.table import gigabyte

bytes_of_a_read_unit: Final = 4096
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRate:
    """Items a second that one worker loaded, with the keys and indexes a second that were built afterwards."""

    items_per_s: float
    rows_indexed_per_s: float
    item_bytes: int
    where: str
    as_of: str


measured: Final = MeasuredRate(
    items_per_s=131_440 / 2,
    rows_indexed_per_s=10_000_000 / 9.19,
    item_bytes=1155,
    where="10,000,000 flat items of 1,155 bytes of an export, 2 workers and PostgreSQL 18 on 2 cores of an AMD EPYC",
    as_of="2026-11-24",
)
"""`bench/results/load-flat-10000000.json`: one primary key, PostgreSQL on the same machine and disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTime:
    """Seconds, what bounds them, and how they were worked out."""

    seconds: float
    bound_by: str
    formula: str


def scan_units(total_bytes: int, *, consistent: bool = True) -> float:
    """Read units of a Scan of the whole table; an eventually consistent one takes half."""
    units = math.ceil(total_bytes / bytes_of_a_read_unit)
    return float(units) if consistent else units / 2


def scan_bill(total_bytes: int, *, on_demand: bool, consistent: bool = True) -> Bill:
    """One Scan. With provisioned capacity it is paid for already, and takes from what the application has."""
    units = scan_units(total_bytes, consistent=consistent)
    half = "" if consistent else " / 2"
    because = f"{total_bytes:,} bytes / {bytes_of_a_read_unit:,}{half} / 10⁶"
    if on_demand:
        lines, notes = (line("One full Scan", units / 1e6, standard.read_request, because),), ()
        return Bill(title="Scan", when="once", lines=lines, notes=notes)
    note = f"{units:,.0f} read units, of the provisioned capacity; no extra cost"
    return Bill(title="Scan", when="once", lines=(), notes=(note,))


def export_bill(total_bytes: int, *, has_recovery: bool) -> Bill:
    """One full export to S3. S3's own storage and requests are not in it.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.HowItWorks.html
    """
    lines = (line("One full export", total_bytes / gigabyte, export, f"{total_bytes:,} bytes / 1024³"),)
    notes = () if has_recovery else ("an export needs point-in-time recovery, which is off: its price comes on top",)
    return Bill(title="Export to S3", when="once", lines=lines, notes=notes)


def load_time(
    items: int,
    *,
    workers: int,
    rate: MeasuredRate = measured,
    item_bytes: float | None = None,
    read_units: float = 0.0,
    read_units_per_s: float | None = None,
) -> LoadTime:
    """How long a load takes: the slower of the workers and the read budget, then keys and indexes.

    Items larger than those measured take longer in proportion to their bytes; smaller ones are not reckoned faster.
    Workers help as long as each has a core.

    Raises:
        ValueError: `workers` is less than 1, or the read budget is not more than 0.
    """
    if workers < 1 or (read_units_per_s is not None and read_units_per_s <= 0):
        raise ValueError("a load needs a worker, and a read budget of more than 0")
    larger = max(1.0, (item_bytes or rate.item_bytes) / rate.item_bytes)
    working = items * larger / (rate.items_per_s * workers)
    reading = 0.0 if read_units_per_s is None else read_units / read_units_per_s
    indexing = items / rate.rows_indexed_per_s
    work = f"{items:,} items × {larger:.2f} / ({rate.items_per_s:,.0f} items a second × {workers})"
    read = f"{read_units:,.0f} read units / {read_units_per_s or 0:,.0f} a second"
    bound_by, formula = ("the read budget", read) if reading > working else ("the workers", work)
    keys = f"{items:,} rows / {rate.rows_indexed_per_s:,.0f} a second for keys"
    return LoadTime(
        seconds=max(working, reading) + indexing,
        bound_by=bound_by,
        formula=f"{formula} + {keys}; measured: {rate.where}, {rate.as_of}",
    )
