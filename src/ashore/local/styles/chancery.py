"""A chancery: what belongs to a case is numbered within it, so that only several values together are a key."""

from __future__ import annotations

from ashore.local.styles.draws import Draws
from ashore.local.styles.labelled import LabelledTable


def chancery(draws: Draws, size: int) -> LabelledTable:
    """Keys of two and three values, which the keys of others, and attributes, repeat; no type attribute."""
    table = LabelledTable(name="chancery", key=(("pk", "S"), ("sk", "S")), indexes={"byJudge": ("judge", "filedAt")})
    table.kind("case", "caption text, filedAt timestamptz, judge text, isSealed boolean, fee numeric")
    table.kind(
        "entry",
        "title text, enteredAt timestamptz, pages integer, eventCode text",
        parents={"pk": "case"},
    )
    table.kind(
        "document",
        "fileName text, bytes integer, isPublic boolean, scannedOn date",
        parents={"pk": "case", "sk": "entry"},
    )
    table.kind(
        "signature",
        "docketNumber text, entryNumber integer, part integer, signedBy text, signedAt timestamptz, mark binary",
        parents={"docketNumber": "case", "entryNumber": "entry", "part": "document"},
    )
    table.kind("hearing", "startsAt timestamptz, room text, minutes integer", parents={"pk": "case"})
    judges = [draws.person() for _ in range(4)]
    for number in range(max(12, size // 24)):
        _case(table, draws, f"{number // 100 + 17}-{draws.one_of('CV', 'PR', 'EQ')}-{1000 + number}", judges)
    return table


def _case(table: LabelledTable, draws: Draws, docket: str, judges: list[str]) -> None:
    key = f"case|{docket}"
    about = {
        "caption": f"{draws.person()} and others",
        "filedAt": draws.moment(),
        "judge": draws.one_of(*judges),
        "isSealed": draws.truth(0.1),
        "fee": draws.amount(100),
    }
    table.add("case", {"pk": key, "sk": key, **about})
    for number in range(1, 1 + draws.whole(4)):
        hearing = {"startsAt": draws.moment(), "room": f"{draws.one_of(*'ABC')}{draws.whole(9)}"}
        table.add("hearing", {"pk": key, "sk": f"hearing|{number}", **hearing, "minutes": 5 * (1 + draws.whole(30))})
    for entry in range(1, 2 + draws.whole(9)):
        filing = {
            "title": draws.sentence(5),
            "enteredAt": draws.moment(),
            "pages": 1 + draws.whole(60),
            "eventCode": draws.one_of("PET", "ORD", "MOT", "ANS"),
        }
        table.add("entry", {"pk": key, "sk": f"entry|{entry}", **filing})
        for part in range(1, 1 + draws.whole(4)):
            _document(table, draws, docket, entry, part)


def _document(table: LabelledTable, draws: Draws, docket: str, entry: int, part: int) -> None:
    file = {"fileName": f"{draws.slug()}.pdf", "bytes": 1_000 + draws.whole(10**6), "isPublic": draws.truth()}
    scanned = draws.maybe(0.5, scannedOn=draws.day())
    table.add("document", {"pk": f"case|{docket}", "sk": f"document|{entry}|{part}", **file, **scanned})
    if draws.truth(0.5):
        key = f"signature|{draws.uuid()}"
        of = {"docketNumber": docket, "entryNumber": entry, "part": part}
        signed = {"signedBy": draws.person(), "signedAt": draws.moment(), "mark": draws.random.randbytes(9)}
        table.add("signature", {"pk": key, "sk": key, **of, **signed})
