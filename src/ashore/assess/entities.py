"""From kinds to the entities of a proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ashore.assess.census import Census
from ashore.assess.composite import Holder, composite_foreign_keys, tuples_of
from ashore.assess.derive import constants_of, derived_of
from ashore.assess.key_names import columns_of_keys
from ashore.assess.keys import KeyColumns, pattern
from ashore.assess.kinds import CopyOf, Group, Kind
from ashore.assess.naming import is_root, table_names
from ashore.assess.proposal import Column, Copies, Derived, Entity, ForeignKey, KeyPattern, Role
from ashore.assess.relations import Target, Values, foreign_keys, indexes
from ashore.assess.routing import placeholder_names
from ashore.assess.shapes import Shape
from ashore.assess.tables import Show, Table, evidence, key_census, key_table, merged, table_of
from ashore.mapping.declare import Unfit
from ashore.mapping.match import matches
from ashore.mapping.pattern import Pattern, common_text
from ashore.mapping.plan import Generation

_examples: Final = 3
_enough_for_unique: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is known of the table beside its items. `secondary`: index name → the attributes of its key."""

    table: str
    key_types: tuple[str, ...]
    secondary: Mapping[str, tuple[str, ...]]
    ttl: str | None
    complete: bool
    show: Show

    @property
    def index_attributes(self) -> frozenset[str]:
        """Attributes of the secondary indexes' keys."""
        return frozenset(name for names in self.secondary.values() for name in names)

    def indexes_with(self, census: Census) -> tuple[str, ...]:
        """The secondary indexes whose key attributes some of the items have: the others are not in them."""
        has = {name for name, one in census.attributes.items() if one.kinds.keys() & {"S", "N", "B"}}
        return tuple(name for name, names in self.secondary.items() if has.issuperset(names))


@dataclass
class Draft:
    """An entity while it is being put together."""

    kind: Kind
    name: str
    keys: KeyColumns
    constant: dict[str, Any]
    derived: list[Derived] = field(default_factory=list)
    table: Table = field(default_factory=Table)
    primary: tuple[str, ...] = ()
    forms: bool = False

    def values(self) -> list[Values]:
        """The scalar columns with the census of each."""
        found = []
        for column in self.table.columns:
            if column.path is None:
                found.append(Values(column, key_census(self.kind, self.keys, column.name)))
            elif len(column.path) == 1:
                found.append(Values(column, self.kind.census.attributes[column.path[0]]))
        return found

    def values_with_copies(self) -> list[Values]:
        """The same, with what copies have of it: one without an original becomes a row."""
        repeating = {column: attribute for attribute, column in self.keys.same_as.items()}
        found = []
        for one in self.values():
            attribute = one.column.path[0] if one.column.path else repeating.get(one.column.name)
            more = [
                copies.group.census.attributes[attribute]
                for copies in self.kind.copies
                if attribute in copies.group.census.attributes
            ]
            found.append(replace(one, census=merged([one.census, *more])))
        return found


def entities_of(kinds: Sequence[Kind], context: Context, strays: Sequence[tuple[str, str | None]] = ()) -> list[Entity]:
    """Entities for kinds whose keys have placeholders. `strays` are keys that no pattern must take."""
    drafts = _drafts(kinds, context)
    roots = [draft for draft in drafts if len(draft.keys.names) == 1]
    for draft in drafts:
        draft.primary = _primary_key(draft, roots, complete=context.complete)
    targets = [
        Target(draft.name, value, is_root(draft.kind))
        for draft in drafts
        if len(draft.primary) == 1 and not draft.kind.main.only_keys
        for value in draft.values()
        if value.column.name == draft.primary[0]
    ]
    _write_forms_where_needed(drafts, strays)
    holders = [_holder(draft) for draft in drafts]
    return [
        _entity(
            draft,
            [
                *foreign_keys(
                    draft.name,
                    draft.values_with_copies(),
                    targets,
                    complete=context.complete and not draft.kind.census_with_copies.dropped,
                ),
                *composite_foreign_keys(holder, holders, complete=context.complete),
            ],
            context,
        )
        for draft, holder in zip(drafts, holders, strict=True)
    ]


def _holder(draft: Draft) -> Holder:
    words = draft.kind.main.shape.words
    return Holder(
        entity=draft.name,
        items=draft.kind.items,
        key=tuple(draft.keys.names),
        words=frozenset(words[0] + words[1]),
        tuples=tuples_of(draft.kind, draft.keys, draft.table.columns),
        is_target=len(draft.primary) > 1 and not draft.kind.main.only_keys,
    )


