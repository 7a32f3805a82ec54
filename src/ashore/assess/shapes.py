"""Groups of items by the shape of their keys: which words are fixed, and where each item has a value of its own.

A key is taken apart into tokens. Items whose tokens are of the same kinds are a family; in a family, each place that
holds words is either fixed (one group for each word) or a placeholder. Attributes decide: words with the same
attributes behind them are values, words with different ones are names of kinds. No type attribute is needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ashore.assess.forms import Form
from ashore.assess.profiles import Profile, contradict, likeness
from ashore.assess.tokens import Token, tokens_of
from ashore.mapping.match import KeyTexts
from ashore.model.item import Item

ALIKE: Final = 0.6
"""Profiles from here on are taken for those of one kind."""

_most_names: Final = 24
_few_names: Final = 12
_many: Final = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """An item of the sample, with its key's texts."""

    key: KeyTexts
    item: Item


@dataclass(frozen=True, slots=True)
class Part:
    """Of a shape's key text: fixed text, or a placeholder of a form (`form` is None for fixed text)."""

    text: str = ""
    form: Form | None = None


Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """The parts of the partition key and of the sort key, if the table has one."""

    partition: Parts
    sort: Parts | None

    @property
    def placeholders(self) -> int:
        """How many placeholders both keys have."""
        return sum(part.form is not None for part in self.partition + (self.sort or ()))

    @property
    def words(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The fixed words of each key, in small letters without punctuation: what stays the same between spellings."""
        return _words(self.partition), _words(self.sort or ())


def _words(parts: Parts) -> tuple[str, ...]:
    kept = ("".join(letter for letter in part.text.casefold() if letter.isalnum()) for part in parts if not part.form)
    return tuple(word for word in kept if word)


@dataclass(frozen=True, slots=True)
class _Row:
    """A sampled item and the tokens of its two keys in one sequence; `boundary` is where the sort key's begin."""

    seen: Seen
    tokens: tuple[Token, ...]
    boundary: int


def shapes_of(
    sample: Sequence[Seen], key_types: Sequence[str], not_telling: Collection[str]
) -> dict[Shape, list[Seen]]:
    """The shapes of some items' keys, each with its items.

    Args:
        sample: The items.
        key_types: The types of the key attributes: text is taken apart, a number or binary is one placeholder.
        not_telling: Names of attributes that say nothing of the item's kind: those of keys and indexes.
    """
    families: dict[tuple[object, ...], list[_Row]] = defaultdict(list)
    for seen in sample:
        row = _row(seen, key_types)
        families[tuple(_general(token) for token in row.tokens), row.boundary].append(row)
    found: dict[Shape, list[Seen]] = defaultdict(list)
    few = int(min(_few_names, 0.05 * len(sample)))
    for rows in families.values():
        for partition, sort, group in _split(rows, 0, ((), ()), not_telling, few=few):
            has_sort = group[0].seen.key[1] is not None
            found[Shape(_merged(partition), _merged(sort) if has_sort else None)] += [row.seen for row in group]
    return _widened(dict(found), not_telling)


def _row(seen: Seen, key_types: Sequence[str]) -> _Row:
    partition, sort = seen.key
    first = _tokens(partition, key_types[0])
    second = () if sort is None else _tokens(sort, key_types[1])
    return _Row(seen, first + second, len(first))


def _tokens(text: str, key_type: str) -> tuple[Token, ...]:
    if key_type != "S":
        return (Token("typed", form="text"),)
    return tokens_of(text)[0]


def _general(token: Token) -> object:
    match token.kind:
        case "separator" | "typed":
            return token
        case "word" | "tail":
            return "word"


def _split(
    rows: list[_Row], place: int, parts: tuple[Parts, Parts], not_telling: Collection[str], *, few: int
) -> Iterator[tuple[Parts, Parts, list[_Row]]]:
    """Decide the places from `place` on, left to right; each decision splits the rows.

    So `few` items, each under a word of its own, are single items, and the words their names.
    """
    if place == len(rows[0].tokens):
        yield *parts, rows
        return
    token = rows[0].tokens[place]
    decided: Iterable[tuple[Parts, list[_Row]]]
    match token.kind:
        case "separator":
            decided = [((Part(token.text),), rows)]
        case "typed":
            decided = [((Part(form=token.form),), rows)]
        case _:
            decided = _decided(rows, place, not_telling, few=few)
    for more, group in decided:
        partition, sort = parts
        longer = (partition + more, sort) if place < rows[0].boundary else (partition, sort + more)
        yield from _split(group, place + 1, longer, not_telling, few=few)


def _decided(
    rows: list[_Row], place: int, not_telling: Collection[str], *, few: int
) -> Iterator[tuple[Parts, list[_Row]]]:
    by_name: dict[Token, list[_Row]] = defaultdict(list)
    for row in rows:
        by_name[row.tokens[place]].append(row)
    value = ((Part(form="text"),), rows)
    if (
        _is_behind_label(rows[0], place)
        or _is_numbered(rows, place)
        or len(by_name) > max(_most_names, 0.02 * len(rows))
    ):
        yield value
        return
    labels = _is_label(rows[0], place)
    profiles = {name: Profile.of((row.seen.item for row in group), not_telling) for name, group in by_name.items()}
    only_words = len(rows[0].tokens) == 1 + (rows[0].seen.key[1] is not None)
    for names in _kinds(profiles, at_least=3 if labels else 2):
        group = [row for name in names for row in by_name[name]]
        if only_words and len(group) == len(names) <= few:
            yield from (((Part(name.text), *_tail_of(name)), by_name[name]) for name in names)
        elif len(names) > 1 or (len(by_name) > _few_names and not labels and len(group) == 1):
            yield (Part(form="text"),), group
        else:
            (name,) = names
            yield (Part(name.text), *_tail_of(name)), group


def _tail_of(name: Token) -> Parts:
    return (Part(form=name.form),) if name.kind == "tail" else ()


def _kinds(profiles: dict[Token, Profile], at_least: int) -> Iterator[list[Token]]:
    """Names whose items are of one kind together, if there are as many as `at_least`; all others alone."""
    clusters: list[list[Token]] = []
    for name, profile in profiles.items():
        for cluster in clusters:
            first = profiles[cluster[0]]
            if likeness(first, profile) >= 0.8 and len(profile.names) >= 2 and not contradict(first, profile):
                cluster.append(name)
                break
        else:
            clusters.append([name])
    for cluster in clusters:
        tails = any(name.kind == "tail" for name in cluster)
        if len(cluster) >= (max(at_least, 3) if tails else at_least):
            yield cluster
        else:
            yield from ([name] for name in cluster)


def _is_label(row: _Row, place: int) -> bool:
    """Whether a separator and a segment follow in the same key: ``case`` in ``case|103-20``."""
    end = row.boundary if place < row.boundary else len(row.tokens)
    return place + 2 < end and row.tokens[place + 1].kind == "separator"


def _is_behind_label(row: _Row, place: int) -> bool:
    """Whether this is the value of a label, and the last segment: ``petitions`` in ``section|petitions``."""
    start, end = (0, row.boundary) if place < row.boundary else (row.boundary, len(row.tokens))
    return place == end - 1 and place - 2 >= start and row.tokens[place - 2].kind == "word"


def _is_numbered(rows: list[_Row], place: int) -> bool:
    """Whether this is a part of a key that says a word and a number, as th-0001 in ``16#th-0001``: one value."""
    start, end = (0, rows[0].boundary) if place < rows[0].boundary else (rows[0].boundary, len(rows[0].tokens))
    tokens = {row.tokens[place] for row in rows}
    return end - start > 1 and all(token.kind == "tail" and token.form in {"integer", "digits"} for token in tokens)


def _merged(parts: Parts) -> Parts:
    """Neighbouring fixed texts in one, and text placeholders that touch a neighbour in one."""
    merged: list[Part] = []
    for part in parts:
        if merged and part.form is None and merged[-1].form is None:
            merged[-1] = Part(merged[-1].text + part.text)
        else:
            merged.append(part)
    return tuple(merged)


def _widened(found: dict[Shape, list[Seen]], not_telling: Collection[str]) -> dict[Shape, list[Seen]]:
    """Join shapes that differ in the forms of their placeholders only, where their items are of one kind."""
    families: dict[tuple[object, ...], list[Shape]] = defaultdict(list)
    for shape in sorted(found, key=lambda one: (-len(found[one]), repr(one))):
        families[_fixed(shape.partition), None if shape.sort is None else _fixed(shape.sort)].append(shape)
    widened: dict[Shape, list[Seen]] = {}
    for family in families.values():
        groups: list[tuple[Shape, list[Seen]]] = []
        for shape in family:
            profile = Profile.of((seen.item for seen in found[shape]), not_telling)
            for place, (wide, items) in enumerate(groups):
                other = Profile.of((seen.item for seen in items), not_telling)
                figures = _figures(wide) and _figures(shape)
                wider = _wider(wide, shape)
                if (
                    likeness(profile, other) >= ALIKE
                    or wider in {wide, shape}
                    or (figures and not contradict(profile, other))
                ):
                    if not _is_odd(found[shape], items):
                        groups[place] = (wider, items + found[shape])
                    break
            else:
                groups.append((shape, found[shape]))
        widened.update(groups)
    return widened


def _is_odd(items: Sequence[Seen], of: Sequence[Seen]) -> bool:
    """Whether so few items have keys of another form that the many should not lose theirs to them."""
    return len(of) >= _many and len(items) <= 0.005 * len(of)


def _fixed(parts: Parts) -> tuple[str | None, ...]:
    return tuple(None if part.form else part.text for part in parts)


def _figures(shape: Shape) -> bool:
    forms = {part.form for part in shape.partition + (shape.sort or ()) if part.form}
    return forms <= {"integer", "digits"}


def _wider(one: Shape, other: Shape) -> Shape:
    sort = None if one.sort is None or other.sort is None else _wider_parts(one.sort, other.sort)
    return Shape(_wider_parts(one.partition, other.partition), sort)


def _wider_parts(one: Parts, other: Parts) -> Parts:
    return tuple(
        part if part == same else Part(form="digits" if {part.form, same.form} == {"integer", "digits"} else "text")
        for part, same in zip(one, other, strict=True)
    )
