"""Whatever is given to the native library, it takes nothing that the general path would not write as the same rows.

`make fuzz CASES=10000000 SEED=7` runs as many cases as one likes; every run prints its seed.
"""

from __future__ import annotations

import os
import random
from array import array
from collections import Counter
from itertools import islice
from typing import Final

import pytest
from tests.mapping_values import raw
from tests.native_rows import contents, general_only, native_encoder
from tests.unit.test_native_encoder import PLAIN, every_type

from ashore.bench.interleaved import court_profile_items
from ashore.local.court.declaration import court
from ashore.mapping.native_library import NativeTranscoder, find_library, plain_lines
from ashore.mapping.native_plan import native_plan
from ashore.mapping.plan import Plan
from ashore.model.packed import Pack, PackedItems

pytestmark = pytest.mark.needs_native

CASES: Final = int(os.environ.get("ASHORE_FUZZ_CASES", "4000"))
SEED: Final = int(os.environ.get("ASHORE_FUZZ_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
A_BATCH: Final = 500
"""Items in one call."""

PIECES: Final = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"\0", b"\x1f", b"\x7f", b"-", b"0", b"9", b"."),
    b"e",
    *(b"\xc3", b"\xa9", b"\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", "é🂡".encode(), b"\xef\xbf\xbf"),
    *(b"\\u0000", b"\\ud800", b"\\udc00", b"\\ud83c\\udca1", b"\\u00e9", b"\\n", b"\\/", b"\\x", b"\\u12"),
    b"\\\\u0000",
    *(b'{"S":"a"}', b'{"N":"1"}', b'{"NULL":true}', b'{"NULL":false}', b'{"L":[]}', b'{"M":{}}', b'{"BOOL":true}'),
    *(b'{"SS":["b","a","b"]}', b'{"NS":["1","1.0"]}', b'{"BS":["AA==","AB=="]}', b'{"B":"AAA="}', b'{"S":"a","N":"1"}'),
    *(b"9" * 39, b"1E400", b"-0", b"1e-130", b"0" * 20, b"9223372036854775808", b"." * 5, b"-", b"1" * 300),
    *(b'{"L":[' * 40 + b"]}" * 40, b'{"M":{"a":' * 70, b'{"L":[{"N":"1"}' + b',{"S":""}' * 50 + b"]}"),
    *(b'"pk":{"S":"case|1"},', b'"sk":{"S":"case|1"},', b'"name":{"S":"twice"},', b'"x":{"M":{"a":{"SS":["b"]}}},'),
    *(b"2020-02-30", b"0000-01-01T00:00:00.000Z", b"9999-12-31T23:59:59.999-23:59", b"24:00", b"+05:30", b"Z"),
)  # fmt: skip


def mutated(chance: random.Random, items: list[bytes]) -> bytes:
    """An item with a few things wrong with it, or with none."""
    item = chance.choice(items)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 8))):
        at, length = chance.randrange(len(item) + 1), chance.choice((1, 1, 2, 5, 20, 200))
        match chance.randrange(8):
            case 0:
                item = item[:at] + bytes([chance.randrange(256)]) + item[at + 1 :]
            case 1:
                item = item[:at] + item[at + length :]
            case 2:
                item = item[:at] + item[at : at + length] * 2 + item[at + length :]
            case 3:
                item = item[:at]
            case 4:
                other = chance.choice(items)
                place = chance.randrange(len(other))
                item = item[:at] + other[place : place + length] + item[at:]
            case 5:
                item = _with_another_value(chance, item)
            case 6:
                item = _with_a_member(chance, item)
            case _:
                item = item[:at] + chance.choice(PIECES) + item[at:]
        if not item:
            return b""
    return item


def _with_another_value(chance: random.Random, item: bytes) -> bytes:
    """A value's text exchanged for a piece: the mutation that leaves most items whole."""
    quotes = [place for place, byte in enumerate(item) if byte == ord('"')]
    if len(quotes) < 6:
        return item
    start = chance.randrange(len(quotes) - 1)
    return item[: quotes[start] + 1] + chance.choice(PIECES) + item[quotes[start + 1] :]


def _with_a_member(chance: random.Random, item: bytes) -> bytes:
    name = chance.choice((b"x", b"y", b"a/b", b"name", b"judge", b"parts", b"extra", "é".encode()))
    return item[:-1] + b',"' + name + b'":' + chance.choice(PIECES) + b"}"


def plans() -> list[tuple[Plan, list[bytes]]]:
    return [(every_type(), [raw(PLAIN)]), (court.compile(), list(islice(court_profile_items(2_000, 1), 2_000)))]


