"""What the items of one group hold, attribute by attribute: counted column-wise, mergeable, in bounded memory.

The same items, in any order and any portions, merged or not, give the same census.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import msgspec

from ashore.assess.batches import Batch
from ashore.assess.forms import Form
from ashore.assess.key_tuples import Field, Fields
from ashore.assess.sketch import Sketch, hash_of
from ashore.assess.value_sets import ValueSet
from ashore.mapping.wire import holds_nul, is_number
from ashore.model.attribute import TypedValue
from ashore.model.item import Item

DEEPEST: Final = 3
MOST_ATTRIBUTES: Final = 2_000
MOST_EXEMPLARS: Final = 400
EXEMPLAR_BYTES: Final = 1_000_000
MOST_VALUES: Final = 32

Raw = bytes

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.decode
_contents: Final[Mapping[str, type]] = {
    "S": str,
    "N": str,
    "B": str,
    "M": dict,
    "L": list,
    "SS": list,
    "NS": list,
    "BS": list,
}


@dataclass(slots=True)
class NumberCensus:
    """Numbers: their range, the most significant digits, the most digits after the point."""

    whole: bool = True
    least: Decimal = field(default_factory=lambda: Decimal("Infinity"))
    greatest: Decimal = field(default_factory=lambda: Decimal("-Infinity"))
    digits: int = 0
    scale: int = 0

    def add(self, texts: Collection[str]) -> None:
        """Count the texts of numbers; it is nothing to them how often one is there."""
        plain = [text for text in texts if text.isdigit() and text.isascii() and len(text) < 18]
        if plain:
            whole = list(map(int, plain))
            self._widen(Decimal(min(whole)), Decimal(max(whole)))
            self.digits = max(self.digits, *(len(text.strip("0") or "0") for text in plain))
        if len(plain) < len(texts):
            for text in set(texts).difference(plain):
                if is_number(text):
                    self._add_one(Decimal(text))

    def _add_one(self, number: Decimal) -> None:
        self._widen(number, number)
        _, digits, exponent = number.as_tuple()
        text = "".join(map(str, digits)).lstrip("0")
        significant = text.rstrip("0")
        places = max(0, -(int(exponent) + len(text) - len(significant))) if significant else 0
        self.digits = max(self.digits, len(significant) or 1)
        self.scale = max(self.scale, places)
        self.whole &= not places

    def _widen(self, least: Decimal, greatest: Decimal) -> None:
        self.least, self.greatest = min(self.least, least), max(self.greatest, greatest)

    def merge(self, other: NumberCensus) -> None:
        """Add another count."""
        self.whole &= other.whole
        self._widen(other.least, other.greatest)
        self.digits, self.scale = max(self.digits, other.digits), max(self.scale, other.scale)


@dataclass(slots=True)
class ListCensus:
    """Lists: how many, with how many elements, of which types."""

    lists: int = 0
    elements: int = 0
    longest: int = 0
    element_kinds: Counter[str] = field(default_factory=Counter)

    def merge(self, other: ListCensus) -> None:
        """Add another count."""
        self.lists += other.lists
        self.elements += other.elements
        self.longest = max(self.longest, other.longest)
        self.element_kinds.update(other.element_kinds)


@dataclass(slots=True)
class AttributeCensus:
    """The values of one attribute. Counts are of values; `shortest` and `longest` are characters of texts.

    `nul` counts values with U+0000 anywhere in them, `json` texts that are a JSON object or array. `values` has the
    scalar values with their counts while there are few, and is None after that.
    """

    level: int = 0
    present: int = 0
    bytes: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    forms: Counter[Form] = field(default_factory=Counter)
    shortest: int = 1 << 30
    longest: int = 0
    nul: int = 0
    json: int = 0
    numbers: NumberCensus | None = None
    lists: ListCensus | None = None
    members: Census | None = None
    sketch: Sketch = field(default_factory=Sketch)

    @property
    def values(self) -> Counter[str] | None:
        """The distinct scalar values with how often each was seen, if there are at most `MOST_VALUES`."""
        return self.sketch.kept if self.sketch.complete and len(self.sketch.kept) <= MOST_VALUES else None

    def add(self, values: Sequence[TypedValue], *, has_nul: bool = True) -> None:
        """Count some values. Content that is not of its type, which DynamoDB never gives, is not looked at."""
        self.present += len(values)
        first = next(iter(values[0]), "")
        alike = _column(first, values)
        if alike is not None and sum(map(len, values)) == len(values):
            self.kinds[first] += len(values)
            self._add(first, alike, has_nul=has_nul)
            return
        self.kinds.update(chain.from_iterable(values))
        by_kind: dict[str, list[Any]] = defaultdict(list)
        for value in values:
            for kind, content in value.items():
                by_kind[kind].append(content)
        for kind, contents in by_kind.items():
            self._add(kind, contents, has_nul=has_nul)

    def add_texts(self, texts: Sequence[str]) -> None:
        """Count texts, as of a key's placeholder."""
        self.present += len(texts)
        self.kinds["S"] += len(texts)
        self._add("S", texts, has_nul=True)

    def _add(self, kind: str, contents: Sequence[Any], *, has_nul: bool) -> None:
        expected = _contents.get(kind, bool)
        if set(map(type, contents)) != {expected}:
            contents = [content for content in contents if type(content) is expected]
            if not contents:
                return
        match kind:
            case "S" | "N" | "B":
                self._add_scalars(kind, Batch.of(contents, distinct=self.sketch.complete), has_nul=has_nul)
            case "M" | "L":
                self._add_nested(kind, contents, has_nul=has_nul)
            case "SS" | "NS" | "BS":
                self.bytes += sum(len(member) for content in contents for member in content)
                self.nul += sum(map(holds_nul, contents)) if has_nul else 0
            case _:
                self.bytes += len(contents)

    def _add_scalars(self, kind: str, batch: Batch, *, has_nul: bool) -> None:
        self.bytes += batch.characters
        self.sketch.add(batch)
        if kind == "N":
            self.numbers = self.numbers or NumberCensus()
            self.numbers.add(batch.texts)
        if kind != "S":
            return
        self.shortest, self.longest = min(self.shortest, *batch.lengths), max(self.longest, *batch.lengths)
        self.forms.update(batch.forms())
        self.nul += batch.with_nul() if has_nul else 0
        self.json += batch.with_json()

    def _add_nested(self, kind: str, contents: Sequence[Any], *, has_nul: bool) -> None:
        sizes = [len(_encode(content)) for content in contents]
        self.bytes += sum(sizes)
        if has_nul:
            self.nul += sum(map(holds_nul, contents))
        if kind == "L":
            self.lists = self.lists or ListCensus()
            lengths = list(map(len, contents))
            elements = [element for element in chain.from_iterable(contents) if type(element) is dict]
            self.lists.merge(
                ListCensus(len(contents), len(elements), max(lengths), Counter(chain.from_iterable(elements)))
            )
            contents = [element["M"] for element in elements if type(element.get("M")) is dict]
            sizes = [0] * len(contents)
        if contents and self.level < DEEPEST:
            self.members = self.members or Census(level=self.level + 1)
            if set(map(type, chain.from_iterable(content.values() for content in contents))) - {dict}:
                contents = [content for content in contents if _holds_values(content)]
            self.members.add(contents, sizes[: len(contents)], {}, has_nul=has_nul)

    def merge(self, other: AttributeCensus) -> None:
        """Add another census of the same attribute."""
        self.present += other.present
        self.bytes += other.bytes
        self.kinds.update(other.kinds)
        self.forms.update(other.forms)
        self.shortest, self.longest = min(self.shortest, other.shortest), max(self.longest, other.longest)
        self.nul += other.nul
        self.json += other.json
        self.sketch.merge(other.sketch)
        if other.numbers is not None:
            self.numbers = self.numbers or NumberCensus()
            self.numbers.merge(other.numbers)
        if other.lists is not None:
            self.lists = self.lists or ListCensus()
            self.lists.merge(other.lists)
        if other.members is not None:
            self.members = self.members or Census(level=other.members.level)
            self.members.merge(other.members)


