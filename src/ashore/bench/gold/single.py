"""Single-table designs: prefixes with one separator or another, overloaded indexes, adjacency lists, copies."""

from __future__ import annotations

from ashore.bench.gold.table import GoldTable, Values


def shop(values: Values, size: int) -> GoldTable:
    """``#`` separators, a type attribute, an overloaded index."""
    table = GoldTable(
        name="shop", indexes={"gsi1": ("GSI1PK", "GSI1SK")}, type_attribute="type", key=(("PK", "S"), ("SK", "S"))
    )
    products = [values.uuid() for _ in range(size // 10)]
    for product in products:
        table.add(
            "product",
            PK=f"PRODUCT#{product}",
            SK="METADATA",
            type="Product",
            productId=product,
            title=values.text(),
            price=values.money(),
            stock=values.whole(),
            addedAt=values.moment(),
            GSI1PK="PRODUCTS",
            GSI1SK=values.text(1),
        )
    for _ in range(size // 10):
        customer = values.uuid()
        table.add(
            "customer",
            PK=f"CUSTOMER#{customer}",
            SK="METADATA",
            type="Customer",
            customerId=customer,
            email=f"{values.name()}@example.org",
            fullName=values.text(2),
            joined=values.day(),
            active=values.truth(),
        )
        for number in range(values.whole(3)):
            table.add(
                "address",
                PK=f"CUSTOMER#{customer}",
                SK=f"ADDRESS#{number}",
                type="Address",
                street=values.text(),
                city=values.text(1),
                zip=f"0{values.whole(9999):04d}",
                isDefault=not number,
            )
        for _ in range(values.whole(4)):
            order = values.uuid()
            table.add(
                "order",
                PK=f"CUSTOMER#{customer}",
                SK=f"ORDER#{order}",
                type="Order",
                orderId=order,
                total=values.money(),
                status=values.one_of("open", "paid", "sent"),
                placedAt=values.moment(),
                GSI1PK=f"ORDER#{order}",
                GSI1SK=values.moment(),
            )
            for place in range(1 + values.whole(3)):
                table.add(
                    "line",
                    PK=f"ORDER#{order}",
                    SK=f"LINE#{place}",
                    type="OrderLine",
                    productId=values.one_of(*products),
                    quantity=1 + values.whole(9),
                    unitPrice=values.money(),
                )
    table.right("order", total="numeric", placedAt="timestamptz", status="text")
    table.right("customer", joined="date", active="boolean")
    table.right("address", zip="text", isDefault="boolean")
    table.right("product", stock="integer", price="numeric")
    table.parents = {("order", "customer"), ("address", "customer"), ("line", "product"), ("line", "order")}
    return table


def clinic(values: Values, size: int) -> GoldTable:
    """``|`` separators, copies of appointments that sometimes differ, a lookup, counters, no type attribute."""
    table = GoldTable(name="clinic", indexes={"gsi1": ("gsi1pk", "pk")})
    doctors = [values.uuid() for _ in range(max(3, size // 50))]
    for doctor in doctors:
        table.add(
            "doctor",
            pk=f"doctor|{doctor}",
            sk=f"doctor|{doctor}",
            name=values.text(2),
            specialty=values.text(1),
            rooms={"NS": ["1", "7"]},
        )
    for number in range(size // 8):
        patient = values.uuid()
        chart = f"{100 + number}-{values.whole(90) + 10}"
        table.add(
            "patient",
            pk=f"patient|{patient}",
            sk=f"patient|{patient}",
            chartNumber=chart,
            name=values.text(2),
            born=values.day(),
            allergies=[
                {"M": {"name": {"S": values.text(1)}, "since": {"S": values.day()}}} for _ in range(values.whole(3))
            ],
            **({"note": None} if values.maybe() else {"note": values.text()}),
        )
        table.add("chart", pk=f"patient-by-chart|{chart}", sk=f"patient|{patient}")
        for _ in range(1 + values.whole(3)):
            visit = values.uuid()
            record = {
                "visitId": visit,
                "reason": values.text(),
                "at": values.moment(),
                "minutes": 10 + values.whole(50),
                "doctorId": values.one_of(*doctors),
                "gsi1pk": f"visit|{visit}",
                "done": values.truth(),
            }
            table.add("visit", pk=f"patient|{patient}", sk=f"visit|{visit}", **record)
            if values.maybe(0.6):
                copied = record | ({"reason": values.text()} if values.maybe(0.2) else {})
                table.add("visit", pk=f"agenda|{record['doctorId']}", sk=f"{record['at']}|{visit}", **copied)
    table.add("counter", pk="chart-counter-2020", sk="chart-counter-2020", last=417)
    table.add("counter", pk="chart-counter-2021", sk="chart-counter-2021", last=88)
    table.right("visit", at="timestamptz", minutes="integer", doctorId="uuid", done="boolean")
    table.right("patient", born="date")
    table.parents = {("visit", "patient"), ("visit", "doctor"), ("chart", "patient")}
    return table


def school(values: Values, size: int) -> GoldTable:
    """An adjacency list: courses and students, and an edge from each side that holds only keys."""
    table = GoldTable(name="school")
    courses = [f"{values.random.choice('ABCDEFGH')}{number}" for number in range(100, 100 + max(5, size // 30))]
    for course in courses:
        table.add(
            "course",
            pk=f"COURSE#{course}",
            sk=f"COURSE#{course}",
            title=values.text(),
            credits=values.whole(9),
            startsOn=values.day(),
        )
    for _ in range(size // 5):
        student = values.ulid()
        table.add(
            "student",
            pk=f"STUDENT#{student}",
            sk=f"STUDENT#{student}",
            name=values.text(2),
            enrolled=values.epoch(),
            grade=values.money(),
        )
        for course in values.random.sample(courses, min(len(courses), 1 + values.whole(4))):
            table.add("enrolment", pk=f"STUDENT#{student}", sk=f"COURSE#{course}")
            table.add(
                "attendance",
                pk=f"COURSE#{course}",
                sk=f"STUDENT#{student}",
                seat=values.whole(60),
                lastSeen=values.moment(),
            )
    table.right("student", enrolled="epoch_seconds|integer|bigint", grade="numeric")
    table.right("attendance", lastSeen="timestamptz", seat="integer")
    table.parents = {
        ("enrolment", "student"),
        ("enrolment", "course"),
        ("attendance", "student"),
        ("attendance", "course"),
    }
    return table


def library(values: Values, size: int) -> GoldTable:
    """Two generations of one entity's keys, settings under names of their own, sessions that expire."""
    table = GoldTable(name="library", type_attribute="kind")
    for number in range(size // 2):
        book = values.uuid()
        old = number % 5 == 0
        label = f"book|{book}" if old else f"BOOK#{book}"
        table.add(
            "book",
            pk=label,
            sk=label,
            kind="book",
            title=values.text(),
            pages=values.whole(900),
            bought=values.moment(),
            tags={"SS": sorted({values.text(1), values.text(1)})},
            cover={"B": "aGk="},
        )
    for _ in range(size // 4):
        reader = values.uuid()
        table.add(
            "reader",
            pk=f"READER#{reader}",
            sk=f"READER#{reader}",
            kind="reader",
            name=values.text(2),
            mail=f"{values.name()}@example.org",
        )
        table.add(
            "session",
            pk=f"READER#{reader}",
            sk=f"SESSION#{values.uuid()}",
            kind="session",
            token=values.uuid(),
            expires=values.epoch(),
        )
    table.add("limits", pk="loan-limits", sk="loan-limits", kind="setting", most=5, days=21)
    table.add("limits", pk="opening-hours", sk="opening-hours", kind="setting", monday="9-17", sunday="")
    table.right("book", pages="integer", bought="timestamptz", tags="text[]", cover="bytea")
    table.right("session", token="uuid", expires="epoch_seconds|integer|bigint")  # noqa: S106 (a type's name)
    table.parents = {("session", "reader")}
    return table


def chat(values: Values, size: int) -> GoldTable:
    """Rooms by slug, messages by moment, a mapping of members, three segments in a key."""
    table = GoldTable(name="chat", indexes={"by_user": ("userKey",)})
    users = [values.uuid() for _ in range(max(4, size // 20))]
    for user in users:
        table.add(
            "user", pk=f"USER#{user}", sk="PROFILE", handle=values.name(), seenAt=values.moment(), muted=values.truth()
        )
        table.add(
            "preference",
            pk=f"USER#{user}",
            sk="PREFERENCES",
            theme=values.one_of("dark", "light"),
            fontSize=8 + values.whole(10),
            locale="en",
        )
    for number in range(max(3, size // 40)):
        room = f"{values.name()}-{number}"
        table.add(
            "room",
            pk=f"ROOM#{room}",
            sk=f"ROOM#{room}",
            topic=values.text(),
            createdAt=values.moment(),
            isOpen=values.truth(),
        )
        for user in values.random.sample(users, min(3, len(users))):
            table.add("member", pk=f"ROOM#{room}", sk=f"MEMBER#{user}", userKey=f"USER#{user}")
        for _ in range(10):
            table.add(
                "message",
                pk=f"ROOM#{room}",
                sk=f"MSG#{values.moment()}#{values.ulid()}",
                body=values.text(8),
                authorId=values.one_of(*users),
                edits=values.whole(3),
            )
    table.right("message", authorId="uuid", edits="integer", body="text")
    table.right("user", seenAt="timestamptz", muted="boolean")
    table.parents = {("member", "room"), ("member", "user"), ("message", "user"), ("message", "room")}
    return table
