"""A shop and a savings bank: ``#`` between the parts of keys."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ashore.local.styles.draws import Draws
from ashore.local.styles.labelled import LabelledTable


def webshop(draws: Draws, size: int) -> LabelledTable:
    """A type attribute, an index whose key means something else for every kind, lists of records, a lookup."""
    table = LabelledTable(name="webshop", indexes={"GSI1": ("GSI1PK", "GSI1SK")}, type_attribute="type")
    table.kind(
        "customer",
        "customerId uuid, email text, name text, signedUpAt timestamptz, newsletter boolean, points integer, "
        "phone text",
    )
    table.kind("customer_email", "customerId uuid", role="mapping", parents={"customerId": "customer"})
    table.kind("address", "street text, city text, postcode text, country text", parents={"PK": "customer"})
    table.kind(
        "order",
        "orderId text, status text, total numeric, currency text, placedAt timestamptz, lines document, "
        "giftMessage text, shipTo document",
        parents={"PK": "customer"},
    )
    table.kind("payment", "amount numeric, method text, capturedOn date", parents={"PK": "order"})
    table.kind("product", "sku text, title text, price numeric, stock integer, tags set", parents={})
    skus = [f"SKU-{draws.digits(3)}{number:05d}" for number in range(max(8, size // 12))]
    for sku in skus:
        category = draws.one_of("kitchen", "garden", "office", "travel")
        table.add(
            "product",
            {
                "PK": f"PRODUCT#{sku}",
                "SK": f"PRODUCT#{sku}",
                "type": "Product",
                "sku": sku,
                "title": draws.title(),
                "price": draws.amount(200),
                "stock": draws.whole(500),
                "tags": draws.set_of(("new", "sale", "eco", "gift"), 3),
                "GSI1PK": f"CATEGORY#{category}",
                "GSI1SK": sku,
            },
        )
    for _ in range(max(8, size // 9)):
        _shopper(table, draws, skus)
    return table


def _shopper(table: LabelledTable, draws: Draws, skus: list[str]) -> None:
    customer, email = draws.uuid(), draws.email()
    key = f"CUSTOMER#{customer}"
    profile = {
        "type": "Customer",
        "customerId": customer,
        "email": email,
        "name": draws.person(),
        "signedUpAt": draws.moment(),
        "newsletter": draws.truth(),
        "points": draws.whole(5_000),
        **draws.maybe(0.4, phone=f"+49 0{draws.digits(9)}"),
    }
    table.add("customer", {"PK": key, "SK": "PROFILE", **profile, "GSI1PK": f"EMAIL#{email}", "GSI1SK": "CUSTOMER"})
    lookup = f"EMAIL#{email}"
    table.add("customer_email", {"PK": lookup, "SK": lookup, "type": "CustomerEmail", "customerId": customer})
    for name in draws.some_of(("home", "work", "parents"), 3):
        address: dict[str, Any] = {
            "type": "Address",
            "street": f"{draws.title()} {draws.whole(200)}",
            "city": draws.title(),
            "postcode": f"0{draws.digits(4)}",
            "country": draws.one_of("DE", "FR", "PT"),
        }
        table.add("address", {"PK": key, "SK": f"ADDRESS#{name}", **address})
    for _ in range(draws.whole(5)):
        order, status, placed = draws.ulid(), draws.one_of("open", "paid", "sent", "returned"), draws.moment()
        lines = [
            {"sku": sku, "quantity": 1 + draws.whole(4), "unitPrice": draws.amount(200)}
            for sku in draws.some_of(skus, 4)
        ]
        table.add(
            "order",
            {
                "PK": key,
                "SK": f"ORDER#{order}",
                "type": "Order",
                "orderId": order,
                "status": status,
                "total": draws.amount(900),
                "currency": draws.one_of("EUR", "USD"),
                "placedAt": placed,
                "lines": lines,
                "shipTo": {"street": draws.title(), "city": draws.title()},
                **draws.maybe(0.2, giftMessage=draws.sentence()),
                "GSI1PK": f"STATUS#{status}",
                "GSI1SK": placed,
            },
        )
        payment = {"type": "Payment", "amount": draws.amount(900), "method": draws.one_of("card", "transfer", "cash")}
        place = {"PK": f"ORDER#{order}", "SK": f"PAYMENT#{draws.uuid()}"}
        table.add("payment", {**place, **payment, **draws.maybe(0.7, capturedOn=draws.day())})


def savings(draws: Draws, size: int) -> LabelledTable:
    """Awkward values: 38 digits, leading zeros, explicit NULLs, JSON in texts, odd spellings of moments, U+0000."""
    table = LabelledTable(name="savings", key=(("pk", "S"), ("sk", "S")))
    table.kind(
        "account",
        "holder text, iban text, branch text, limit integer, exactShares numeric, mandates set, seal binary, "
        "openedAt timestamptz, closedAt timestamptz, settings text, reference any, riskNote any, isJoint boolean, "
        "birthYear number_in_text, limits set",
    )
    table.kind(
        "transaction",
        "amount numeric, currency text, bookedAt timestamptz, valueDate date, purpose text, counterparty document, "
        "code text, reversed boolean, batch integer",
        parents={"pk": "account"},
    )
    table.kind("standing_order", "amount numeric, day integer, until date, purpose text", parents={"pk": "account"})
    for number in range(max(12, size // 12)):
        account = f"{draws.digits(3)}{number:07d}"
        key = f"ACCT#0{account}"
        table.add(
            "account",
            {
                "pk": key,
                "sk": "ACCT",
                "holder": draws.person() + ("\0" if number % 50 == 7 else ""),
                "iban": f"DE{draws.digits(20)}",
                "branch": f"00{draws.digits(3)}",
                "limit": draws.whole(100) * 100,
                "exactShares": Decimal(f"0.{draws.random.randrange(10**37, 10**38)}"),
                "mandates": draws.set_of(("owner", "spouse", "tax", "proxy"), 3),
                "limits": draws.set_of((500, 1000, 2500), 2),
                "seal": draws.random.randbytes(12),
                "openedAt": _odd_moment(draws),
                "closedAt": None if draws.truth(0.8) else draws.moment(),
                "settings": f'{{"alerts": {draws.whole(9)}, "lang": "en"}}',
                "reference": draws.one_of(draws.whole(99_999), draws.slug()),
                "isJoint": draws.truth(0.2),
                "birthYear": str(1940 + draws.whole(60)),
                **draws.maybe(0.02, riskNote=draws.sentence(4)),
            },
        )
        for _ in range(draws.whole(3)):
            order = {"amount": draws.amount(500), "day": 1 + draws.whole(28), "purpose": draws.sentence(3)}
            until = draws.maybe(0.5, until=draws.day())
            table.add("standing_order", {"pk": key, "sk": f"STANDING#{draws.uuid()}", **order, **until})
        for sequence in range(5 + draws.whole(10)):
            booked = draws.moment()
            table.add(
                "transaction",
                {
                    "pk": key,
                    "sk": f"TX#{booked}#{sequence}",
                    "amount": draws.amount(5_000) * draws.one_of(1, -1),
                    "currency": draws.one_of("EUR", "CHF", "PLN"),
                    "bookedAt": booked,
                    "valueDate": draws.day(),
                    "purpose": draws.sentence(6),
                    "counterparty": {"name": draws.person(), "iban": f"FR{draws.digits(20)}"},
                    "code": f"0{draws.digits(3)}",
                    "reversed": draws.truth(0.05),
                    "batch": draws.whole(40),
                },
            )
    return table


def _odd_moment(draws: Draws) -> str:
    at = draws.at()
    return draws.one_of(
        at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        at.isoformat(timespec="seconds"),
    )
