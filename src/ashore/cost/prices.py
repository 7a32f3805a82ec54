"""Prices of AWS in us-east-1, each with its date and where it was seen. No other region is known here.

None was read from a price list of AWS by this project. `confirmed` says that something dated shows the price; the
others are from memory. Check them before you rely on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

region: Final = "us-east-1"
hours_a_month: Final = 730
"""The month that AWS's own examples reckon with: 365 × 24 / 12."""

on_demand_page: Final = "https://aws.amazon.com/dynamodb/pricing/on-demand/"
provisioned_page: Final = "https://aws.amazon.com/dynamodb/pricing/provisioned/"
rds_page: Final = "https://aws.amazon.com/rds/postgresql/pricing/"
aurora_page: Final = "https://aws.amazon.com/rds/aurora/pricing/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Dollars for one `unit`. `as_of` is the ISO date of what shows the price, `source` the page that has today's."""

    dollars: float
    unit: str
    as_of: str
    source: str
    confirmed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TableClass:
    """The prices of one of DynamoDB's table classes."""

    read_request: Price
    write_request: Price
    read_unit_hour: Price
    write_unit_hour: Price
    storage: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A class of RDS instance, in one availability zone.

    Source of cores and memory: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html
    """

    name: str
    cores: int
    memory_gib: int
    hour: Price


def _on_demand(dollars: float, unit: str, as_of: str = "2024-11-15", *, confirmed: bool = True) -> Price:
    return Price(dollars=dollars, unit=unit, as_of=as_of, source=on_demand_page, confirmed=confirmed)


def _provisioned(dollars: float, unit: str, *, confirmed: bool = True) -> Price:
    return Price(dollars=dollars, unit=unit, as_of="2024-11-15", source=provisioned_page, confirmed=confirmed)


def _instance(name: str, cores: int, memory_gib: int, dollars: float, as_of: str, *, confirmed: bool) -> Instance:
    hour = Price(dollars=dollars, unit="hour", as_of=as_of, source=rds_page, confirmed=confirmed)
    return Instance(name=name, cores=cores, memory_gib=memory_gib, hour=hour)


standard: Final = TableClass(
    read_request=_on_demand(0.125, "million read units"),
    write_request=_on_demand(0.625, "million write units"),
    read_unit_hour=_provisioned(0.00013, "read unit-hour"),
    write_unit_hour=_provisioned(0.00065, "write unit-hour"),
    storage=_on_demand(0.25, "GB-month"),
)
infrequent_access: Final = TableClass(
    read_request=_on_demand(0.155, "million read units", confirmed=False),
    write_request=_on_demand(0.78, "million write units", confirmed=False),
    read_unit_hour=_provisioned(0.00016, "read unit-hour", confirmed=False),
    write_unit_hour=_provisioned(0.00081, "write unit-hour", confirmed=False),
    storage=_on_demand(0.10, "GB-month", confirmed=False),
)
recovery: Final = _on_demand(0.20, "GB-month")
"""Point-in-time recovery."""
stream_reads: Final = _on_demand(0.20, "million stream reads")
"""GetRecords calls; those of Lambda are free."""
export: Final = _on_demand(0.10, "GB", confirmed=False)

rds_storage: Final = Price(dollars=0.115, unit="GB-month", as_of="2026-05-03", source=rds_page)
"""gp3 in one availability zone; it includes 3,000 I/O operations a second."""
instances: Final = (
    _instance("db.t4g.small", 2, 2, 0.032, "2026-05-03", confirmed=True),
    _instance("db.t4g.medium", 2, 4, 0.065, "2026-05-03", confirmed=False),
    _instance("db.t4g.large", 2, 8, 0.129, "2026-05-03", confirmed=False),
    _instance("db.r8g.large", 2, 16, 0.239, "2026-05-03", confirmed=False),
    _instance("db.r8g.xlarge", 4, 32, 0.478, "2026-05-03", confirmed=False),
    _instance("db.r8g.2xlarge", 8, 64, 0.956, "2026-05-03", confirmed=False),
    _instance("db.r8g.4xlarge", 16, 128, 1.912, "2026-05-03", confirmed=False),
    _instance("db.r8g.8xlarge", 32, 256, 3.824, "2026-05-03", confirmed=False),
)
"""From the smallest to the largest."""

aurora_unit_hour: Final = Price(dollars=0.12, unit="ACU-hour", as_of="2025-03-05", source=aurora_page)
"""An ACU has about 2 GiB of memory and the processor and network that go with it; Serverless v2, Standard storage.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.how-it-works.html
"""
aurora_storage: Final = Price(dollars=0.10, unit="GB-month", as_of="2025-03-05", source=aurora_page)
aurora_requests: Final = Price(dollars=0.20, unit="million I/O requests", as_of="2024-07-01", source=aurora_page)
