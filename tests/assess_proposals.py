"""Proposals made by hand that say everything a proposal can say, and items that fit them."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any, Final

from ashore.assess.proposal import (
    Child,
    Column,
    ColumnKind,
    Copies,
    Derived,
    Entity,
    ForeignKey,
    Index,
    KeyPattern,
    Proposal,
    Rule,
)

Item = dict[str, dict[str, Any]]


def column(name: str, kind: ColumnKind, *path: str, nullable: bool = True, because: str = "") -> Column:
    present = 0.625 if nullable else 1.0
    return Column(name=name, kind=kind, path=path or None, nullable=nullable, because=because, present=present)


def key(partition: str, sort: str | None = None, items: int = 40) -> KeyPattern:
    return KeyPattern(partition=partition, sort=sort, items=items)


CUSTOMER: Final = Entity(
    name="customer",
    role="record",
    keys=(
        replace(key("customer|{customer_id}", "customer|{customer_id}"), examples=(("customer|•••", "customer|•••"),)),
        key("CUSTOMER#{customer_id}", "PROFILE", items=3),
    ),
    key_columns=("customer_id",),
    columns=(
        column("customer_id", "text", nullable=False),
        column("name", "text", "name", nullable=False, because="text in every item"),
        column("email", "text", "e-mail", because="absent from 375 of 1,000 items that were looked at"),
        column("birth_date", "date", "birthDate"),
        column("joined_at", "timestamptz", "joinedAt"),
        column("seen_at", "timestamptz", "seenAt"),
        column("local_time", "timestamp", "localTime"),
        column("changed_at", "epoch_milliseconds", "changedAt"),
        column("expires_at", "epoch_seconds", "ttl"),
        column("level", "smallint", "level"),
        column("visits", "integer", "visits"),
        column("points", "bigint", "points"),
        column("credit", "numeric", "credit"),
        column("is_member", "boolean", "isMember"),
        column("photo", "bytea", "photo"),
        column("preferences", "jsonb", "preferences"),
        column("theme", "text", "preferences", "theme"),
        column("dotted", "text", "a.b"),
        column("keys", "text", "keys"),
        column("class", "text", "class"),
        column("tags", "text[]", "tags"),
        column("numbers", "bigint[]", "numbers"),
        column("amounts", "numeric[]", "amounts"),
        column("hashes", "bytea[]", "hashes"),
        column("referrer_id", "text", "referrerId"),
        column("favourite_address_id", "uuid", "favouriteAddressId"),
        column("search_words", "text"),
    ),
    constant={"entityName": "Customer", "version": 3, "isLive": True, "kinds": {"SS": ["a", "b"]}},
    derived=(
        Derived(attribute="customerId", template="{customer_id}", maybe=False, holds=1.0),
        Derived(attribute="gsi1pk", template="referrer|{referrer_id}", maybe=True, holds=0.9967),
    ),
    null=("seenAt",),
    unfit={"visits": "residue", "name": "strip"},
    indexes=(
        Index(name="customer_by_referrer", columns=("referrer_id",), unique=False, because="the index gsi1"),
        Index(name="customer_by_email", columns=("email", "customer_id"), unique=True, because="unique in all items"),
    ),
    foreign_keys=(
        ForeignKey(
            columns=("referrer_id",),
            target="customer",
            target_columns=("customer_id",),
            looked_at=31,
            missing=0,
            enforced=True,
        ),
        ForeignKey(
            columns=("favourite_address_id",),
            target="address",
            target_columns=("address_id",),
            looked_at=25,
            missing=0,
            enforced=True,
        ),
    ),
    ttl="ttl",
    extra=(("nickname", "in 0.1 % of the items"), ("mixed", "text and numbers")),
    items=43,
    bytes=12_345,
    largest=999,
    notes=("Names hold U+0000 in one item.",),
)
ADDRESS: Final = Entity(
    name="address",
    role="record",
    keys=(key("customer|{customer_id}", "address|{address_id}"),),
    key_columns=("address_id",),
    columns=(
        column("address_id", "uuid", nullable=False),
        column("customer_id", "text", nullable=False),
        column("city", "text", "city"),
    ),
    derived=(Derived(attribute="addressId", template="{address_id}", maybe=False, holds=1.0),),
    foreign_keys=(
        ForeignKey(
            columns=("customer_id",),
            target="customer",
            target_columns=("customer_id",),
            looked_at=43,
            missing=0,
            enforced=True,
        ),
    ),
    items=40,
)
ORDER: Final = Entity(
    name="order",
    role="record",
    keys=(key("customer|{customer_id}", "order|{number}"),),
    key_columns=("number", "customer_id"),
    columns=(
        column("customer_id", "text", nullable=False),
        column("number", "integer", nullable=False),
        column("placed_at", "timestamptz", "placedAt", nullable=False),
        column("shop_id", "text", "shopId"),
    ),
    derived=(
        Derived(attribute="customerId", template="{customer_id}", maybe=False, holds=1.0),
        Derived(attribute="orderNumber", template="{number}", maybe=False, holds=1.0),
        Derived(attribute="gsi1pk", template="order|{customer_id}|{number}", maybe=False, holds=1.0),
    ),
    children=(
        Child(
            table="order_line",
            attribute="lines",
            order="position",
            columns=(
                column("article", "text", "article", nullable=False),
                column("price", "numeric", "pricePaid"),
                column("sent_at", "epoch_seconds", "sentAt"),
            ),
            extra=(("gift", "in one element"),),
            items=80,
            because="every element is a map with an article",
        ),
    ),
    copies=(Copies(key=key("outbox|{day}", "{number}"), of="gsi1pk", compared=10, differing=2, orphaned=1),),
    foreign_keys=(
        ForeignKey(
            columns=("shop_id",),
            target="shop",
            target_columns=("shop_id",),
            looked_at=12,
            missing=3,
            enforced=False,
            because="not all are found",
        ),
    ),
    items=40,
)
RETURN: Final = Entity(
    name="order_return",
    role="mapping",
    keys=(key("return|{day}", "{customer_id}#{number}"),),
    key_columns=("day", "customer_id", "number"),
    columns=(
        column("day", "date", nullable=False),
        column("customer_id", "text", nullable=False),
        column("number", "integer", nullable=False),
    ),
    foreign_keys=(
        ForeignKey(
            columns=("customer_id", "number"),
            target="order",
            target_columns=("customer_id", "number"),
            looked_at=4,
            missing=0,
            enforced=True,
        ),
    ),
    items=4,
)
COUNTER: Final = Entity(
    name="metadata",
    role="setting",
    keys=(key("counter", "{year}"),),
    key_columns=("year",),
    columns=(
        column("year", "smallint", nullable=False),
        column("last", "bigint", "lastNumber", nullable=False),
    ),
    items=2,
)
SHOP: Final = Proposal(
    name="shop",
    table="shop-production",
    partition_key=("pk", "S"),
    sort_key=("sk", "S"),
    names="camel_case",
    complete=True,
    items=131,
    items_read=131,
    bytes=54_321,
    entities=(CUSTOMER, ADDRESS, ORDER, RETURN, COUNTER),
    rules=(
        Rule(partition="visit|*", sort="*", items=2, bytes=88, because="of one kind each"),
        Rule(partition="cache|*", sort="page|*", items=1, bytes=44, because="has expired"),
    ),
    groups=(("customer", "address"),),
)
SENSORS: Final = Proposal(
    name="sensors",
    table="sensors",
    partition_key=("sensor-id", "N"),
    sort_key=("at", "B"),
    names="same_name",
    complete=False,
    items=1_000_000,
    items_read=1_000,
    bytes=10**9,
    entities=(
        Entity(
            name="reading",
            role="record",
            keys=(key("{sensor}", "{moment}"),),
            key_columns=("sensor", "moment"),
            columns=(
                column("sensor", "bigint", nullable=False),
                column("moment", "bytea", nullable=False),
                column("value", "numeric", "value"),
            ),
            items=1_000_000,
        ),
    ),
)
USERS: Final = Proposal(
    name="users",
    table="users",
    partition_key=("UserId", "S"),
    sort_key=None,
    names="pascal_case",
    complete=True,
    items=30,
    items_read=30,
    bytes=3_000,
    entities=(
        Entity(
            name="user",
            role="record",
            keys=(key("{user_id}"),),
            key_columns=("user_id",),
            columns=(
                column("user_id", "uuid", nullable=False),
                column("full_name", "text", "FullName", nullable=False),
            ),
            items=30,
        ),
    ),
)
PROPOSALS: Final = (SHOP, SENSORS, USERS)


def text(value: str) -> dict[str, Any]:
    return {"S": value}


def number(value: object) -> dict[str, Any]:
    return {"N": str(value)}


def _id(place: int) -> str:
    return str(uuid.UUID(int=place))


def _customer(place: int) -> Item:
    own = text(f"customer|{place}") if place < 40 else text(f"CUSTOMER#{place}")
    item: Item = {
        "pk": own,
        "sk": own if place < 40 else text("PROFILE"),
        "entityName": text("Customer"),
        "version": number(3),
        "isLive": {"BOOL": True},
        "kinds": {"SS": ["a", "b"]},
        "customerId": text(str(place)),
        "name": text(f"Name\t{place}"),
        "visits": number(place) if place % 7 else text("many"),
        "seenAt": {"NULL": True} if place % 2 else text("2020-06-05T18:02:25.280Z"),
    }
    if place % 3:
        item |= {
            "e-mail": text(f"{place}@example.org"),
            "birthDate": text("1970-01-02"),
            "joinedAt": text("2020-06-05T20:02:25+02:00"),
            "localTime": text("2020-06-05T18:02:25"),
            "changedAt": number(1_591_380_145_123),
            "ttl": number(1_591_380_145),
            "level": number(-7),
            "points": number(2**60),
            "credit": number("12.50"),
            "isMember": {"BOOL": False},
            "photo": {"B": "AAEC"},
            "preferences": {"M": {"theme": text("dark"), "sizes": {"NS": ["1", "2"]}}},
            "a.b": text("dotted"),
            "keys": text("k"),
            "class": text("c"),
            "tags": {"SS": ["x", "y"]},
            "numbers": {"NS": ["1", "2"]},
            "amounts": {"NS": ["1.5"]},
            "hashes": {"BS": ["AAEC"]},
            "referrerId": text(str(place - 1)),
            "gsi1pk": text(f"referrer|{place - 1}"),
            "favouriteAddressId": text(_id(place % 40)),
            "nickname": text("nick"),
            "mixed": number(1) if place % 2 else text("one"),
        }
    return item


def shop_items() -> list[Item]:
    """Items for `SHOP`, all of which it takes: one of a key generation, copies, orphans and rules among them."""
    items = [_customer(place) for place in range(43)]
    for place in range(40):
        owner = text(f"customer|{place}")
        items.append({"pk": owner, "sk": text(f"address|{_id(place)}"), "addressId": text(_id(place))})
        lines = [{"M": {"article": text("nail"), "pricePaid": number("0.10")}}, {"M": {"article": text("saw")}}]
        order: Item = {
            "pk": owner,
            "sk": text(f"order|{place}"),
            "customerId": text(str(place)),
            "orderNumber": number(place),
            "gsi1pk": text(f"order|{place}|{place}"),
            "placedAt": text("2020-06-05T18:02:25Z"),
            "lines": {"L": lines[: place % 3]},
        }
        items.append(order)
        if place < 10:
            items.append({**order, "pk": text("outbox|2020-06-05"), "sk": text(str(place))})
    orphan = {**items[-1], "customerId": text("1"), "orderNumber": number(99), "gsi1pk": text("order|1|99")}
    items.append({**orphan, "pk": text("outbox|2020-06-06"), "sk": text("99")})
    items += [{"pk": text("return|2020-06-05"), "sk": text(f"{place}#{place}")} for place in range(4)]
    items += [{"pk": text("counter"), "sk": text(str(year)), "lastNumber": number(9)} for year in (2020, 2021)]
    items += [{"pk": text("visit|1"), "sk": text("x")}, {"pk": text("visit|2"), "sk": text("x")}]
    return [*items, {"pk": text("cache|1"), "sk": text("page|1")}]


def sensor_items() -> list[Item]:
    """Items for `SENSORS`."""
    moments = ["AAEC", "AQID"]
    return [
        {"sensor-id": number(one), "at": {"B": moment}, "value": number("1.5")}
        for one in range(20)
        for moment in moments
    ]


def user_items() -> list[Item]:
    """Items for `USERS`."""
    return [{"UserId": text(_id(place)), "FullName": text("Ada")} for place in range(30)]
