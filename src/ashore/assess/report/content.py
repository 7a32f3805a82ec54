"""An assessment as a document: the brief first, then the evidence."""

from __future__ import annotations

from datetime import UTC
from typing import Final

from ashore.assess.proposal import Entity, Proposal
from ashore.assess.report.assessment import Assessment, CostSection
from ashore.assess.report.brief import brief
from ashore.assess.report.code_section import code_section
from ashore.assess.report.document import (
    Bar,
    Block,
    Callout,
    Diagram,
    Document,
    Link,
    Paragraph,
    Phrase,
    Section,
    code,
    codes,
    joined_by,
    key_pair,
    table,
    words,
)
from ashore.assess.report.entity_section import entity_section
from ashore.assess.report.schema import schema_of
from ashore.assess.report.shown import shown
from ashore.assess.writing.words import size

_SEVERITIES: Final = ("stop", "warning", "note")
_MASKED: Final = "Keys and example values are masked. Names of attributes and the fixed parts of keys are not."
_SHOWN: Final = (
    "Keys and example values are those of real items (--show-values). Hand this report only to people who may read "
    "the table."
)


def document(assessment: Assessment) -> Document:
    """The whole report."""
    proposal = assessment.proposal
    sections = (
        brief(assessment),
        _table(assessment),
        _map(proposal),
        _schema(proposal),
        _entities(proposal),
        _hazards(proposal),
        _order(proposal),
        _rules(proposal),
        *code_section(assessment),
        *_cost(assessment.costs),
    )
    read_at = assessment.read_at.astimezone(UTC)
    return Document(
        title=words("Assessment of ", code(proposal.table)),
        subtitle=words(f"Read on {read_at:%-d %B %Y at %H:%M} UTC by Ashore {assessment.version}."),
        banner=_banner(show_values=assessment.show_values),
        sections=sections,
    )


def _banner(*, show_values: bool) -> Callout:
    if show_values:
        return Callout(tone="stop", title=words("Values are shown"), paragraphs=(words(_SHOWN),))
    return Callout(tone="note", title=words("Values are masked"), paragraphs=(words(_MASKED),))


def _table(assessment: Assessment) -> Section:
    proposal = assessment.proposal
    keys = [("Partition key", words(code(proposal.partition_key[0]), f" ({proposal.partition_key[1]})"))]
    if proposal.sort_key is not None:
        keys.append(("Sort key", words(code(proposal.sort_key[0]), f" ({proposal.sort_key[1]})")))
    facts = [(label, words(value)) for label, value in assessment.facts]
    name = [("Table", words(code(proposal.table)))]
    blocks = table("What the table says of itself", ("Fact", "Value"), [*name, *keys, *facts])
    return Section(anchor="table", title=words("The table"), blocks=blocks)


def _map(proposal: Proposal) -> Section:
    total = sum(entity.bytes for entity in proposal.entities) + sum(rule.bytes for rule in proposal.rules)
    rows = [_on_the_map(number, entity, total) for number, entity in enumerate(proposal.entities, 1)]
    heads = ("Entity", "Role", "Items#", "Bytes#", "Share of bytes", "Largest#", "Keys", "Examples")
    return Section(
        anchor="map",
        title=words("Map of entities"),
        blocks=table("Entities, in the order in which they should cross", heads, [*rows]),
    )


def _on_the_map(number: int, entity: Entity, total: int) -> tuple[Phrase | str, ...]:
    current = entity.keys[:1]
    return (
        (Link(shown(entity.name), f"entity-{number}"),),
        entity.role,
        f"{entity.items:,}",
        size(entity.bytes),
        (Bar(entity.bytes / total if total else 0.0),),
        size(entity.largest),
        joined_by(", ", [key_pair(key.partition, key.sort) for key in entity.keys]),
        joined_by(", ", [key_pair(*example) for key in current for example in key.examples[:1]]),
    )


def _schema(proposal: Proposal) -> Section:
    said = (
        "Tables and references; a dashed line is a reference that is not enforced. Key columns are marked •, columns "
        "that refer to another table →. Every table also has the columns extra and residue."
    )
    blocks: tuple[Block, ...] = (Paragraph(words(said)), Diagram(schema_of(proposal)))
    return Section(anchor="schema", title=words("Schema"), blocks=blocks if proposal.entities else ())


def _entities(proposal: Proposal) -> Section:
    parts = tuple(entity_section(number, entity) for number, entity in enumerate(proposal.entities, 1))
    return Section(anchor="entities", title=words("Entities"), sections=parts)


def _hazards(proposal: Proposal) -> Section:
    worst = sorted(proposal.hazards, key=lambda hazard: _SEVERITIES.index(hazard.severity))
    blocks = tuple(Callout(tone=one.severity, title=words(one.what), paragraphs=(words(one.hint),)) for one in worst)
    return Section(anchor="hazards", title=words("Hazards"), blocks=blocks or (Paragraph(words("None were found.")),))


def _order(proposal: Proposal) -> Section:
    group_of = {name: number for number, group in enumerate(proposal.groups, 1) for name in group}
    rows = [
        (
            f"{number}",
            words(code(one.name)),
            f"group {group_of[one.name]}" if one.name in group_of else "alone",
            _needs(one),
        )
        for number, one in enumerate(proposal.entities, 1)
    ]
    said = (
        "Entities that refer to others come after them. Those of one group name each other: their writes should move "
        "together, unless you know that no transaction touches several of them."
    )
    caption = "Order of crossing"
    heads = ("Place", "Entity", "Crosses", "Refers to")
    blocks: tuple[Block, ...] = (Paragraph(words(said)), *table(caption, heads, [*rows]))
    return Section(anchor="order", title=words("Order and groups"), blocks=blocks)


def _needs(entity: Entity) -> Phrase:
    return codes(tuple(dict.fromkeys(key.target for key in entity.foreign_keys if key.target != entity.name)))


def _rules(proposal: Proposal) -> Section:
    rows = [
        (code(rule.partition), words(code(rule.sort)), f"{rule.items:,}", size(rule.bytes), words(rule.because))
        for rule in proposal.rules
    ]
    heads = ("Partition key", "Sort key", "Items#", "Bytes#", "Why")
    blocks = table("Items that no entity takes; they do not cross now", heads, [*rows])
    return Section(
        anchor="rules",
        title=words("Strays"),
        blocks=blocks or (Paragraph(words("Every item that was read belongs to an entity.")),),
    )


def _cost(costs: tuple[CostSection, ...]) -> tuple[Section, ...]:
    if not costs:
        return ()
    parts = tuple(_arithmetic(number, section) for number, section in enumerate(costs, 1))
    return (Section(anchor="cost", title=words("Cost in full"), sections=parts),)


def _arithmetic(number: int, section: CostSection) -> Section:
    rows = [
        (
            words(one.label),
            one.quantity,
            one.unit_price,
            one.amount,
            words(code(one.formula)),
            one.source,
            one.price_date,
        )
        for one in section.lines
    ]
    heads = ("What", "Quantity#", "Price#", "Amount#", "Arithmetic", "Source", "Prices of")
    note = (Paragraph(words(section.note)),) if section.note else ()
    per = "" if section.when == "once" else " a month"
    total = Paragraph(words(f"Total: {section.total}{per}."))
    blocks = (*table(section.title, heads, [*rows]), total, *note)
    return Section(anchor=f"cost-{number}", title=words(section.title), blocks=blocks)