def test_mutated_items_become_the_rows_of_the_general_path_or_none() -> None:
    print(f"seed {SEED}, {CASES} cases")  # noqa: T201 (pytest shows it where the test fails)
    chance = random.Random(SEED)
    taken = cases = 0
    refusals: Counter[str] = Counter()
    for plan, items in plans():
        tables = {table.fullname: table for entity in plan.entities.values() for table in entity.tables}
        native, general = native_encoder(plan), general_only(plan)
        assert native.transcoder is not None
        for _ in range(0, CASES // 2, A_BATCH):
            batch = [mutated(chance, items) for _ in range(A_BATCH)]
            chunk = native.transcoder.encode(batch, wants_shapes=True)
            assert chunk is not None
            refusals.update(chunk.by_refusal)
            refused = set(chunk.refused)
            assert len(refused) == sum(chunk.by_refusal.values()) == len(batch) - sum(chunk.by_slot)
            assert refused == {place for place, shape in enumerate(chunk.shapes) if not shape}
            kept = [item for place, item in enumerate(batch) if place not in refused]
            actual, expected = native.encode(kept), general.encode(kept)
            assert {} == actual.refused
            assert expected.counts == actual.counts
            assert contents(tables, general, expected) == contents(tables, native, actual)
            longest = 8 * sum(map(len, kept)) + len(kept) * (64 << 10)
            assert all(len(rows.data) <= longest for rows in actual.binary.values())
            taken += len(kept)
            cases += len(batch)
    print(f"{cases} cases, {taken} taken, refused: {dict(refusals)}")  # noqa: T201 (`make fuzz` shows it)
    assert cases / 50 < taken < cases
    assert 0 == refusals["fault"]
    assert len(refusals) > 8


def content_of(plan: Plan) -> tuple[bytes, int]:
    """The bytes of a plan, and how many tables it has."""
    written = native_plan(plan, general_only(plan).row_slots(), {})
    assert written.content is not None
    return written.content, len(written.tables)


def test_a_broken_plan_is_not_read_or_does_no_harm() -> None:
    library = find_library().library
    assert library is not None
    content, tables = content_of(every_type())
    chance = random.Random(SEED)
    print(f"seed {SEED}")  # noqa: T201 (pytest shows it where the test fails)
    read = 0
    broken = [content[:length] for length in range(0, len(content), 7)] + [content + b"\0"]
    for _ in range(1_000):
        at = chance.randrange(8, len(content))
        broken.append(content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :])

    for plan in broken:
        try:
            transcoder = NativeTranscoder(library, plan, tables=tables)
        except ValueError:
            continue
        read += 1
        transcoder.encode([raw(PLAIN)] * 3, wants_shapes=True)

    assert 0 < read < len(broken)


def test_places_outside_of_a_chunk_are_refused_as_a_whole() -> None:
    library = find_library().library
    assert library is not None
    content, tables = content_of(every_type())
    transcoder = NativeTranscoder(library, content, tables=tables)
    item = raw(PLAIN)

    def encode(starts: list[int], ends: list[int], data: bytes = item) -> object:
        return transcoder.encode(PackedItems([Pack(data, array("I", starts), array("I", ends))]), wants_shapes=False)

    assert encode([0], [len(item)]) is not None
    assert encode([0], [len(item) + 1]) is None
    assert encode([1], [0]) is None
    assert encode([0, 0xFFFF_FFFF], [1, 0xFFFF_FFFF]) is None
    assert encode([0], [0xFFFF_FFFF]) is None
    after = encode([0], [len(item)])
    assert after is not None


def test_chunks_of_nothing_and_items_of_nothing() -> None:
    encoder = native_encoder(every_type())

    assert {} == encoder.encode([]).counts
    assert {(None, "rejected"): 2} == encoder.encode([b"", b""]).counts


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b'{"Item":{"pk":{"S":"a"},"sk":{"S":"b"}}}\n', [b'{"pk":{"S":"a"},"sk":{"S":"b"}}']),
        (b'{"Item":{}}\n{"Item":{}}\n' + b'{"Item":{"x":{"S":"long enough for all of them to fit"}}}\n', 3),
        (b'{"Item":{}}', None),
        (b'{"Item" :{}}\n', None),
        (b'{"Item":{}\n', None),
        (b'\n{"Item":{}}\n', None),
        (b'{"Item":{}}\n' * 10, None),
    ],
)
def test_only_plain_lines_are_cut_in_place(lines: bytes, expected: object) -> None:
    pack = plain_lines(lines, 0, len(lines))

    assert expected == (pack if pack is None else len(pack) if isinstance(expected, int) else list(pack))
