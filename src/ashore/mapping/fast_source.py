"""Writes the source of a record's fast function: decoded item → COPY line, straight down, nothing looked up.

Two variants are written of each function. The plain one is for items whose JSON has no backslash: then no text in
it holds a control character, a quote or a backslash, and every text is its own COPY text. The other escapes.
A function returns None for whatever it does not handle; the general path takes those items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ashore.mapping.document import encode
from ashore.mapping.pattern import Pattern
from ashore.mapping.plan import ColumnPlan, DerivedPlan, EntityPlan, KeyColumn, RecordPlan
from ashore.mapping.pointer import token
from ashore.mapping.reasons import UnfitError
from ashore.mapping.types.base import COPY_NULL


@dataclass(slots=True)
class Source:
    """Lines of a function, and the values that its free names stand for."""

    escaped: bool
    lines: list[str] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)

    def add(self, *lines: str, depth: int = 1) -> None:
        """Append lines, indented by `depth` levels."""
        self.lines += ["    " * depth + line for line in lines]

    def bind(self, name: str, value: Any) -> str:
        """Let a free name stand for a value."""
        self.names[name] = value
        return name

    def json_text(self, value: Any) -> str:
        """A literal of a JSON text as COPY takes it."""
        return repr(encode(value).decode().replace("\\", "\\\\"))

    def keep(self, pointer: str, entry: str) -> str:
        """A statement that adds an entry, given as JSON text, to the residue."""
        key = encode(pointer).decode()
        return f"res += {(f',{key}:{entry}').replace(chr(92), chr(92) * 2)!r}"


def write_key(source: Source, entity: EntityPlan, generation: int) -> list[str]:
    """Take the key apart into variables k0, k1, …; returns them in the order of the entity's key columns."""
    form = entity.generations[generation]
    variables = {column.column: f"k{place}" for place, column in enumerate(entity.key)}
    seen: set[str] = set()
    source.add(f"p = item.p.{entity.partition_key.type}")
    _write_pattern(source, form.partition, "p", variables, seen)
    if form.sort is not None and entity.sort_key is not None:
        source.add(f"s = item.q.{entity.sort_key.type}")
        _write_pattern(source, form.sort, "s", variables, seen)
    length = "len(p) + len(s)" if form.sort is not None else "len(p)"
    source.add(f"if {length} > 600:", "    return None")
    for column in entity.key:
        _write_key_column(source, column, variables[column.column])
    if generation:
        _write_old_key(source, entity, variables)
    return list(variables.values())


def _write_pattern(source: Source, pattern: Pattern, text: str, variables: Mapping[str, str], seen: set[str]) -> None:
    if not pattern.columns:
        source.add(f"if {text} != {pattern.text!r}:", "    return None")
        return
    if len(set(pattern.columns)) < len(pattern.columns):
        match = source.bind(f"match_{text}", pattern.match)
        source.add(f"m = {match}({text})", "if m is None:", "    return None")
        taken = {name: f"m[{name!r}]" for name in pattern.columns}
    elif pattern.held:
        match = source.bind(f"match_{text}", pattern.compiled.fullmatch)
        source.add(f"m = {match}({text})", "if m is None:", "    return None")
        taken = {name: f"m[{place}]" for place, name in enumerate(pattern.columns, 1)}
    else:
        taken = _write_between(source, pattern, text)
    for name, expression in taken.items():
        variable = variables[name]
        if name in seen:
            source.add(f"if {expression} != {variable}:", "    return None")
        else:
            seen.add(name)
            source.add(f"{variable} = {expression}", f"if not {variable}:", "    return None")


def _write_between(source: Source, pattern: Pattern, text: str) -> dict[str, str]:
    """Find the literals as `Pattern.match` does; returns an expression for what each placeholder takes."""
    first, *middle, last = pattern.parts[::2]
    ends = [f"{text}[:{len(first)}] != {first!r}"] if first else []
    ends += [f"{text}[-{len(last)}:] != {last!r}"] if last else []
    if ends:
        source.add(f"if {' or '.join(ends)}:", "    return None")
    start, end = str(len(first)), f"len({text}) - {len(last)}"
    taken = {}
    for place, (name, literal) in enumerate(zip(pattern.columns, middle, strict=False)):
        at = f"{text}{place}"
        source.add(f"{at} = {text}.find({literal!r}, {start} + 1, {end})", f"if {at} < 0:", "    return None")
        taken[name] = f"{text}[{start}:{at}]"
        start = f"{at} + {len(literal)}"
    return {**taken, pattern.columns[-1]: f"{text}[{start}:{end}]" if last else f"{text}[{start}:]"}


def _write_key_column(source: Source, column: KeyColumn, variable: str) -> None:
    """`k` becomes COPY text; `r_k` keeps the text that templates render."""
    source.add(f"r_{variable} = {variable}")
    if column.type.fast is None and column.type.wire == "S":
        _write_text(source, variable, variable, column.type.longest)
    elif column.type.name in {"uuid", "date", "timestamptz", "timestamp"} and column.typed_as != "N":
        fast = source.bind(f"fast_{variable}", column.type.fast)
        source.add(f"{variable} = {fast}({variable})", f"if {variable} is None:", "    return None")
    else:
        copied = source.bind(f"copied_{variable}", _key_copier(column))
        source.add(f"{variable} = {copied}({variable})", f"if {variable} is None:", "    return None")