def _drafts(kinds: Sequence[Kind], context: Context) -> list[Draft]:
    names = table_names(list(kinds), context.table)
    tables = set(names)
    constants = constants_of(kinds, context.index_attributes)
    drafts = []
    for kind, name, constant, keys in zip(
        kinds, names, constants, columns_of_keys(kinds, context.key_types), strict=True
    ):
        draft = Draft(kind, name, keys, constant)
        key = key_table(kind, keys, context.key_types)
        free = [
            attribute
            for attribute in kind.census.attributes
            if attribute not in kind.main.keys.names and attribute not in constant
        ]
        free.sort(key=lambda attribute: (-kind.census.attributes[attribute].present, attribute))
        census = kind.census_with_copies
        table = table_of(census, key, free, name=name, ttl=context.ttl, complete=context.complete, tables=set(tables))
        draft.derived = derived_of(kind, keys, table.columns, free, context.index_attributes)
        told = {one.attribute for one in draft.derived}
        draft.table = table_of(
            census,
            key,
            [attribute for attribute in free if attribute not in told],
            name=name,
            ttl=context.ttl,
            complete=context.complete,
            tables=tables,
        )
        draft.derived = [one for one in draft.derived if _columns_of(one) <= {c.name for c in draft.table.columns}]
        drafts.append(draft)
    return drafts


def _columns_of(derived: Derived) -> set[str]:
    return {piece.partition("}")[0] for piece in derived.template.split("{")[1:]}


def _primary_key(draft: Draft, roots: Sequence[Draft], *, complete: bool) -> tuple[str, ...]:
    """The key columns; the last alone where it is an id of the entity's own that no two items share."""
    names = tuple(draft.keys.names)
    if len(names) < 2:
        return names
    values = {one.column.name: one for one in draft.values()}
    own = values[names[-1]]
    if not _is_id(own) or not complete or not own.census.sketch.unique or draft.kind.items < 2:
        return names
    for root in roots:
        looked_at, hits = own.census.sketch.contained_in(key_census(root.kind, root.keys, root.keys.names[0]).sketch)
        if root is not draft and looked_at and hits:
            return names
    return names[-1:]


def separable(entities: Sequence[Entity]) -> tuple[list[Entity], list[Entity]]:
    """Entities whose keys can be told apart, and those, the smaller of two, whose keys cannot."""
    kept: list[Entity] = []
    left: list[Entity] = []
    for entity in sorted(entities, key=lambda one: (-one.items, one.name)):
        forms = _forms_of(entity)
        if any(_overlap(one, two) for other in kept for one in forms for two in _forms_of(other)):
            left.append(entity)
        else:
            kept.append(entity)
    names = {entity.name for entity in kept}
    return [_without_targets(entity, names) for entity in kept], left


def _forms_of(entity: Entity) -> list[tuple[Pattern, Pattern | None]]:
    keys = [*entity.keys, *(copies.key for copies in entity.copies)]
    return [(Pattern.parse(key.partition), None if key.sort is None else Pattern.parse(key.sort)) for key in keys]


def _without_targets(entity: Entity, names: set[str]) -> Entity:
    return replace(entity, foreign_keys=tuple(key for key in entity.foreign_keys if key.target in names))


def _is_id(one: Values) -> bool:
    return one.column.kind == "uuid" or set(one.census.forms) == {"ulid"}


def _write_forms_where_needed(drafts: Sequence[Draft], strays: Sequence[tuple[str, str | None]]) -> None:
    """Let placeholders say their form wherever patterns could otherwise match one key, or that of a stray."""
    plain = [(draft, _parsed(draft, forms=False)) for draft in drafts]
    for draft, patterns in plain:
        draft.forms = any(
            matches(Generation(partition=one, sort=two), *key) is not None for one, two in patterns for key in strays
        )
    for place, (draft, patterns) in enumerate(plain):
        for other, others in plain[place + 1 :]:
            if any(_overlap(one, two) for one in patterns for two in others):
                draft.forms = other.forms = True


def _parsed(draft: Draft, *, forms: bool) -> list[tuple[Pattern, Pattern | None]]:
    keys = [_key(group, draft.keys.of[id(group)], forms=forms) for group in draft.kind.generations]
    keys += [_key(copies.group, _copy_names(copies.group), forms=forms) for copies in draft.kind.copies]
    return [(Pattern.parse(one), None if two is None else Pattern.parse(two)) for one, two in keys]


def _overlap(one: tuple[Pattern, Pattern | None], other: tuple[Pattern, Pattern | None]) -> bool:
    if common_text(one[0], other[0]) is None:
        return False
    return one[1] is None or other[1] is None or common_text(one[1], other[1]) is not None


def _key(group: Group, columns: Mapping[str, str], *, forms: bool) -> tuple[str, str | None]:
    shape = group.shape
    forms = forms and _may_say_forms(shape, columns)
    sort = None if shape.sort is None else pattern(shape.sort, "s", columns, forms=forms)
    return pattern(shape.partition, "p", columns, forms=forms), sort


def _may_say_forms(shape: Shape, columns: Mapping[str, str]) -> bool:
    """Whether patterns with the shape's forms are such as can be matched in no more time than a key is worth."""
    try:
        for letter, parts in (("p", shape.partition), ("s", shape.sort or ())):
            Pattern.parse(pattern(parts, letter, columns, forms=True))
    except ValueError:
        return False
    return True


def _copy_names(group: Group) -> dict[str, str]:
    return {name: {"p": "partition", "s": "sort"}[name[0]] + f"_{name[1:]}" for name in placeholder_names(group.shape)}


