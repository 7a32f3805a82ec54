"""Which entity a change is of, by its key alone; and the newest change of each key of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from ashore.ledger.loads import UNMATCHED
from ashore.mapping import residue
from ashore.mapping.copy_text import key_column_text
from ashore.mapping.declare import KeyAttribute
from ashore.mapping.match import AsCopy, AsRow, KeyTexts, Match, Ruled, matcher, matches
from ashore.mapping.plan import EntityPlan, Plan, key_attributes
from ashore.mapping.pointer import token
from ashore.mapping.reasons import UnfitError
from ashore.mapping.route import peek, router
from ashore.mapping.rows import key_of, key_value
from ashore.model.attribute import TypedValue, same
from ashore.model.change import Change
from ashore.postgres.items import as_text
from ashore.postgres.upsert import RowIdentity
from ashore.sync.errors import KeyNotAsDeclared

_encode: Final = msgspec.json.Encoder().encode


class Keyed(msgspec.Struct, frozen=True, gc=False):
    """A change, and what its key says.

    `entity` is the entity's name, `UNMATCHED` where no pattern speaks of the key, None where a rule does.
    """

    change: Change
    texts: KeyTexts
    attributes: tuple[KeyAttribute, ...]
    match: Match
    entity: str | None

    def __repr__(self) -> str:
        """Without the key's texts, so that it may be logged."""
        return f"Keyed(change={self.change!r}, entity={self.entity!r})"

    @property
    def key(self) -> bytes:
        """The key as the ledger writes it: its JSON, attributes in order."""
        return _encode({one.name: {one.type: text} for one, text in zip(self.attributes, self.texts, strict=False)})


def watched_entity(keyed: Keyed) -> str | None:
    """The entity whose reverse sync writes this key: its own, or that whose rows it mirrors."""
    match keyed.match:
        case Ruled(rule):
            mirrors = (one for one in rule.mirrors if matches(one.form, *keyed.texts) is not None)
            return next((one.entity for one in mirrors), None)
        case _:
            return keyed.entity


def _entity_of(match: Match) -> str | None:
    match match:
        case AsRow() | AsCopy() as found:
            return found.entity.name
        case None:
            return UNMATCHED
        case _:
            return None


class KeyRouter:
    """Reads keys and says what they are of; one is for one thread."""

    def __init__(self, plan: Plan) -> None:
        forms: list[AsRow | AsCopy] = []
        for entity in plan.entities.values():
            forms += [AsRow(entity, place) for place, _ in enumerate(entity.generations)]
            if entity.copies is not None:
                forms += [AsCopy(entity, place) for place, _ in enumerate(entity.copies.generations)]
        self._plan = plan
        self._forms = forms
        self._is_sure = [_sure(form) for form in forms]
        self._peek = peek(plan)
        self._guess = router(plan, forms)
        self._match = matcher(plan)
        self._has_sort_key = plan.sort_key is not None
        self._attributes = key_attributes(plan)

    @property
    def source(self) -> str:
        """The source's name."""
        return self._plan.name

    def newest(self, changes: Iterable[Change]) -> list[Keyed]:
        """The last change of each key, in the order of these last changes.

        Raises:
            KeyNotAsDeclared: The table's key is not the declared one.
        """
        last: dict[KeyTexts, Keyed] = {}
        for change in changes:
            keyed = self.keyed(change)
            last.pop(keyed.texts, None)
            last[keyed.texts] = keyed
        return list(last.values())

    def keyed(self, change: Change) -> Keyed:
        """What a change's key says. Raises as `newest`."""
        try:
            key: Any = self._peek(change.key)
            texts: KeyTexts = (key.p.text, key.q.text if self._has_sort_key else None)
        except (msgspec.DecodeError, AttributeError, UnfitError):
            raise KeyNotAsDeclared(source=self._plan.name) from None
        place = self._guess(key)
        if place >= 0 and (self._is_sure[place](*texts) or _fits(self._forms[place], texts)):
            match: Match = self._forms[place]
        else:
            match = self._match(*texts)
        return Keyed(change, texts, self._attributes, match, _entity_of(match))


def _sure(match: AsRow | AsCopy) -> Callable[[str, str | None], bool]:
    """A quick test of the form whose literal text a key has; what it cannot say is asked of the patterns.

    A pattern of one placeholder fits any text that is longer than its literal text and has that at its ends.
    """
    copies = match.entity.copies
    generations = match.entity.generations if isinstance(match, AsRow) or copies is None else copies.generations
    form = generations[match.generation]
    patterns = [form.partition, *([form.sort] if form.sort is not None else [])]
    columns = [column for pattern in patterns for column in pattern.columns]
    is_simple = all(len(pattern.columns) <= 1 and not pattern.held for pattern in patterns)
    if not is_simple or len(set(columns)) < len(columns):
        return lambda _partition, _sort: False
    least = [len("".join(pattern.parts[::2])) + len(pattern.columns) for pattern in patterns]
    if len(least) == 1:
        return lambda partition, _sort: len(partition) >= least[0]
    return lambda partition, sort: len(partition) >= least[0] and sort is not None and len(sort) >= least[1]


def _fits(match: AsRow | AsCopy, texts: KeyTexts) -> bool:
    copies = match.entity.copies
    if isinstance(match, AsRow):
        return matches(match.entity.generations[match.generation], *texts) is not None
    return copies is not None and matches(copies.generations[match.generation], *texts) is not None


def row_identity(match: AsRow, texts: KeyTexts, *, tells_forms: bool) -> RowIdentity | None:
    """What tells the row of this item from all others; None where no row can have such a key."""
    entity = match.entity
    taken = matches(entity.generations[match.generation], *texts)
    if taken is None:
        return None
    try:
        row = {column.column: key_value(column, taken[column.column]) for column in entity.key}
    except UnfitError:
        return None
    values = tuple(as_text(row[column.column]) for column in entity.key)
    if any("\0" in value for value in values):
        return None
    return (*values, *_entries(entity, texts, key_of(entity, row))) if tells_forms else values


def _entries(entity: EntityPlan, own: KeyTexts, rendered: KeyTexts) -> list[str | None]:
    """For each key attribute the JSON of the residue entry that a row of this item has, or None."""
    found: list[str | None] = []
    for key, was, now in zip(key_attributes(entity), own, rendered, strict=False):
        pair: list[TypedValue] = [{key.type: was}, {key.type: now}]
        if same(pair[0], pair[1]):
            found.append(None)
        else:
            stored = residue.to_column({token(key.name): pair}) or {}
            found.append(_encode(stored[token(key.name)]).decode())
    return found


def copy_identity(entity: EntityPlan, texts: KeyTexts) -> tuple[str, ...] | None:
    """The text of each key column of a copy's row; None where no row can have such a key."""
    keys = zip(key_attributes(entity), texts, strict=False)
    found = tuple(key_column_text(key.type, text or "") for key, text in keys)
    return None if any("\0" in text for text in found) else found