def _key_copier(column: KeyColumn) -> Callable[[str], str | None]:
    from ashore.mapping.rows import key_text, key_value  # noqa: PLC0415 (only to be bound)

    def copied(text: str) -> str | None:
        value = key_value(column, text)
        return column.type.copy(value) if key_text(column, value) == text else None

    return copied


def _write_old_key(source: Source, entity: EntityPlan, variables: Mapping[str, str]) -> None:
    current = entity.generations[0]
    keys = [(entity.partition_key, current.partition, "p")]
    if entity.sort_key is not None and current.sort is not None:
        keys.append((entity.sort_key, current.sort, "s"))
    for key, pattern, text in keys:
        rendered = _template(pattern, {name: f"r_{variable}" for name, variable in variables.items()})
        pair = f"[{{{key.type!r}: {text}}}, {{{key.type!r}: now}}]"
        source.add(f"now = {rendered}", f"if now != {text}:", f"    r[{token(key.name)!r}] = {pair}")


def _template(pattern: Pattern, variables: Mapping[str, str]) -> str:
    pieces = [
        "{" + variables[part] + "}" if place % 2 else part.replace("{", "{{").replace("}", "}}")
        for place, part in enumerate(pattern.parts)
    ]
    return "f" + repr("".join(pieces))


def _write_text(source: Source, target: str, text: str, longest: int | None, depth: int = 1) -> None:
    if longest is not None:
        source.add(f"if len({text}) > {longest}:", "    return None", depth=depth)
    if not source.escaped:
        if target != text:
            source.add(f"{target} = {text}", depth=depth)
        return
    source.add(f"if {chr(39)}\\x00{chr(39)} in {text}:", "    return None", f"{target} = escape({text})", depth=depth)


def write_columns(source: Source, record: RecordPlan, fields: Mapping[str, str], rendered: set[str]) -> list[str]:
    """One variable of COPY text for each column; `rendered` are the columns whose raw text a template needs."""
    variables = []
    for place, column in enumerate(record.columns):
        if len(column.path) > 1:
            _write_inner(source, column, f"c{place}", fields[column.path[0]])
            if column.column in rendered:
                source.add("return None")
    for place, column in enumerate(record.columns):
        variable = f"c{place}"
        variables.append(variable)
        if len(column.path) == 1:
            _write_column(source, column, variable, fields[column.path[0]], needs_text=column.column in rendered)
    return variables


def _write_column(source: Source, column: ColumnPlan, variable: str, attribute: str, *, needs_text: bool) -> None:
    absent = ["return None"] if column.required else [f"{variable} = NUL"]
    null = list(absent)
    if column.explicit_null:
        absent.append(source.keep(column.pointer, "{}"))
    else:
        null.append(source.keep(column.pointer, '{"NULL":true}'))
    if needs_text:
        absent.append(f"r_{variable} = None")
        null.append(f"r_{variable} = None")
    source.add(f"v = item.{attribute}", "if v is U:", *(f"    {one}" for one in absent))
    if column.type.name == "jsonb":
        pointer = repr(column.pointer)
        source.add("elif v == NULL:", *(f"    {one}" for one in null), "else:")
        source.add(f"    {variable} = {_json(source, f'plain(v, {pointer}, r)')}")
        return
    null = [*if_null("v"), *null]
    source.add(
        "else:", f"    t = v.{column.type.wire}", "    if t is U:", *(f"        {one}" for one in null), "    else:"
    )
    if needs_text:
        if column.type.wire == "S":
            source.add(f"r_{variable} = t", depth=3)
        else:
            render = source.bind(f"render_{variable}", _renderer(column))
            source.add(f"r_{variable} = {render}(t)", depth=3)
    if column.type.fast is None:
        _write_text(source, variable, "t", column.type.longest, depth=3)
    elif column.type.name == "boolean":
        source.add(f"{variable} = 't' if t else 'f'", depth=3)
    else:
        fast = source.bind(f"fast_{variable}", column.type.fast)
        source.add(f"{variable} = {fast}(t)", f"if {variable} is None:", depth=3)
        if column.type.wire == "S" and not needs_text:
            odd = source.bind(f"odd_{variable}", _oddly_spelled(column))
            source.add(f"{variable} = {odd}(t, r)", f"if {variable} is None:", "    return None", depth=4)
        else:
            source.add("return None", depth=4)


def _oddly_spelled(column: ColumnPlan) -> Any:
    """A function for texts in another spelling than the canonical one: COPY text, and an entry in the residue `r`."""
    from ashore.mapping.rows import fill  # noqa: PLC0415 (only to be bound)

    def odd(text: str, residue: dict[str, Any]) -> str | None:
        try:
            filled = fill(column, {"S": text}, residue)
        except UnfitError:
            return None
        return COPY_NULL if filled is None else column.type.copy(filled)

    return odd


