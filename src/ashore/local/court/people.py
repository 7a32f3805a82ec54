"""The court's users and trial sessions, with the items that go with them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from ashore.local.court.values import (
    B,
    L,
    M,
    N,
    S,
    cities,
    mixed_moment,
    moment,
    new_id,
    opened,
    person,
    sections,
    yes,
)
from ashore.model.item import Item

judges = 8
clerks = 16
practitioners = 20
trial_sessions = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user of the court's system."""

    user_id: str
    name: str
    role: str
    section: str | None

    @property
    def email(self) -> str:
        return f"{self.name.replace(' ', '.').casefold()}.{self.user_id[:4]}@court.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Who works at the court, where it sits, and the items that say so."""

    judges: list[Person]
    clerks: list[Person]
    practitioners: list[Person]
    sessions: list[str]
    items: list[Item]


def make_bench(random: Random) -> Bench:
    """Make the users and the trial sessions."""
    on_bench = [_person(random, "judge", "chambers") for _ in range(judges)]
    at_desks = [_person(random, "clerk", sections[number % len(sections)]) for number in range(clerks)]
    at_bar = [_person(random, "practitioner", None) for _ in range(practitioners)]
    sessions = [new_id(random) for _ in range(trial_sessions)]
    items = [item for one in (*on_bench, *at_desks, *at_bar) for item in _user(random, one)]
    items += [_session(random, session, on_bench) for session in sessions]
    return Bench(judges=on_bench, clerks=at_desks, practitioners=at_bar, sessions=sessions, items=items)


def _person(random: Random, role: str, section: str | None) -> Person:
    return Person(user_id=new_id(random), name=person(random), role=role, section=section)


def _user(random: Random, one: Person) -> Iterator[Item]:
    key = S(f"user|{one.user_id}")
    item = {
        "pk": key,
        "sk": key,
        "entityName": S("Practitioner" if one.role == "practitioner" else "User"),
        "userId": S(one.user_id),
        "name": S(one.name),
        "email": S(one.email),
        "role": S(one.role),
    }
    if one.section is not None:
        item["section"] = S(one.section)
        yield {"pk": S(f"section|{one.section}"), "sk": key}
    if one.role == "practitioner":
        item["barNumber"] = S(f"{one.name[0]}{one.name.split()[1][0]}{random.randrange(10_000):04d}")
        item["birthYear"] = S(str(random.randrange(1950, 1995)))
        item["photoHash"] = B(hashlib.sha256(one.name.encode()).digest())
        item["firms"] = {"SS": sorted({person(random).split()[1] + " LLP" for _ in range(2)})}
    elif random.random() < 0.4:
        connection = new_id(random)[:8]
        yield {
            "pk": key,
            "sk": S(f"connection|{connection}="),
            "gsi1pk": S("connection"),
            "endpoint": S("https://example.net/socket"),
            "ttl": N(int((opened + timedelta(days=random.randrange(300, 900))).timestamp())),
        }
    yield item
    yield {"pk": S(f"user-email|{one.email}"), "sk": key, "userId": S(one.user_id)}


def _session(random: Random, session: str, on_bench: list[Person]) -> Item:
    city, state, postal_code = random.choice(cities)
    starts = opened + timedelta(days=random.randrange(30, 400))
    judge = random.choice(on_bench)
    key = S(f"trial-session|{session}")
    item: Item = {
        "pk": key,
        "sk": key,
        "entityName": S("TrialSession"),
        "gsi1pk": S("trial-session-catalog"),
        "trialSessionId": S(session),
        "trialLocation": S(f"{city}, {state}"),
        "postalCode": S(postal_code),
        "sessionType": S(random.choice(("Regular", "Small", "Hybrid"))),
        "term": S("Winter" if starts.month < 4 else "Spring" if starts.month < 7 else "Fall"),
        "termYear": S(str(starts.year)),
        "startDate": S(mixed_moment(random, starts)),
        "maxCases": N(random.randrange(40, 120)),
        "isCalendared": yes,
        "judge": M({"userId": S(judge.user_id), "name": S(judge.name)}),
        "caseOrder": L([]),
        "noticeIssuedDate": S(moment(starts - timedelta(days=60))),
    }
    return item
