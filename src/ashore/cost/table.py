"""What a DynamoDB table costs a month.

Source of what is billed: https://aws.amazon.com/dynamodb/pricing/on-demand/ and …/provisioned/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ashore.cost.prices import TableClass, hours_a_month, infrequent_access, recovery, region, standard, stream_reads
from ashore.cost.sums import Bill, Sum, line

gigabyte: Final = 1024**3
"""What AWS bills as a GB.

Source: https://docs.aws.amazon.com/whitepapers/latest/how-aws-pricing-works/welcome.html (assumed for DynamoDB)
"""
bytes_indexed_an_item: Final = 100
"""Billed for each item of a table and of an index, beside its own bytes.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A table or a global index: what it holds, and the units a second that it is charged for.

    On demand these are what was consumed on average, otherwise what is provisioned. None: not known.
    """

    name: str
    items: int
    bytes: int
    read_units: float | None
    write_units: float | None


def table_bill(
    uses: Sequence[Use],
    *,
    on_demand: bool,
    is_infrequent_access: bool = False,
    has_recovery: bool | None = False,
    stream_readers: int = 0,
    replicas: int = 0,
) -> Bill:
    """The monthly cost of a table (first of `uses`) and its indexes. Replicas in other regions are named, not priced.

    Args:
        uses: The table, then its indexes; local ones with no units of their own.
        on_demand: Whether the units are consumed or provisioned.
        is_infrequent_access: The table class.
        has_recovery: Point-in-time recovery; None: not known.
        stream_readers: Readers of the stream that are not Lambda, which reads it free of charge.
        replicas: Other regions of a global table.
    """
    prices = infrequent_access if is_infrequent_access else standard
    lines = [one for use in uses for one in _lines(use, prices, on_demand=on_demand)]
    if has_recovery and uses:
        held = sum(_billed(use) for use in uses)
        lines.append(line("Point-in-time recovery", held, recovery, "table and indexes"))
    if stream_readers:
        calls = stream_readers * 4 * _seconds_a_month / 1e6
        lines.append(
            line("Stream reads", calls, stream_reads, f"{stream_readers} readers × 4 calls a second, one shard")
        )
    return Bill(title="DynamoDB", when="now", lines=tuple(lines), notes=tuple(_notes(uses, has_recovery, replicas)))


_seconds_a_month: Final = hours_a_month * 3600


def _lines(use: Use, prices: TableClass, *, on_demand: bool) -> Iterator[Sum]:
    because = f"({use.bytes:,} bytes + {use.items:,} items × {bytes_indexed_an_item}) / 1024³"
    yield line(f"{use.name}: storage", _billed(use), prices.storage, because)
    for units, word, request, hour in (
        (use.read_units, "read", prices.read_request, prices.read_unit_hour),
        (use.write_units, "write", prices.write_request, prices.write_unit_hour),
    ):
        if units is None:
            continue
        if on_demand:
            because = f"{units:,.4g} {word} units a second × {hours_a_month} h × 3,600 / 10⁶"
            yield line(f"{use.name}: {word}s", units * _seconds_a_month / 1e6, request, because)
        else:
            because = f"{units:,.4g} {word} units × {hours_a_month} h"
            yield line(f"{use.name}: {word}s", units * hours_a_month, hour, because)


def _billed(use: Use) -> float:
    return (use.bytes + use.items * bytes_indexed_an_item) / gigabyte


def _notes(uses: Sequence[Use], has_recovery: bool | None, replicas: int) -> Iterator[str]:  # noqa: FBT001 (its own caller)
    yield f"prices of {region} without free tier, reservation or discount"
    unknown = [use.name for use in uses if use.read_units is None or use.write_units is None]
    if unknown:
        yield f"reads and writes are not known of {', '.join(unknown)}, and not in the total"
    if has_recovery is None:
        yield "whether point-in-time recovery is on is not known; it is not in the total"
    if replicas:
        yield f"{replicas} more regions have the table too; theirs is not in the total"
    yield "on-demand backups, data transfer and DAX are not in the total"
