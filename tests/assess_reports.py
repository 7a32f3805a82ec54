"""An assessment made by hand that says everything a report can say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from tests.assess_proposals import CUSTOMER, SENSORS, SHOP

from ashore.assess.proposal import AttributeEvidence, Hazard, Proposal
from ashore.assess.report.assessment import (
    Assessment,
    CodeMap,
    CodeUse,
    CostLine,
    CostSection,
    Transaction,
    Verdict,
)

_EVIDENCE: Final = (
    AttributeEvidence(
        path="name",
        present=43,
        kinds={"S": 43},
        forms={"text": 43},
        distinct=41,
        longest=31,
        notes=("U+0000 in 1 value",),
        where="column name",
        examples=("A•••",),
    ),
    AttributeEvidence(
        path="mixed",
        present=28,
        kinds={"S": 12, "N": 16},
        forms={"integer": 16, "text": 12},
        distinct=9,
        longest=3,
        notes=(),
        where="extra: text and numbers",
    ),
)


def _sized(proposal: Proposal) -> Proposal:
    bytes_of = {"customer": 30_345, "address": 9_876, "order": 13_000, "order_return": 600, "metadata": 368}
    entities = tuple(
        replace(
            one,
            bytes=bytes_of[one.name],
            largest=999,
            evidence=_EVIDENCE if one.name == "customer" else (),
            indexed_by=("byReferrer",) if one.name in {"customer", "order"} else (),
        )
        for one in proposal.entities
    )
    return replace(proposal, entities=entities)


PROPOSAL: Final = replace(
    _sized(SHOP),
    hazards=(
        Hazard(severity="note", what="TTL deletes items by ttl", hint="the load takes expired items too"),
        Hazard(severity="stop", what="The stream is off", hint="turn it on with NEW_AND_OLD_IMAGES"),
        Hazard(severity="warning", what="One partition takes 61 % of the items", hint="give the load fewer units"),
    ),
    secondary={"byReferrer": ("gsi1pk",), "byTheme": ("theme",)},
    questions=("Does a transaction touch customer and order together?", "Who writes the items under cache|*?"),
)
COSTS: Final = (
    CostSection(
        title="DynamoDB",
        when="now",
        total="$130.10",
        lines=(
            CostLine(
                label="Writes",
                quantity="200,000,000",
                unit_price="$0.625 per million",
                amount="$125.00",
                formula="200 × 0.625",
                source="CloudWatch, 14 days",
                price_date="2026-11-01",
            ),
            CostLine(
                label="Storage",
                quantity="20.4 GB",
                unit_price="$0.25 per GB",
                amount="$5.10",
                formula="20.4 × 0.25",
                source="DescribeTable",
                price_date="2026-11-01",
            ),
        ),
        note="Without global tables and backups.",
    ),
    CostSection(
        title="RDS for PostgreSQL, db.t4g.medium",
        when="after",
        total="$52.91",
        lines=(
            CostLine(
                label="Instance",
                quantity="730 hours",
                unit_price="$0.065",
                amount="$47.45",
                formula="730 × 0.065",
                price_date="2026-10-15",
            ),
        ),
    ),
    CostSection(
        title="The load",
        when="once",
        total="$2.04",
        lines=(
            CostLine(
                label="Export to S3",
                quantity="20.4 GB",
                unit_price="$0.10",
                amount="$2.04",
                formula="20.4 × 0.10",
                price_date="2026-11-01",
            ),
        ),
    ),
)
ASSESSMENT: Final = Assessment(
    proposal=PROPOSAL,
    verdict=Verdict(
        word="cross",
        reasons=("98.2 % of scalar values have a typed column.", "Four of five references are whole."),
    ),
    version="0.4.0",
    read_at=datetime(2026, 11, 24, 9, 5, 31, tzinfo=UTC),
    facts=(("Billing", "on demand"), ("Stream", "off"), ("Point-in-time recovery", "on")),
    costs=COSTS,
    code=CodeMap(
        entities={
            "customer": (
                CodeUse(file="src/customers.ts", lines=(12, 40), use="writes"),
                CodeUse(file="src/report.py", lines=tuple(range(1, 31)), use="reads"),
            ),
            "order": (CodeUse(file="src/orders.ts", lines=(7,), use="names"),),
        },
        indexes={"byReferrer": (CodeUse(file="src/report.py", lines=(8,), use="reads"),), "byTheme": ()},
        transactions=(
            Transaction(entities=("address", "customer"), places=(("src/customers.ts", 12),)),
            Transaction(entities=("customer", "order"), places=(("src/customers.ts", 40), ("src/orders.ts", 7))),
        ),
    ),
)
SAMPLED: Final = Assessment(
    proposal=SENSORS,
    verdict=Verdict(word="stay", reasons=("One entity, read by key alone: nothing here is relational.",)),
    version="0.4.0",
    read_at=ASSESSMENT.read_at,
)
EMPTY: Final = replace(
    SAMPLED,
    proposal=replace(SENSORS, entities=(), items=0, items_read=0, bytes=0),
    verdict=Verdict(word="undecided", reasons=()),
)

HOSTILE: Final = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "a|b",
    "back`tick``s`",
    "line\nbreak\r\n\n# heading",
    "\u202edesrever\u2066",
    "nul\x00 and \x1b[31m",
    "&lt;b&gt; &#x3c;",
    "{{ 7*7 }}{% raw %}",
    "{a|<b>} \\N \\l",
    "]]> --> </style></svg>",
    "[x](javascript:alert(1)) ![x](http://example.org/x.png)",
    "http://example.org www.example.org @someone",
    "名前 שם naïve 🙂",
    "\\|\\",
    "  ",
)


def hostile(text: str) -> Assessment:
    """An assessment with that text in every place where a name, a key, a value or a sentence about them stands."""
    column = replace(CUSTOMER.columns[1], name=text, path=(text,), because=text)
    key = replace(CUSTOMER.keys[0], partition=text, sort=text, examples=((text, text),))
    order = PROPOSAL.entities[2]
    child = replace(
        order.children[0],
        table=text,
        attribute=text,
        order=text,
        columns=(column,),
        extra=((text, text),),
        because=text,
    )
    evidence = replace(
        _EVIDENCE[1], path=text, kinds={text: 2}, forms={text: 2}, notes=(text,), where=text, examples=(text,)
    )
    entity = replace(
        CUSTOMER,
        name=text,
        keys=(key,),
        key_columns=(text,),
        columns=(column,),
        constant={text: text, "n": {text: [text]}},
        derived=(replace(CUSTOMER.derived[0], attribute=text, template=text),),
        null=(text,),
        unfit={text: "strip"},
        children=(child,),
        copies=(replace(order.copies[0], key=key, of=text),),
        indexes=(replace(CUSTOMER.indexes[0], name=text, columns=(text,), because=text),),
        foreign_keys=(replace(CUSTOMER.foreign_keys[0], columns=(text,), target=text, target_columns=(text,)),),
        ttl=text,
        extra=((text, text),),
        evidence=(evidence,),
        notes=(text,),
    )
    proposal = replace(
        PROPOSAL,
        name=text,
        table=text,
        partition_key=(text, "S"),
        sort_key=(text, "B"),
        entities=(entity,),
        rules=(replace(PROPOSAL.rules[0], partition=text, sort=text, because=text),),
        groups=((text, text),),
        hazards=(Hazard(severity="stop", what=text, hint=text),),
        questions=(text,),
    )
    line = CostLine(label=text, quantity=text, unit_price=text, amount=text, formula=text, source=text, price_date=text)
    return replace(
        ASSESSMENT,
        proposal=proposal,
        verdict=Verdict(word="cross", reasons=(text,)),
        version=text,
        facts=((text, text),),
        costs=(CostSection(title=text, when="now", lines=(line,), total=text, note=text),),
        code=CodeMap(
            entities={text: (CodeUse(file=text, lines=(1,), use="reads"),)},
            indexes={text: (CodeUse(file=text, lines=(1,), use="reads"),), f"{text} too": ()},
            transactions=(Transaction(entities=(text, f"{text} too"), places=((text, 1), (text, 2))),),
        ),
    )
