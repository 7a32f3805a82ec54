"""What a report says, whatever it is written in."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.assess_reports import ASSESSMENT, EMPTY, HOSTILE, PROPOSAL, SAMPLED, hostile

from ashore.assess.proposal import Entity, Hazard
from ashore.assess.report.assessment import Assessment, CodeMap, Transaction, as_json
from ashore.assess.report.content import document
from ashore.assess.report.document import Block, Bullets, Callout, Document, Figures, Paragraph, Section, Table, plain
from ashore.assess.report.html import as_html
from ashore.assess.report.markdown import as_markdown
from ashore.assess.report.shown import shown


def section(report: Document, *anchors: str) -> Section:
    """The section that the path of anchors leads to."""
    found, *rest = [one for one in report.sections if one.anchor == anchors[0]]
    assert not rest, "anchors are unique"
    for anchor in anchors[1:]:
        (found,) = (one for one in found.sections if one.anchor == anchor)
    return found


def text(*blocks: Block) -> str:
    """All words of blocks, a line for each phrase, a row of a table on one line."""
    lines: list[str] = []
    for block in blocks:
        match block:
            case Paragraph():
                lines.append(plain(block.phrase))
            case Bullets():
                lines += map(plain, block.items)
            case Callout():
                lines += map(plain, (block.title, *block.paragraphs))
            case Figures():
                lines += [f"{one.label}: {plain(one.value)} ({plain(one.note)})" for one in block.items]
            case Table():
                lines += [block.caption, " | ".join(head.label for head in block.heads)]
                lines += [" | ".join(map(plain, row)) for row in block.rows]
            case _:
                pass
    return "\n".join(lines)


def brief(assessment: Assessment, *anchors: str) -> str:
    return text(*section(document(assessment), "brief", *anchors).blocks)


def anchors_of(sections: tuple[Section, ...]) -> list[str]:
    return [anchor for one in sections for anchor in (one.anchor, *anchors_of(one.sections))]


def test_the_first_page_answers_what_a_decision_needs() -> None:
    first = document(ASSESSMENT).sections[0]
    titles = [plain(one.title) for one in first.sections]
    assert titles == ["What crosses", "Cost", "Effort", "Risks", "The way back", "What was read", "Open questions"]
    assert brief(ASSESSMENT).splitlines() == [
        "Cross to PostgreSQL",
        "98.2 % of scalar values have a typed column.",
        "Four of five references are whole.",
        "What crosses: 5 entities (131 items, 54.3 KB)",
        "Cost a month: $130.10 → $52.91 (now → after)",
        "Effort: 7 tables (1 crossing group)",
        "Hazards: 3 (1 stop, 1 warning, 1 note)",
        "Read: every item (all 131 items)",
    ]


@pytest.mark.parametrize(
    ("assessment", "verdict"),
    [(ASSESSMENT, "Cross to PostgreSQL"), (SAMPLED, "Stay on DynamoDB"), (EMPTY, "Undecided")],
    ids=["cross", "stay", "undecided"],
)
def test_each_verdict_stands_first(assessment: Assessment, verdict: str) -> None:
    assert brief(assessment).splitlines()[0] == verdict
    assert as_html(assessment).count(f">{verdict}</p>") == 1
    assert f"> **{verdict}**" in as_markdown(assessment)


def test_what_crosses_is_listed_by_size_with_the_strays() -> None:
    rows = brief(ASSESSMENT, "crosses").splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [
        "customer",
        "order",
        "address",
        "order_return",
        "metadata",
        "strays",
    ]
    assert rows[1] == "order | 40 | 13.0 KB | a table of 4 columns, 1 child table, a table of copies"


def test_many_entities_leave_the_brief_short_and_add_up() -> None:
    many = tuple(
        Entity(name=f"e{place}", role="record", keys=(), key_columns=(), columns=(), items=place, bytes=place)
        for place in range(1, 31)
    )
    grown = replace(ASSESSMENT, proposal=replace(PROPOSAL, entities=many, rules=(), groups=()))
    rows = brief(grown, "crosses").splitlines()[2:]
    assert len(rows) == 9
    assert rows[-1] == f"22 smaller | {sum(range(1, 23)):,} | {sum(range(1, 23))} bytes | 22 tables"
    assert "each entity crosses alone" in brief(grown)


def test_the_worst_hazards_come_first_and_the_rest_is_counted() -> None:
    rows = brief(ASSESSMENT, "risks").splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["stop", "warning", "note"]
    many = tuple(Hazard(severity="note", what=f"hazard {place}", hint="mind it") for place in range(9))
    stop = Hazard(severity="stop", what="the worst", hint="stop")
    crowded = replace(ASSESSMENT, proposal=replace(PROPOSAL, hazards=(*many, stop)))
    risks = brief(crowded, "risks")
    assert "stop | the worst | stop" in risks
    assert "5 more: all hazards." in risks
    everything = text(*section(document(crowded), "hazards").blocks)
    assert all(hazard.what in everything for hazard in (*many, stop))


def test_a_full_read_says_so_and_a_sample_says_what_it_can_miss() -> None:
    assert "Every item was read: 131 items." in brief(ASSESSMENT, "confidence")
    sampled = brief(SAMPLED, "confidence")
    assert "1,000 of about 1,000,000 items" in sampled
    assert "fewer than 0.3 % of the items" in sampled
    few = replace(SAMPLED, proposal=replace(SAMPLED.proposal, items_read=29))
    assert "too few to infer anything" in brief(few, "confidence")


def test_costs_show_totals_first_and_every_line_of_arithmetic_later() -> None:
    assert "DynamoDB | a month, now | $130.10 | 2026-11-01" in brief(ASSESSMENT, "cost-in-brief")
    now = text(*section(document(ASSESSMENT), "cost", "cost-1").blocks)
    assert "Storage | 20.4 GB | $0.25 per GB | $5.10 | 20.4 × 0.25 | DescribeTable | 2026-11-01" in now
    assert "Total: $130.10 a month." in now
    assert "Total: $2.04." in text(*section(document(ASSESSMENT), "cost", "cost-3").blocks)


def test_without_prices_nothing_is_said_of_cost() -> None:
    assert "nothing is said of cost" in brief(SAMPLED, "cost-in-brief")
    assert "cost" not in [one.anchor for one in document(SAMPLED).sections]
    assert "Cost a month: not known" in brief(SAMPLED)


def test_an_entity_shows_all_its_evidence() -> None:
    customer = text(*section(document(ASSESSMENT), "entities", "entity-1").blocks)
    order = text(*section(document(ASSESSMENT), "entities", "entity-3").blocks)
    for line in (
        "customer|{customer_id} | customer|{customer_id} | 40 | customer|••• + customer|•••",
        "email | text | may be | e-mail | 62.5 % | absent from 375 of 1,000 items that were looked at",
        "theme | text | may be | preferences.theme | 62.5 % | ",
        "changed_at | timestamptz | may be | changedAt | 62.5 % | ",
        'kinds | {"SS": ["a", "b"]}',
        "gsi1pk | referrer|{referrer_id} | may be absent | 99.67 %",
        "mixed | text and numbers",
        "customer_by_email | email, customer_id | unique | unique in all items",
        "referrer_id | customer (customer_id) | 31 | 0 | foreign key",
        "mixed | 28 (65.12 %) | N 16, S 12 | integer 16, text 12 | 9 | 3 | extra: text and numbers | ",
        "name | 43 (100 %) | S | text | 41 | 31 | column name | U+0000 in 1 value; A•••",
        "visits | values that do not fit: residue",
        "Names hold U+0000 in one item.",
    ):
        assert line in customer.splitlines(), line
    for line in (
        "outbox|{day} + {number} | gsi1pk | 40 | 10 | 2 | 1",
        "shop_id | shop (shop_id) | 12 | 3 | not enforced: not all are found",
        "gift | in one element",
        "lines is a table of its own, of 80 rows, in the order of position: every element is a map with an article.",
    ):
        assert line in order.splitlines(), line


def test_every_entity_has_a_section_and_a_line_on_the_map() -> None:
    report = document(ASSESSMENT)
    names = [entity.name for entity in PROPOSAL.entities]
    assert [plain(one.title) for one in section(report, "entities").sections] == names
    (table,) = (block for block in section(report, "map").blocks if isinstance(block, Table))
    assert [plain(row[0]) for row in table.rows] == names
    shares = [float(plain(row[4]).removesuffix(" %")) for row in table.rows]
    strays = sum(rule.bytes for rule in PROPOSAL.rules) / 54_321 * 100
    assert sum(shares) == pytest.approx(100 - strays, abs=0.05)


def test_groups_and_order_name_what_each_entity_refers_to() -> None:
    rows = text(*section(document(ASSESSMENT), "order").blocks).splitlines()
    assert "1 | customer | group 1 | address" in rows
    assert "4 | order_return | alone | order" in rows


def test_code_says_which_files_use_an_entity_and_which_entities_none_uses() -> None:
    said = text(*section(document(ASSESSMENT), "code").blocks)
    assert "customer | src/customers.ts | writes | 12, 40" in said
    assert "customer | src/report.py | reads | 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 18 more" in said
    assert "No file was found that uses these:\naddress\norder_return\nmetadata" in said
    assert "code" not in [one.anchor for one in document(SAMPLED).sections]


def test_code_says_which_files_use_an_index_and_whose_items_it_has() -> None:
    said = text(*section(document(ASSESSMENT), "code").blocks)
    assert "byReferrer | customer, order | src/report.py | reads | 8" in said
    assert "No file was found that uses these indexes:\nbyTheme" in said


def test_entities_that_code_seems_to_write_together_are_asked_about_unless_they_are_a_group() -> None:
    said = text(*section(document(ASSESSMENT), "code").blocks)
    assert "address, customer | src/customers.ts, line 12" in said
    assert "customer, order | src/customers.ts, line 40, src/orders.ts, line 7" in said
    asked = [line for line in brief(ASSESSMENT, "questions").splitlines() if "one transaction" in line]
    where, entities = "src/customers.ts, line 40 and 1 more", "customer and order"
    assert [f"{where}, seem to write {entities} in one transaction: should they cross together?"] == asked


def test_of_many_transactions_a_few_are_asked_about_and_the_rest_is_counted() -> None:
    many = tuple(Transaction(entities=("order", f"e{one}"), places=(("a.py", one),)) for one in range(1, 10))
    asked = brief(replace(ASSESSMENT, code=CodeMap(entities={}, transactions=many)), "questions")
    assert 6 == asked.count("should they cross together?")
    assert "The same of 3 more sets of entities, listed under Code?" in asked


def test_the_banner_says_whether_values_are_masked() -> None:
    assert "Values are masked" in text(document(ASSESSMENT).banner)
    open_one = replace(ASSESSMENT, show_values=True)
    assert "Values are shown" in text(document(open_one).banner)
    for rendered in (as_html(open_one), as_markdown(open_one)):
        assert "Values are shown" in rendered
        assert "Values are masked" not in rendered
        assert rendered.index("Values are shown") < rendered.index(
            "Decision brief</h2>" if "<html" in rendered else "## "
        )


@pytest.mark.parametrize("assessment", [ASSESSMENT, SAMPLED, EMPTY], ids=["full", "sampled", "empty"])
def test_the_same_assessment_gives_the_same_bytes(assessment: Assessment) -> None:
    assert as_html(assessment) == as_html(assessment)
    assert as_markdown(assessment) == as_markdown(assessment)
    assert json.dumps(as_json(assessment)) == json.dumps(as_json(assessment))


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_anchors_are_made_of_no_name_and_are_unique(name: str) -> None:
    anchors = anchors_of(document(hostile(name)).sections)
    assert len(anchors) == len(set(anchors))
    assert all(anchor.replace("-", "").isalnum() and anchor.isascii() for anchor in anchors)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_json_keeps_names_as_they_are(name: str) -> None:
    plain_values = json.loads(json.dumps(as_json(hostile(name))))
    assert name == plain_values["proposal"]["entities"][0]["columns"][0]["path"][0]
    assert name == plain_values["code"]["entities"][name][0]["file"]
    assert [name, f"{name} too"] == plain_values["code"]["transactions"][0]["entities"]
    assert {"proposal", "verdict", "version", "read_at", "facts", "costs", "code", "show_values"} == set(plain_values)


def test_json_says_when_the_table_was_read() -> None:
    assert as_json(ASSESSMENT)["read_at"] == "2026-11-24T09:05:31Z"


@pytest.mark.parametrize(
    ("hidden", "visible"),
    [
        ("a\nb\r\t", r"a\nb\r\t"),
        ("\x00\x1b", "<U+0000><U+001B>"),
        ("\u202eabc\u2066", "<U+202E>abc<U+2066>"),
        ("zero\u200bwidth\ufeff", "zero<U+200B>width<U+FEFF>"),
        ("line\u2028\u2029", "line<U+2028><U+2029>"),
        ("\ud800", "<U+D800>"),
        ("  ", "<U+0020><U+0020>"),
        ("名前 naïve 🙂 שם", "名前 naïve 🙂 שם"),
    ],
)
def test_characters_that_cannot_be_seen_are_made_visible(hidden: str, visible: str) -> None:
    assert visible == shown(hidden)