def _renderer(column: ColumnPlan) -> Any:
    kind = column.type
    spell = kind.render or str
    return lambda content: spell(kind.to_column({kind.wire: content}))


def _json(source: Source, expression: str) -> str:
    text = f"encode({expression}).decode()"
    return f"doubled({text})" if source.escaped else text


def _write_inner(source: Source, column: ColumnPlan, variable: str, attribute: str) -> None:
    """A path into a map: the value is taken out of the decoded map, which is this function's own."""
    inner = source.bind(f"inner_{variable}", column.path[1:])
    copied = source.bind(f"copied_{variable}", _copier(column))
    absent = "return None" if column.required or column.explicit_null else f"{variable} = NUL"
    source.add(f"v = item.{attribute}", f"t = None if v is U else take(v, {inner})", "if t is None:", f"    {absent}")
    source.add("else:", f"    {variable} = {copied}(t)", f"    if {variable} is None:", "        return None")


def _copier(column: ColumnPlan) -> Any:
    from ashore.mapping.rows import fill  # noqa: PLC0415 (only to be bound)

    def copied(value: Mapping[str, Any]) -> str | None:
        residue: dict[str, Any] = {}
        filled = fill(column, value, residue)
        return None if residue or filled is None else column.type.copy(filled)

    return copied


def if_null(variable: str) -> list[str]:
    """Leave an attribute that has neither content nor a true NULL to the general path, which refuses it."""
    return [f"if {variable}.NULL is not True:", "    return None"]


def write_constants(source: Source, record: RecordPlan, fields: Mapping[str, str]) -> None:
    """Check the attributes that are the same in every item; an item's own value goes to the residue."""
    for place, (name, value) in enumerate(record.constant):
        ((wire, content),) = value.items()
        expected = source.bind(f"constant{place}", content if wire in {"S", "BOOL"} else value)
        source.add(f"v = item.{fields[name]}", "if v is U:", f"    {source.keep(token(name), '{}')}")
        if wire in {"S", "BOOL"}:
            null = [*if_null("v"), source.keep(token(name), '{"NULL":true}')]
            source.add(f"elif v.{wire} != {expected}:", f"    t = v.{wire}", "    if t is U:")
            source.add(*null, depth=3)
            source.add("    else:", f"        r[{token(name)!r}] = {{{wire!r}: t}}")
        elif wire in {"N", "B", "SS", "NS", "BS"}:
            source.add(f"elif v.{wire} != {expected}[{wire!r}]:", "    return None")
        else:
            source.add(f"elif v != {expected}:", "    return None")


def write_derived(
    source: Source, derived: Sequence[DerivedPlan], fields: Mapping[str, str], texts: Mapping[str, str]
) -> None:
    """Check the attributes that columns give; an item's own text goes to the residue."""
    for one in derived:
        names = list(dict.fromkeys(one.pattern.columns))
        nullable = [texts[name] for name in names if not texts[name].startswith("r_k")]
        wire = "S" if one.whole is None else one.whole.wire
        own = f"{{{wire!r}: t}}"
        now = f"{{{wire!r}: now}}"
        different = ["    return None"] if wire != "S" else [*_unset("t"), f"    r[{one.pointer!r}] = [{own}, {now}]"]
        lines = [f"now = {_template(one.pattern, texts)}", "if v is U:", f"    r[{one.pointer!r}] = [{{}}, {now}]"]
        lines += [f"elif v.{wire} != now:", f"    t = v.{wire}", *different]
        source.add(f"v = item.{fields[one.attribute]}")
        if nullable:
            against = ["    return None"] if wire != "S" else [*_unset("t"), f"    r[{one.pointer!r}] = [{own}, {{}}]"]
            source.add(f"if {' or '.join(f'{name} is None' for name in nullable)}:", "    if v is not U:")
            source.add(f"    t = v.{wire}", *against, depth=2)
            source.add("else:")
        source.add(*lines, depth=2 if nullable else 1)


def _unset(variable: str) -> list[str]:
    return [f"    if {variable} is U:", "        return None"]


def write_extra(source: Source, learned: Sequence[tuple[str, str]], also: Sequence[tuple[str, str]]) -> None:
    """Gather attributes without a column: the learned ones, and the maps that some columns took parts of."""
    source.add("e = None")
    for name, attribute in (*learned, *also):
        source.add(f"v = item.{attribute}", "if v is not U:", "    if e is None:", "        e = {}")
        source.add(f"    e[{name!r}] = plain(v, {token(name)!r}, r)")
    source.add("extra = NUL if e is None else " + _json(source, "e"))


def write_end(source: Source, variables: Sequence[str]) -> str:
    """Close the residue; returns the expression of the whole line."""
    source.add("if r:", f"    res += ',' + {_json(source, 'r')}[1:-1]")
    source.add("residue = '{' + res[1:] + '}' if res else NUL")
    columns = "\\t".join("{" + variable + "}" for variable in (*variables, "extra", "residue"))
    return f"f'{columns}'"
