"""Tables whose keys have no prefixes: kinds differ by the form of the sort key, or the table has but one kind."""

from __future__ import annotations

from ashore.local.styles.draws import Draws
from ashore.local.styles.labelled import LabelledTable


def mailbox(draws: Draws, size: int) -> LabelledTable:
    """Keys named ``userId`` and ``entry``: a literal, a moment, a uuid or a date stands in the second."""
    table = LabelledTable(name="mailbox", key=(("userId", "S"), ("entry", "S")))
    table.kind("user", "name text, email text, quotaMb integer, lastSeenAt timestamptz, verified boolean")
    table.kind("preferences", "theme text, pageSize integer, signature text", parents={"userId": "user"})
    table.kind(
        "mail",
        "subject text, body text, fromContact uuid, isRead boolean, sizeBytes integer, labels set, "
        "attachments document",
        parents={"userId": "user", "fromContact": "contact"},
    )
    table.kind(
        "contact", "contactName text, contactEmail text, birthday date, nickname text", parents={"userId": "user"}
    )
    table.kind("daily_use", "received integer, sent integer, averageKb numeric", parents={"userId": "user"})
    for _ in range(max(6, size // 24)):
        user = draws.uuid()
        about = {"name": draws.person(), "email": draws.email(), "quotaMb": 1_000 + draws.whole(9_000)}
        seen = {"lastSeenAt": draws.moment(), "verified": draws.truth(0.8)}
        table.add("user", {"userId": user, "entry": "PROFILE", **about, **seen})
        choices = {"theme": draws.one_of("dark", "light"), "pageSize": draws.one_of(25, 50, 100)}
        signature = draws.maybe(0.5, signature=draws.sentence(4))
        table.add("preferences", {"userId": user, "entry": "PREFERENCES", **choices, **signature})
        contacts = [draws.uuid() for _ in range(2 + draws.whole(4))]
        for contact in contacts:
            known = {"contactName": draws.person(), "contactEmail": draws.email()}
            more = draws.maybe(0.5, birthday=draws.day()) | draws.maybe(0.3, nickname=draws.title())
            table.add("contact", {"userId": user, "entry": contact, **known, **more})
        for day in range(1 + draws.whole(6)):
            use = {"received": draws.whole(90), "sent": draws.whole(30), "averageKb": draws.measure(80, 20)}
            table.add("daily_use", {"userId": user, "entry": f"2021-03-{1 + day:02d}", **use})
        for _ in range(6 + draws.whole(12)):
            files = [
                {"fileName": f"{draws.slug()}.pdf", "kb": draws.whole(900)} for _ in range(draws.one_of(0, 0, 1, 2))
            ]
            mail = {
                "subject": draws.title(),
                "body": draws.sentence(20),
                "fromContact": draws.one_of(*contacts),
                "isRead": draws.truth(),
                "sizeBytes": draws.whole(90_000),
                "labels": draws.set_of(("inbox", "work", "family", "later"), 2),
                **({"attachments": files} if files else {}),
            }
            table.add("mail", {"userId": user, "entry": draws.moment(), **mail})
    return table


def fleet(draws: Draws, size: int) -> LabelledTable:
    """One entity, a composite key of a uuid and a moment."""
    table = LabelledTable(name="fleet", key=(("vehicleId", "S"), ("recordedAt", "S")))
    table.kind(
        "position",
        "latitude numeric, longitude numeric, speedKmh integer, driverId uuid, ignition boolean, odometer numeric, "
        "note text, shiftDate date, receivedAt timestamp",
    )
    drivers = [draws.uuid() for _ in range(9)]
    for _ in range(max(4, size // 40)):
        vehicle = draws.uuid()
        for _ in range(40):
            position = {
                "latitude": draws.measure(52, 0.4),
                "longitude": draws.measure(13, 0.4),
                "speedKmh": draws.whole(130),
                "driverId": draws.one_of(*drivers),
                "ignition": draws.truth(0.9),
                "odometer": draws.amount(200_000),
                "shiftDate": draws.day(),
                "receivedAt": draws.at().replace(tzinfo=None).isoformat(timespec="milliseconds"),
                **draws.maybe(0.1, note=draws.sentence()),
            }
            table.add("position", {"vehicleId": vehicle, "recordedAt": draws.moment(), **position})
    return table


def permits(draws: Draws, size: int) -> LabelledTable:
    """One entity, a single partition key without a sort key."""
    table = LabelledTable(name="permits", key=(("permitNo", "S"),))
    table.kind(
        "permit",
        "applicant text, parcel text, issuedOn date, decidedAt timestamptz, fee numeric, floors integer, "
        "conditions document, inspectorId uuid, isListed boolean, year number_in_text, plans document",
    )
    for number in range(size):
        year = draws.one_of(2019, 2020, 2021)
        permit = {
            "applicant": draws.person(),
            "parcel": f"0{draws.digits(4)}/{draws.whole(90)}",
            "issuedOn": draws.day(),
            "fee": draws.amount(9_000),
            "floors": 1 + draws.whole(12),
            "conditions": [draws.sentence(5) for _ in range(draws.whole(3))],
            "plans": [{"sheet": draws.title(), "scale": 50 * (1 + draws.whole(4))} for _ in range(1 + draws.whole(3))],
            "inspectorId": draws.uuid(),
            "isListed": draws.truth(0.1),
            "year": str(year),
            **draws.maybe(0.7, decidedAt=draws.moment()),
        }
        table.add("permit", {"permitNo": f"P-{year}-{number:06d}", **permit})
    return table


def seats(draws: Draws, size: int) -> LabelledTable:
    """Numbers for both keys."""
    table = LabelledTable(name="seats", key=(("showId", "N"), ("seatNo", "N")))
    table.kind("seat", "row text, price numeric, soldAt timestamptz, buyerId uuid, holdUntil epoch, isAisle boolean")
    for show in range(max(3, size // 60)):
        for seat in range(60):
            sold = {"soldAt": draws.moment(), "buyerId": draws.uuid()} if draws.truth(0.6) else {}
            about = {"row": draws.one_of(*"ABCDEFG"), "price": draws.amount(120), "isAisle": seat % 12 in {0, 11}}
            hold = draws.maybe(0.2, holdUntil=draws.epoch())
            table.add("seat", {"showId": 1_000 + show, "seatNo": seat + 1, **about, **sold, **hold})
    return table


def artefacts(draws: Draws, size: int) -> LabelledTable:
    """A binary partition key, and a number to sort by."""
    table = LabelledTable(name="artefacts", key=(("digest", "B"), ("part", "N")))
    table.kind("part", "path text, lengthBytes integer, uploadedAt timestamptz, checksum binary, ownerId uuid")
    for _ in range(max(20, size // 3)):
        digest = draws.random.randbytes(20)
        for part in range(1 + draws.whole(5)):
            about = {
                "path": f"/{draws.slug()}/{draws.slug()}",
                "lengthBytes": draws.whole(10**10),
                "uploadedAt": draws.moment(),
                "checksum": draws.random.randbytes(16),
                "ownerId": draws.uuid(),
            }
            table.add("part", {"digest": digest, "part": part, **about})
    return table
