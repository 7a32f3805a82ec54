"""Tables without prefixes: one entity a table, keys told apart by form, numbers and binary, time series."""

from __future__ import annotations

import base64

from ashore.bench.gold.table import GoldTable, Values


def bank(values: Values, size: int) -> GoldTable:
    """No prefixes: an account's own item, its daily balances and its transfers differ by the sort key's form."""
    table = GoldTable(name="bank", key=(("accountId", "S"), ("item", "S")))
    for _ in range(size // 12):
        account = values.uuid()
        table.add(
            "account",
            accountId=account,
            item="ACCOUNT",
            owner=values.text(2),
            iban=f"DE{values.whole(10**9):018d}",
            openedAt=values.moment(),
        )
        for _ in range(4):
            table.add("balance", accountId=account, item=values.day(), amount=values.money(), currency="EUR")
        for _ in range(6):
            table.add(
                "transfer",
                accountId=account,
                item=values.uuid(),
                amount=values.money(),
                toAccount=values.uuid(),
                bookedAt=values.moment(),
                purpose=values.text(),
            )
    table.right("transfer", amount="numeric", toAccount="uuid", bookedAt="timestamptz")
    table.right("balance", amount="numeric")
    table.parents = {("balance", "account"), ("transfer", "account")}
    return table


def parcels(values: Values, size: int) -> GoldTable:
    """One entity a table, a single partition key."""
    table = GoldTable(name="parcels", key=(("parcelId", "S"),))
    for number in range(size):
        table.add(
            "parcel",
            parcelId=f"PX{number:08d}",
            weight=values.money(),
            sentOn=values.day(),
            postcode=f"{values.whole(99999):05d}",
            route=[values.text(1), values.text(1)],
            dimensions={"M": {"w": {"N": "3"}, "h": {"N": "4.5"}}},
            **({"signedBy": values.text(2)} if values.maybe() else {}),
            **({"odd": values.one_of("x", 1)} if values.maybe(0.05) else {}),
        )
    table.right("parcel", weight="numeric", sentOn="date", postcode="text", route="jsonb|text[]", dimensions="jsonb")
    return table


def sensors(values: Values, size: int) -> GoldTable:
    """A time series: partitions sharded by day, sorted by moment; devices beside them."""
    table = GoldTable(name="sensors")
    devices = [f"dev{number:04d}" for number in range(max(3, size // 50))]
    for device in devices:
        table.add(
            "device",
            pk=f"device#{device}",
            sk="device",
            model=values.text(1),
            installed=values.day(),
            firmware=f"{values.whole(9)}.{values.whole(9)}.1",
        )
    for _ in range(size):
        moment = values.moment()
        table.add(
            "reading",
            pk=f"readings#{moment[:10]}",
            sk=f"{values.one_of(*devices)}#{moment}",
            temperature=values.money(),
            humidity=values.whole(100),
            flags=values.truth(),
        )
    table.right("reading", temperature="numeric", humidity="integer", flags="boolean")
    table.right("device", installed="date")
    table.parents = {("reading", "device")}
    return table


def meters(values: Values, size: int) -> GoldTable:
    """Numeric keys."""
    table = GoldTable(name="meters", key=(("meter", "N"), ("readAt", "N")))
    for meter in range(1, max(4, size // 20)):
        for _ in range(20):
            table.add(
                "reading",
                meter=meter,
                readAt=values.epoch(),
                kwh=values.money(),
                estimated=values.truth(),
                reader=values.uuid(),
            )
    table.right("reading", kwh="numeric", estimated="boolean", reader="uuid")
    return table


def files(values: Values, size: int) -> GoldTable:
    """Binary keys, explicit NULLs, JSON and U+0000 inside texts."""
    table = GoldTable(name="files", key=(("digest", "B"),))
    for number in range(size):
        digest = base64.b64encode(values.random.randbytes(16)).decode()
        table.add(
            "file",
            digest={"B": digest},
            path=values.text().replace(" ", "/") + ("\0" if number % 97 == 5 else ""),
            bytes=values.whole(10**9),
            modified=values.moment(),
            owner=None if values.maybe(0.2) else values.uuid(),
            about='{"k": 1}',
            year=str(1990 + values.whole(40)),
        )
    table.right(
        "file", bytes="integer|bigint", modified="timestamptz", owner="uuid", about="text", year="number_in_text"
    )
    return table
