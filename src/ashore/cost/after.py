"""What PostgreSQL costs a month: an RDS instance chosen by size and load, or Aurora Serverless v2 between two ends.

The rules that choose are rules of thumb of this project, not measurements: see the constants.
"""

from __future__ import annotations

import math
from typing import Final

from ashore.cost.prices import (
    Instance,
    aurora_requests,
    aurora_storage,
    aurora_unit_hour,
    hours_a_month,
    instances,
    rds_storage,
    region,
)
from ashore.cost.sums import Bill, line
from ashore.cost.table import gigabyte

hot_share: Final = 0.25
"""The share of all bytes that should find room in memory."""
requests_a_core: Final = 1000
"""Statements a second that one core is trusted with, at the peak."""
storage_headroom: Final = 1.5
"""Disk for each byte of tables and indexes: WAL, dead rows, growth."""
least_rds_storage_gb: Final = 20
"""Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html"""
least_aurora_units: Final = 0.5
gib_an_aurora_unit: Final = 2
missed_reads: Final = 0.1
"""The share of reads that memory does not answer: one I/O request each."""
writes_an_index: Final = 1
"""I/O requests for a row written, and for each of its indexes; Aurora joins small ones, so this is much."""


def memory_needed_gib(total_bytes: int) -> float:
    """Memory for the hot share of tables and indexes."""
    return hot_share * total_bytes / gigabyte


def choose_instance(total_bytes: int, peak_requests_per_s: float) -> Instance | None:
    """The smallest instance with the memory and the cores; None if there is none so large."""
    memory = memory_needed_gib(total_bytes)
    cores = peak_requests_per_s / requests_a_core
    return next((one for one in instances if one.memory_gib >= memory and one.cores >= cores), None)


def rds_bill(total_bytes: int, peak_requests_per_s: float, *, zones: int = 2) -> Bill:
    """RDS for PostgreSQL on gp3. Two `zones` are Multi-AZ: a second instance and a second disk that stand by.

    Backups up to the size of the disk are free. Without lines where no instance is large enough.
    """
    instance = choose_instance(total_bytes, peak_requests_per_s)
    if instance is None:
        note = f"no instance here has {memory_needed_gib(total_bytes):,.0f} GiB and the cores for this load"
        return Bill(title="RDS for PostgreSQL", when="after", lines=(), notes=(note,))
    disk = max(float(least_rds_storage_gb), math.ceil(storage_headroom * total_bytes / gigabyte))
    return Bill(
        title=f"RDS for PostgreSQL, {instance.name}, {'Multi-AZ' if zones > 1 else 'one zone'}",
        when="after",
        lines=(
            line(f"{instance.name}", zones * hours_a_month, instance.hour, f"{zones} × {hours_a_month} h"),
            line("Storage", zones * disk, rds_storage, f"{zones} × {disk:,.0f} GB"),
        ),
        notes=(
            f"prices of {region}",
            f"memory for {hot_share:.0%} of {total_bytes / gigabyte:,.1f} GB",
            f"a core for {requests_a_core:,} requests a second at the peak",
        ),
    )


def aurora_bills(
    total_bytes: int, *, reads_per_s: float, writes_per_s: float, peak_requests_per_s: float, indexes_a_row: float = 2
) -> tuple[Bill, Bill]:
    """Aurora Serverless v2, one writer: at its least, always at 0.5 ACU, and at what the peak would take all month.

    The truth lies between; a reader in a second zone costs as much again.
    """
    peak = max(memory_needed_gib(total_bytes) / gib_an_aurora_unit, peak_requests_per_s / requests_a_core * 4)
    most = max(least_aurora_units, math.ceil(peak * 2) / 2)
    requests = reads_per_s * missed_reads + writes_per_s * (1 + indexes_a_row) * writes_an_index
    counted = requests * hours_a_month * 3600 / 1e6
    why = (
        f"({reads_per_s:,.4g} reads × {missed_reads} + {writes_per_s:,.4g} writes × (1 + {indexes_a_row:g}))"
        f" a second × {hours_a_month} h × 3,600 / 10⁶"
    )
    note = f"prices of {region}; I/O requests are a guess on the high side; compute lies between 0.5 and {most:g} ACU"
    least_bill, most_bill = (
        Bill(
            title=f"Aurora Serverless v2, {word} {units:g} ACU",
            when="after",
            lines=(
                line("Compute", units * hours_a_month, aurora_unit_hour, f"{units:g} ACU × {hours_a_month} h"),
                line("Storage", total_bytes / gigabyte, aurora_storage, f"{total_bytes:,} bytes / 1024³"),
                line("I/O requests", counted, aurora_requests, why),
            ),
            notes=(note,),
        )
        for word, units in (("idle at", least_aurora_units), ("busy at", most))
    )
    return least_bill, most_bill
