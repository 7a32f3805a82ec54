"""The first page: what to decide, and what it costs, in words that need no knowledge of DynamoDB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from ashore.assess.proposal import Entity, Hazard, Proposal
from ashore.assess.report.assessment import Assessment, CostSection
from ashore.assess.report.document import (
    Block,
    Bullets,
    Callout,
    Figure,
    Figures,
    Link,
    Paragraph,
    Phrase,
    Section,
    code,
    codes,
    joined_by,
    table,
    words,
)
from ashore.assess.report.shown import shown
from ashore.assess.writing.words import counted, share, size

VERDICTS: Final = {
    "cross": "Cross to PostgreSQL",
    "stay": "Stay on DynamoDB",
    "undecided": "Undecided",
}
_MOST_HAZARDS: Final = 5
_MOST_ENTITIES: Final = 8
_MOST_TRANSACTIONS: Final = 6
_SEVERITIES: Final = ("stop", "warning", "note")
_WAY_BACK: Final = (
    "Load and verify only read the table: until the application writes to PostgreSQL, dropping the copy undoes them.",
    "Entities cross one after another, or group by group. What has not crossed stays as it is.",
    "Rows rebuild their items exactly, so that what has crossed can be written back to the table.",
    "Items are deleted from DynamoDB by nobody but you.",
)


def brief(assessment: Assessment) -> Section:
    """The decision brief."""
    proposal = assessment.proposal
    return Section(
        anchor="brief",
        title=words("Decision brief"),
        blocks=(_verdict(assessment), _figures(assessment)),
        sections=(
            _section("crosses", "What crosses", _crosses(proposal)),
            _section("cost-in-brief", "Cost", _cost(assessment.costs)),
            _section("effort", "Effort", _effort(proposal)),
            _section("risks", "Risks", _risks(proposal.hazards)),
            _section("way-back", "The way back", (Bullets(items=tuple(words(one) for one in _WAY_BACK)),)),
            _section("confidence", "What was read", _confidence(proposal)),
            _section("questions", "Open questions", _questions(assessment)),
        ),
    )


def _section(anchor: str, title: str, blocks: tuple[Block, ...]) -> Section:
    return Section(anchor=anchor, title=words(title), blocks=blocks)


def _verdict(assessment: Assessment) -> Callout:
    verdict = assessment.verdict
    return Callout(
        tone=verdict.word,
        title=words(VERDICTS[verdict.word]),
        paragraphs=tuple(words(reason) for reason in verdict.reasons) or (words("No reason was given."),),
    )


def _figures(assessment: Assessment) -> Figures:
    proposal = assessment.proposal
    figures = [
        Figure("What crosses", words(counted_entities(len(proposal.entities))), words(_amount(proposal))),
        *_monthly(assessment.costs),
        Figure("Effort", words(counted(tables_of(proposal), "table")), words(_groups(proposal))),
        Figure("Hazards", words(f"{len(proposal.hazards):,}"), words(_severities(proposal.hazards))),
        Figure("Read", words(_read(proposal)), words(_confident(proposal))),
    ]
    return Figures(tuple(figures))


def counted_entities(number: int) -> str:
    """``1 entity``, ``2 entities``."""
    return f"{number:,} {'entity' if number == 1 else 'entities'}"


def tables_of(proposal: Proposal) -> int:
    """How many tables there will be: one an entity, one a list of children, one for the copies of an entity."""
    return sum(map(_tables, proposal.entities))


def _tables(entity: Entity) -> int:
    return 1 + len(entity.children) + bool(entity.copies)


def _amount(proposal: Proposal) -> str:
    about = "" if proposal.complete else "about "
    return f"{about}{counted(proposal.items, 'item')}, {about}{size(proposal.bytes)}"


def _monthly(costs: tuple[CostSection, ...]) -> list[Figure]:
    now = next((section for section in costs if section.when == "now"), None)
    after = [section for section in costs if section.when == "after"]
    if now is None and not after:
        return [Figure("Cost a month", words("not known"), words("no prices were given"))]
    before = "not known" if now is None else now.total
    then = " or ".join(section.total for section in after) or "not known"
    return [Figure("Cost a month", words(f"{before} → {then}"), words("now → after"))]


def _groups(proposal: Proposal) -> str:
    return counted(len(proposal.groups), "crossing group") if proposal.groups else "each entity crosses alone"


def _severities(hazards: tuple[Hazard, ...]) -> str:
    count = Counter(hazard.severity for hazard in hazards)
    return ", ".join(counted(count[one], one) for one in _SEVERITIES if count[one]) or "none"


def _read(proposal: Proposal) -> str:
    if proposal.complete:
        return "every item"
    return f"{share(proposal.items_read / proposal.items)} of the items" if proposal.items else "a sample"


def _confident(proposal: Proposal) -> str:
    if proposal.complete:
        return f"all {proposal.items_read:,} items"
    return f"{proposal.items_read:,} of about {proposal.items:,}"


def _crosses(proposal: Proposal) -> tuple[Block, ...]:
    anchors = {entity.name: f"entity-{number}" for number, entity in enumerate(proposal.entities, 1)}
    biggest = sorted(proposal.entities, key=lambda entity: (-entity.bytes, entity.name))
    rows: list[tuple[Phrase | str, ...]] = [
        ((Link(shown(one.name), anchors[one.name]),), f"{one.items:,}", size(one.bytes), _becomes(one))
        for one in biggest[:_MOST_ENTITIES]
    ]
    if rest := biggest[_MOST_ENTITIES:]:
        items, total = sum(one.items for one in rest), sum(one.bytes for one in rest)
        tables = counted(sum(map(_tables, rest)), "table")
        rows.append((f"{len(rest):,} smaller", f"{items:,}", size(total), tables))
    if proposal.rules:
        items, total = sum(rule.items for rule in proposal.rules), sum(rule.bytes for rule in proposal.rules)
        rows.append(("strays", f"{items:,}", size(total), "nothing: they do not cross now"))
    caption = (
        "Entities, the largest first" if proposal.complete else "Entities, the largest first, among the items read"
    )
    return (
        *table(caption, ("Entity", "Items#", "Bytes#", "Becomes"), [*rows]),
        *(() if rows else (Paragraph(words("No entity was found: there is nothing that could cross.")),)),
    )


def _becomes(entity: Entity) -> str:
    kind = {"record": "a table", "mapping": "a table of keys", "setting": "a table of settings"}[entity.role]
    more = [counted(len(entity.children), "child table")] if entity.children else []
    more += ["a table of copies"] if entity.copies else []
    return ", ".join([f"{kind} of {counted(len(entity.columns), 'column')}", *more])


def _cost(costs: tuple[CostSection, ...]) -> tuple[Block, ...]:
    if not costs:
        return (Paragraph(words("Prices were not given, so nothing is said of cost.")),)
    spell = {"now": "a month, now", "after": "a month, after", "once": "once"}
    rows = [
        (
            words(one.title),
            spell[one.when],
            one.total,
            ", ".join(sorted({line.price_date for line in one.lines} - {""})),
        )
        for one in costs
    ]
    heads = ("What", "When", "Total#", "Prices of")
    return (
        *table("Totals", heads, [*rows]),
        Paragraph((*words("Every figure is worked out under "), Link("Cost in full", "cost"), *words("."))),
    )


def _effort(proposal: Proposal) -> tuple[Block, ...]:
    parts = [
        counted_entities(len(proposal.entities)),
        counted(tables_of(proposal), "table"),
        counted(len(proposal.groups), "crossing group"),
        counted(len(proposal.hazards), "hazard"),
    ]
    order = codes(tuple(entity.name for entity in proposal.entities))
    alone = "Entities of one group name each other, so that their writes move together."
    return (
        Paragraph(words(", ".join(parts) + "." + (f" {alone}" if proposal.groups else ""))),
        *((Paragraph((*words("Suggested order: "), *order, *words("."))),) if order else ()),
        *(Paragraph((*words("Together: "), *codes(group), *words("."))) for group in proposal.groups),
    )


def _risks(hazards: tuple[Hazard, ...]) -> tuple[Block, ...]:
    if not hazards:
        return (Paragraph(words("Nothing was found that makes the crossing risky.")),)
    worst = sorted(hazards, key=lambda hazard: _SEVERITIES.index(hazard.severity))
    rows = [(hazard.severity, hazard.what, hazard.hint) for hazard in worst[:_MOST_HAZARDS]]
    rest = len(hazards) - len(rows)
    more = Paragraph((*words(f"{rest:,} more: "), Link("all hazards", "hazards"), *words(".")))
    return (*table("Greatest risks", ("Severity", "What", "What to do"), [*rows]), *((more,) if rest else ()))


def _confidence(proposal: Proposal) -> tuple[Block, ...]:
    if proposal.complete:
        counted_all = f"Every item was read: {counted(proposal.items_read, 'item')}."
        return (Paragraph(words(f"{counted_all} What is said of all items holds for all items, as they were then.")),)
    return (
        Paragraph(
            words(
                f"A sample was read: {proposal.items_read:,} of about {counted(proposal.items, 'item')}. "
                "Counts below are of the items that were read, and nothing is NOT NULL for that alone."
            )
        ),
        *_rule_of_three(proposal.items_read),
    )


def _rule_of_three(read: int) -> tuple[Block, ...]:
    """What a sample cannot show. Source: https://en.wikipedia.org/wiki/Rule_of_three_(statistics)."""
    if read < 30:
        return (Paragraph(words("That is too few to infer anything from: read more.")),)
    missed = share(3 / read)
    return (
        Paragraph(
            words(
                f"With 95 % confidence, a kind of key or value that was never seen is in fewer than {missed} of the "
                "items, as far as the sample is even (3 divided by the items read). Rarer ones can be there: read "
                "everything before the load that counts."
            )
        ),
    )


