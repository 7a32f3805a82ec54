"""Exports with more keys and references than a sketch keeps: customers, orders, notes that are numbered, replies."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from random import Random
from typing import Any, Final

Item = dict[str, dict[str, Any]]

CUSTOMERS: Final = 6_000
ORDERS: Final = 30_000
NOTES: Final = 6_000
REPLIES: Final = 12_000


def _id(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128)))


def many_references(
    *, seed: int = 7, orders_without: int = 0, replies_without: int = 0, orders: int = ORDERS
) -> list[bytes]:
    """Items in no order. So many orders have a customer that is not there, so many replies a note that is not there."""
    random = Random(seed)
    customers = [_id(random) for _ in range(CUSTOMERS)]
    notes = [(random.choice(customers), 1_000 + number) for number in range(NOTES)]
    items = [
        *_customers(customers),
        *_orders(random, [_id(random) for _ in range(orders_without)], random.choices(customers, k=orders)),
        *_notes(notes),
        *_replies(
            random, [(customers[0], number) for number in range(replies_without)], random.choices(notes, k=REPLIES)
        ),
    ]
    random.shuffle(items)
    return [json.dumps(item).encode() for item in items]


def _customers(customers: list[str]) -> Iterator[Item]:
    for number, customer in enumerate(customers):
        yield _item(f"CUSTOMER#{customer}", "PROFILE", name=f"Customer {number}", email=f"c{number}@example.org")


def _orders(random: Random, unknown: list[str], customers: list[str]) -> Iterator[Item]:
    for customer in [*unknown, *customers[len(unknown) :]]:
        order = f"ORDER#{_id(random)}"
        yield _item(order, order, customerId=customer, placedAt="2024-05-06T07:08:09Z", total=random.randrange(9_000))


def _notes(notes: list[tuple[str, int]]) -> Iterator[Item]:
    for customer, number in notes:
        yield _item(f"CUSTOMER#{customer}", f"NOTE#{number}", text=f"Note {number}", writtenOn="2024-05-06")


def _replies(random: Random, unknown: list[tuple[str, int]], notes: list[tuple[str, int]]) -> Iterator[Item]:
    for customer, number in [*unknown, *notes[len(unknown) :]]:
        reply = f"REPLY#{_id(random)}"
        yield _item(reply, reply, toCustomer=customer, toNote=number, body=f"Reply to {number}", isRead=True)


def _item(partition: str, sort: str, **attributes: str | int | bool) -> Item:
    texts: Item = {"pk": {"S": partition}, "sk": {"S": sort}}
    for name, value in attributes.items():
        match value:
            case bool():
                texts[name] = {"BOOL": value}
            case int():
                texts[name] = {"N": str(value)}
            case str():
                texts[name] = {"S": value}
    return texts