@dataclass(slots=True)
class Census:
    """Items of one group. `bytes` and `largest` are those of raw JSON.

    Attribute names beyond `MOST_ATTRIBUTES` are dropped, and `dropped` counts their values: hostile items cannot make
    a census grow without end. `level` counts how deep in other items these are. `tuples` are those that were asked for.
    `every` has, for fields of which all values are wanted, what takes them.
    """

    level: int = 0
    items: int = 0
    bytes: int = 0
    largest: int = 0
    dropped: int = 0
    attributes: dict[str, AttributeCensus] = field(default_factory=dict)
    placeholders: dict[str, AttributeCensus] = field(default_factory=dict)
    tuples: dict[Fields, Sketch] = field(default_factory=dict)
    every: Mapping[Fields, ValueSet] = field(default_factory=dict)
    _lowest: list[tuple[int, Raw]] = field(default_factory=list)

    def add(
        self, items: Sequence[Item], sizes: Sequence[int], keys: Mapping[str, Sequence[str]], *, has_nul: bool = True
    ) -> None:
        """Count some items.

        Args:
            items: Parsed items.
            sizes: The bytes of each one's JSON.
            keys: For each placeholder of the key, what it took of each item.
            has_nul: Whether U+0000 may be in them; only then is it looked for.
        """
        if not items:
            return
        self.items += len(items)
        self.bytes += sum(sizes)
        self.largest = max(self.largest, *sizes) if len(sizes) > 1 else max(self.largest, sizes[0])
        for name in sorted(set(chain.from_iterable(items))):
            values = _column(name, items)
            if values is None:
                values = [item[name] for item in items if name in item]
            one = self.attributes.get(name)
            if one is None:
                if len(self.attributes) >= MOST_ATTRIBUTES:
                    self.dropped += len(values)
                    continue
                one = self.attributes[name] = self._attribute(Field(name, in_key=False))
            one.add(values, has_nul=has_nul)
        for name, texts in keys.items():
            if name not in self.placeholders:
                self.placeholders[name] = self._attribute(Field(name, in_key=True))
            self.placeholders[name].add_texts(texts)
        if keys:
            self._keep(items, keys)

    def _attribute(self, of: Field) -> AttributeCensus:
        return AttributeCensus(level=self.level, sketch=Sketch(every=self.every.get((of,))))

    def add_tuples(self, fields: Fields, texts: Sequence[str]) -> None:
        """Count tuples of some items, as `joined_texts` gives them."""
        sketch = self.tuples.setdefault(fields, Sketch(every=self.every.get(fields)))
        if texts:
            sketch.add(Batch.of(texts, distinct=sketch.complete))

    def _keep(self, items: Sequence[Item], keys: Mapping[str, Sequence[str]]) -> None:
        """Keep the items whose keys have the lowest hashes."""
        hashes = [hash_of("\0".join(texts)) for texts in zip(*keys.values(), strict=True)]
        full = len(self._lowest) >= MOST_EXEMPLARS
        limit = self._lowest[-1][0] if full else 1 << 32
        for place, at in enumerate(hashes):
            if at <= limit:
                self._lowest.append((at, _encode(items[place])))
        self._cut()

    def _cut(self) -> None:
        self._lowest = heapq.nsmallest(MOST_EXEMPLARS, self._lowest)

    def exemplars(self) -> list[Item]:
        """Whole items: those whose keys have the lowest hashes, at most `EXEMPLAR_BYTES` of them."""
        found: list[Item] = []
        room = EXEMPLAR_BYTES
        for _, raw in self._lowest:
            room -= len(raw)
            if room < 0 and found:
                break
            found.append(_decode(raw))
        return found

    def merge(self, other: Census) -> None:
        """Add another census of the same group."""
        self.items += other.items
        self.bytes += other.bytes
        self.largest = max(self.largest, other.largest)
        self.dropped += other.dropped
        for name, one in other.attributes.items():
            if name not in self.attributes and len(self.attributes) >= MOST_ATTRIBUTES:
                self.dropped += one.present
                continue
            self.attributes.setdefault(name, AttributeCensus(level=self.level)).merge(one)
        for name, one in other.placeholders.items():
            self.placeholders.setdefault(name, AttributeCensus(level=self.level)).merge(one)
        for fields, sketch in other.tuples.items():
            self.tuples.setdefault(fields, Sketch()).merge(sketch)
        self._lowest += other._lowest
        self._cut()


def _holds_values(content: Mapping[str, Any]) -> bool:
    return all(type(value) is dict for value in content.values())


def _column(name: str, rows: Sequence[Mapping[str, Any]]) -> list[Any] | None:
    """What every row has under a name; None where one has nothing there."""
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return None