def _questions(assessment: Assessment) -> tuple[Block, ...]:
    questions = (*map(words, assessment.proposal.questions), *_of_transactions(assessment))
    if not questions:
        return (Paragraph(words("None.")),)
    return (
        Paragraph(words("A table cannot answer these; people can.")),
        Bullets(items=questions, numbered=True),
    )


def _of_transactions(assessment: Assessment) -> Iterator[Phrase]:
    """For each set of entities that code seems to write together, and that is in no group: whether it is one."""
    if assessment.code is None:
        return
    groups = [set(group) for group in assessment.proposal.groups]
    open_ones = [
        one for one in assessment.code.transactions if not any(group.issuperset(one.entities) for group in groups)
    ]
    for one in open_ones[:_MOST_TRANSACTIONS]:
        file, line = one.places[0]
        more = f" and {len(one.places) - 1:,} more" if len(one.places) > 1 else ""
        seem = "seems" if len(one.places) == 1 else "seem"
        where = (code(file), f", line {line}{more}, {seem} to write ")
        entities = joined_by(" and ", [words(code(name)) for name in one.entities])
        yield words(*where, *entities, " in one transaction: should they cross together?")
    rest = len(open_ones) - _MOST_TRANSACTIONS
    if rest > 0:
        yield (*words(f"The same of {rest:,} more sets of entities, listed under "), Link("Code", "code"), *words("?"))
