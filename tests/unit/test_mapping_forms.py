"""A placeholder that says what it takes: what matches, what overlaps, and which path it takes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from ashore.errors import DeclarationError
from ashore.mapping.declare import Entity, Source, remainder
from ashore.mapping.encoder import GeneratedEncoder
from ashore.mapping.forms import forms
from ashore.mapping.pattern import Glob, Pattern, common_text

FORMS = {name: re.compile(form.expression) for name, form in forms.items()}
SAMPLES = {
    "uuid": ["3f2504e0-4f89-41d3-9a0c-0305e82c3301", "00000000-0000-0000-0000-000000000000"],
    "ulid": ["01ARZ3NDEKTSV4RRFFQ69G5FAV"],
    "integer": ["0", "7", "-12", "9" * 18],
    "digits": ["0", "007", "12"],
    "date": ["2020-06-05", "2020-13-45"],
    "timestamp": ["2020-06-05T18:02:25.280Z", "2020-06-05T18:02:25+02:00", "2020-06-05 18:02+02", "2020-06-05T18:02z"],
    "local": ["2020-06-05T18:02:25.280", "2020-06-05T18:02:25", "2020-06-05T18:02"],
}
CHOICES = ["=a", "=a,ab", "=b-b,b", "=0,2020-06-05"]
FORM = st.sampled_from(["", "", *(f":{name}" for name in FORMS), *CHOICES])
SEPARATOR = st.sampled_from(["-", "#", "b", "a-", ":", "."])


@st.composite
def pattern_texts(draw: st.DrawFn) -> tuple[str, str]:
    """A pattern, and a text that was made for it."""
    ends = st.sampled_from(["", "", "a", "-", "x|"])
    pattern = text = draw(ends)
    for place in range(draw(st.integers(1, 3))):
        if place:
            literal = draw(SEPARATOR)
            pattern, text = pattern + literal, text + literal
        form = draw(FORM)
        pattern += f"{{c{place}{form}}}"
        texts = SAMPLES[form[1:]] if form.startswith(":") else form[1:].split(",")
        text += draw(st.sampled_from(texts)) if form else draw(st.text("ab-#0:\n", min_size=1, max_size=5))
    last = draw(ends)
    return pattern + last, text + last


def readable(made: tuple[str, str]) -> bool:
    try:
        Pattern.parse(made[0])
    except ValueError:
        return False
    return True


PATTERN_TEXTS = pattern_texts().filter(readable)
PATTERNS = PATTERN_TEXTS.map(lambda made: Pattern.parse(made[0]))


def takes(form: str, text: str) -> bool:
    match form[:1]:
        case ":":
            return FORMS[form[1:]].fullmatch(text) is not None
        case "=":
            return text in form[1:].split(",")
        case _:
            return text != ""


def splits(parts: tuple[str, ...], forms: tuple[str, ...], text: str) -> Iterator[tuple[str, ...]]:
    """Every way to split the text; placeholders from the left, bare ones shortest first, others longest first."""
    before, *rest = parts
    if not text.startswith(before):
        return
    text = text[len(before) :]
    if not rest:
        if not text:
            yield ()
        return
    form, *more = forms
    lengths = range(1, len(text) + 1)
    for length in reversed(lengths) if form else lengths:
        if takes(form, text[:length]):
            for others in splits(tuple(rest), tuple(more), text[length:]):
                yield (text[:length], *others)


@given(PATTERN_TEXTS)
def test_a_pattern_takes_the_first_of_all_ways_to_split_a_text(made: tuple[str, str]) -> None:
    pattern, text = Pattern.parse(made[0]), made[1]
    held = pattern.held or ("",) * len(pattern.columns)
    expected = next(splits(pattern.parts[::2], held, text), None)
    taken = pattern.match(text)
    assert (None if expected is None else dict(zip(pattern.columns, expected, strict=True))) == taken
    if taken is not None:
        assert text == pattern.render(taken)


@given(PATTERNS, PATTERN_TEXTS, st.booleans())
def test_a_text_of_two_patterns_is_never_missed(one: Pattern, made: tuple[str, str], glob: bool) -> None:
    other: Pattern | Glob = Glob(made[0].partition("{")[0] + "*") if glob else Pattern.parse(made[0])
    matches = other.matches if isinstance(other, Glob) else other.match
    found = common_text(one, other)
    if one.match(made[1]) is not None and matches(made[1]):
        assert found is not None
    if found is not None:
        assert one.match(found) is not None
        assert matches(found)


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_a_form_has_a_text_in_common_with_each_of_its_texts_and_no_other(form: str, data: st.DataObject) -> None:
    whole = Pattern.parse(f"{{x:{form}}}")
    text = data.draw(
        st.one_of(
            st.from_regex(FORMS[form], fullmatch=True),
            st.sampled_from([one for all_ in SAMPLES.values() for one in all_]),
        )
    )
    literal = Pattern.parse(text)
    assert (whole.match(text) is not None) == (common_text(whole, literal) == text)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("{id:uuid}", "profile", False),
        ("{n:integer}", "{d:date}", False),
        ("{t:timestamp}", "{d:date}", False),
        ("{t:timestamp}", "{l:local}", False),
        ("{t:timestamp}", "{l:local}-{n:digits}", True),
        ("{n:integer}", "{d:digits}", True),
        ("{id:uuid}", "{u:ulid}", False),
        ("{n=a,b}", "{m=c,d}", False),
        ("{n=a,b}", "{m=b,c}", True),
        ("{n=a,b}", "{m}", True),
    ],
)
def test_forms_overlap_only_where_a_text_is_of_both(one: str, other: str, overlap: bool) -> None:
    assert overlap == (common_text(Pattern.parse(one), Pattern.parse(other)) is not None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{id:guid}", "there is no form 'guid'"),
        ("{id:}", "there is no form ''"),
        ("{id=}", "with commas between them"),
        ("{id=a,,b}", "with commas between them"),
        ("{id=a{b}", "in braces"),
        ("{a:uuid}{b:uuid}", "touch"),
        ("{a:digits}0{b}", "touch a figure"),
        ("{a}#0{b:digits}", "touch a figure"),
        ("{a}#{b:uuid}#{c}", "at most one can be without"),
        ("{a:uuid}|{a:date}", "held to the same"),
    ],
)
def test_a_form_that_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Pattern.parse(text)


def test_a_timestamp_is_not_cut_at_its_own_dashes() -> None:
    taken = Pattern.parse("{at:timestamp}-{id}").match("2020-06-05T18:02:25+02-17-a")
    assert {"at": "2020-06-05T18:02:25+02", "id": "17-a"} == taken


def test_a_placeholder_that_stands_twice_in_one_pattern_takes_its_form() -> None:
    pattern = Pattern.parse("{n:integer}|{n:integer}")
    assert {"n": "7"} == pattern.match("7|7")
    assert pattern.match("7|8") is None
    assert pattern.match("a|a") is None


@pytest.mark.parametrize(
    "text", ["{a}-{b:digits}#{c:integer}#{d:digits}|z", "{t}-{u=-,--,---}-{b:local}|z", "{a:digits}#{b}0#|z"]
)
@pytest.mark.parametrize("key", ["-", "0", "-0", "--", "0#", "-0#", "2020-06-05T18:02-"])
def test_a_hostile_key_costs_a_form_no_more_than_another(text: str, key: str) -> None:
    pattern = Pattern.parse(text)
    started = time.process_time()
    assert pattern.match(key * (20_000 // len(key))) is None
    assert 0.5 > time.process_time() - started


def tables_without_prefixes() -> Source:
    source = Source("s", sort_key=None)
    metadata = sa.MetaData()
    kinds = {"{id:uuid}": sa.Uuid, "{id:integer}": sa.Integer, "{id=mode,limit}": None, "{id:date}": sa.Date}
    for place, (key, kind) in enumerate(kinds.items()):
        column = sa.Column("id", sa.Text(collation="C") if kind is None else kind, primary_key=True)
        Entity(sa.Table(f"t{place}", metadata, column, *remainder()), source.key(key))
    return source


def test_tables_without_prefixes_are_told_apart_on_the_fast_path() -> None:
    texts = ["3f2504e0-4f89-41d3-9a0c-0305e82c3301", "12", "limit", "2020-06-05", "other", "012", "2020-13-45"]
    encoder = tables_without_prefixes().compile().encoder()
    assert isinstance(encoder, GeneratedEncoder)
    raws = [f'{{"pk":{{"S":"{text}"}}}}'.encode() for text in texts]
    routes = [encoder._route(encoder._peek(raw)) for raw in raws]
    assert [0, 1, 2, 3, -1, -1, 3] == routes
    batch = encoder.encode(raws)
    expected = {(f"t{place}", "rows"): 1 for place in range(4)} | {(None, "rejected"): 2, ("t3", "rejected"): 1}
    assert expected == batch.counts
    for raw, route in zip(raws[:4], routes, strict=False):
        path = encoder._slots[route].path
        assert path is not None
        assert path.plain(path.decode(raw)) is not None


def test_a_derived_attribute_names_columns_only() -> None:
    source = Source("s", sort_key=None)
    table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Uuid, primary_key=True), *remainder())
    Entity(table, source.key("{id:uuid}"), derived={"d": "{id:uuid}"})
    with pytest.raises(DeclarationError) as error:
        source.compile()
    assert "derived 'd' holds a placeholder to a form" in str(error.value)


def test_the_fast_path_of_a_single_entity_holds_keys_to_their_forms() -> None:
    source = Source("s", sort_key=None)
    Entity(
        sa.Table("t", sa.MetaData(), sa.Column("id", sa.Text(collation="C"), primary_key=True), *remainder()),
        source.key("a|{id:digits}"),
    )
    batch = source.compile().encoder().encode([b'{"pk":{"S":"a|07"}}', b'{"pk":{"S":"a|x"}}'])
    assert {("t", "rows"): 1, (None, "rejected"): 1} == batch.counts