def _entity(draft: Draft, references: Sequence[ForeignKey], context: Context) -> Entity:
    kind, table = draft.kind, draft.table
    census = kind.census
    where = _where(draft)
    unfit: dict[str, Unfit] = {} if context.complete else {"*": "residue"}
    unfit.update(dict.fromkeys(sorted(table.nul), "residue"))
    return Entity(
        name=draft.name,
        role=_role(kind),
        keys=tuple(_key_pattern(group, draft.keys.of[id(group)], draft, context.show) for group in kind.generations),
        key_columns=draft.primary,
        columns=tuple(table.columns),
        constant=draft.constant,
        derived=tuple(draft.derived),
        null=tuple(table.null),
        unfit=unfit,
        children=tuple(table.children),
        copies=tuple(_copies(one, draft, context.show) for one in kind.copies),
        indexes=tuple(indexes(draft.name, table.columns, draft.primary, references, context.secondary, draft.derived)),
        foreign_keys=tuple(references),
        ttl=context.ttl if context.ttl in census.attributes else None,
        extra=tuple(table.extra),
        indexed_by=context.indexes_with(kind.census_with_copies),
        items=kind.items,
        bytes=census.bytes,
        largest=census.largest,
        evidence=evidence(census, where, context.show),
        notes=tuple(_notes(draft)),
    )


def _role(kind: Kind) -> Role:
    return "mapping" if kind.main.only_keys else "record"


def _key_pattern(group: Group, columns: Mapping[str, str], draft: Draft, show: Show) -> KeyPattern:
    partition, sort = _key(group, columns, forms=draft.forms)
    texts = [group.keys.texts(item) for item in group.exemplars[:_examples]]
    return KeyPattern(
        partition=partition,
        sort=sort,
        items=group.census.items,
        examples=tuple(_masked(text, show) for text in texts if text is not None),
    )


def _masked(texts: tuple[str, str | None], show: Show) -> tuple[str, str | None]:
    return show(texts[0]), None if texts[1] is None else show(texts[1])


def _copies(one: CopyOf, draft: Draft, show: Show) -> Copies:
    names = _copy_names(one.group)
    return Copies(
        key=_key_pattern(one.group, names, draft, show),
        of=one.of,
        compared=one.compared,
        differing=one.differing,
        orphaned=one.orphaned,
    )


def _where(draft: Draft) -> dict[str, str]:
    where: dict[str, str] = dict.fromkeys(draft.kind.main.keys.names, "key")
    where |= dict.fromkeys(draft.constant, "constant")
    where |= {one.attribute: f"derived: {one.template}" for one in draft.derived}
    where |= {column.path[0]: f"column {column.name}" for column in draft.table.columns if column.path}
    where |= {child.attribute: f"child table {child.table}" for child in draft.table.children}
    return where | {attribute: f"extra: {reason}" for attribute, reason in draft.table.extra}


def _notes(draft: Draft) -> list[str]:
    notes = []
    if draft.kind.main.only_keys:
        notes.append(
            "Its rows hold only keys: a join table. Where one side has at most one row, a foreign key column would do."
        )
    if len(draft.kind.generations) > 1:
        notes.append(f"{len(draft.kind.generations)} generations of keys; new rows get a key of the first.")
    if len(draft.primary) < len(draft.keys.names):
        notes.append(f"{draft.primary[0]} alone is the primary key: no two of the items share one.")
    alone = [column.name for column in draft.table.columns if _is_unique_so_far(draft, column)]
    if alone:
        notes.append(f"No two items share a value so far: {', '.join(alone)}. Consider a unique constraint.")
    return notes


def _is_unique_so_far(draft: Draft, column: Column) -> bool:
    if column.path is None or len(column.path) > 1 or column.nullable or column.kind not in {"text", "uuid"}:
        return False
    return draft.kind.items >= _enough_for_unique and draft.kind.census.attributes[column.path[0]].sketch.unique


def with_references_in_order(entities: Sequence[Entity]) -> list[Entity]:
    """Entities in the order of their crossing: what is referred to first, then the smaller ones; cycles are cut."""
    left = sorted(entities, key=lambda entity: (entity.items, entity.name))
    placed: list[Entity] = []
    while left:
        names = {entity.name for entity in left}
        ready = [e for e in left if not ({key.target for key in e.foreign_keys} - {e.name}) & names] or left[:1]
        placed.append(ready[0])
        left.remove(ready[0])
    return _without_cycles(placed)


def _without_cycles(entities: Sequence[Entity]) -> list[Entity]:
    """A reference to an entity that comes later is not enforced: its rows could not be loaded first."""
    seen: set[str] = set()
    ordered = []
    for entity in entities:
        seen.add(entity.name)
        keys = tuple(key if key.target in seen else _not_enforced(key) for key in entity.foreign_keys)
        ordered.append(replace(entity, foreign_keys=keys))
    return ordered


def _not_enforced(key: ForeignKey) -> ForeignKey:
    return replace(key, enforced=False, because=key.because or "the rows that it refers to are loaded later")
