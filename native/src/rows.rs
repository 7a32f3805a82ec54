//! Items become rows: routed by their keys, each attribute put where the declaration says, or refused as a whole.

use crate::fields::{field, null, write, write_integer, write_text, Spelling};
use crate::json::{push_json_text, push_token, Nested, Residue};
use crate::names::{Member, Tape};
use crate::numbers::{check_json, Plain};
use crate::pattern::Pattern;
use crate::plan::{Child, Column, Constant, Derived, Entity, Generation, Key, KeyColumn, Kind, Plan, Record, Role};
use crate::refusal::{Refusal, KINDS};
use crate::scan::{check_escapes, elements, members, unescape, value_at, Span, Tag, Value};

/// Bytes of an item; DynamoDB's largest has 400 KB, and JSON spells some of them with six.
const LONGEST_ITEM: usize = 4 << 20;
/// Bytes of a key's text, as the general path's own fast path has it.
const LONGEST_KEY: usize = 600;
const NULL: &[u8] = b"{\"NULL\":true}";

/// Rows of one table: each as binary COPY has it, without what stands before the first and behind the last.
#[derive(Default)]
pub struct Rows {
    pub data: Vec<u8>,
    pub count: u64,
}

/// What is used again for each item.
#[derive(Default)]
struct Scratch {
    tape: Tape,
    child_tape: Tape,
    residue: Residue,
    child_residue: Residue,
    extra: Vec<u8>,
    pointer: Vec<u8>,
    inner: Vec<Option<Value>>,
    key_fields: Vec<u8>,
    texts: Texts,
}

/// Decoded texts that patterns take apart and templates render: the key's, and those of some columns.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    taken: Vec<Option<Span>>,
    rendered: Vec<u8>,
}

impl Texts {
    fn add(&mut self, content: &[u8], escaped: bool) -> Result<Span, Refusal> {
        let start = self.bytes.len();
        if escaped {
            let bytes = &mut self.bytes;
            unescape(content, |part| bytes.extend_from_slice(part))?;
        } else {
            self.bytes.extend_from_slice(content);
        }
        Ok(Span::new(start, self.bytes.len()))
    }
}

/// A plan at work: chunks of items in, rows by table out.
pub struct Encoder {
    plan: Plan,
    pub rows: Vec<Rows>,
    pub by_slot: Vec<u64>,
    pub by_refusal: [u64; KINDS],
    /// Places of refused items.
    pub refused: Vec<u32>,
    /// By item: what is equal for items of one shape, 0 for a refused one.
    pub shapes: Vec<u64>,
    seen: usize,
    scratch: Scratch,
}

impl Encoder {
    pub fn new(plan: Plan) -> Encoder {
        let rows = (0..plan.tables).map(|_| Rows::default()).collect();
        let by_slot = vec![0; plan.slots];
        Encoder {
            plan,
            rows,
            by_slot,
            by_refusal: [0; KINDS],
            refused: Vec::new(),
            shapes: Vec::new(),
            seen: 0,
            scratch: Scratch::default(),
        }
    }

    /// Forget what the last chunk became.
    pub fn clear(&mut self) {
        for rows in &mut self.rows {
            rows.data.clear();
            rows.count = 0;
        }
        self.by_slot.iter_mut().for_each(|count| *count = 0);
        self.by_refusal = [0; KINDS];
        self.refused.clear();
        self.shapes.clear();
        self.seen = 0;
    }

    /// Encode items of a chunk, which stand in `data` at these places; what they become is added to what is there.
    pub fn encode(&mut self, data: &[u8], places: impl Iterator<Item = (usize, usize)>, wants_shapes: bool) {
        for (start, end) in places {
            let place = self.seen;
            self.seen += 1;
            let item = data.get(start..end).unwrap_or(&[]);
            let shape = match self.item(item) {
                Ok(slot) => {
                    self.by_slot[slot as usize] += 1;
                    if wants_shapes {
                        shape(&self.scratch.tape, item, slot)
                    } else {
                        0
                    }
                }
                Err(refusal) => {
                    self.by_refusal[refusal as usize] += 1;
                    self.refused.push(place as u32);
                    0
                }
            };
            if wants_shapes {
                self.shapes.push(shape);
            }
        }
    }

    fn item(&mut self, item: &[u8]) -> Result<u16, Refusal> {
        if item.len() > LONGEST_ITEM {
            return Err(Refusal::Large);
        }
        std::str::from_utf8(item).map_err(|_| Refusal::Utf8)?;
        let Encoder { plan, rows, scratch, .. } = self;
        let end = scratch.tape.read(item, 0, &mut plan.names)?;
        if end != item.len() {
            return Err(Refusal::Form);
        }
        let (entity, generation) = route(plan, item, scratch)?;
        let entity = &mut plan.entities[entity];
        let before: Vec<(usize, usize, u64)> = std::iter::once(entity.table)
            .chain(entity.children.iter().map(|child| child.table))
            .map(|table| (table, rows[table].data.len(), rows[table].count))
            .collect();
        let keys = (&plan.partition, plan.sort.as_ref());
        let slot = entity.generations[generation].slot;
        let written = write_item(entity, generation, keys, item, rows, scratch);
        if written.is_err() {
            for (table, length, count) in before {
                rows[table].data.truncate(length);
                rows[table].count = count;
            }
        }
        written.map(|()| slot)
    }
}

/// The place of the entity whose key this is, and of the key's generation. What the placeholders take is in
/// `scratch.texts.taken`; the texts of the key are the first in `scratch.texts`.
fn route(plan: &Plan, item: &[u8], scratch: &mut Scratch) -> Result<(usize, usize), Refusal> {
    let texts = &mut scratch.texts;
    texts.bytes.clear();
    let partition = key_text(&plan.partition, &scratch.tape, item, texts)?;
    let sort = match &plan.sort {
        Some(key) => Some(key_text(key, &scratch.tape, item, texts)?),
        None => None,
    };
    if texts.bytes.len() > LONGEST_KEY {
        return Err(Refusal::Large);
    }
    for (place, entity) in plan.entities.iter().enumerate() {
        for (at, generation) in entity.generations.iter().enumerate() {
            texts.taken.clear();
            texts.taken.resize(entity.key.len() + entity.record.columns.len(), None);
            if fits(generation, texts, partition, sort) {
                return Ok((place, at));
            }
        }
    }
    Err(Refusal::Unrouted)
}

fn fits(generation: &Generation, texts: &mut Texts, partition: Span, sort: Option<Span>) -> bool {
    let Texts { bytes, taken, .. } = texts;
    generation.partition.matches(bytes, partition, taken)
        && match (&generation.sort, sort) {
            (Some(pattern), Some(sort)) => pattern.matches(bytes, sort, taken),
            (None, None) => true,
            _ => false,
        }
}

fn key_text(key: &Key, tape: &Tape, item: &[u8], texts: &mut Texts) -> Result<Span, Refusal> {
    match tape.get(key.id) {
        Some(value) if value.tag == key.tag => {
            let text = texts.add(value.content.of(item), value.escaped)?;
            if text.start == text.end {
                Err(Refusal::NoKey)
            } else {
                Ok(text)
            }
        }
        _ => Err(Refusal::NoKey),
    }
}

fn write_item(
    entity: &mut Entity,
    generation: usize,
    keys: (&Key, Option<&Key>),
    item: &[u8],
    rows: &mut [Rows],
    scratch: &mut Scratch,
) -> Result<(), Refusal> {
    scratch.residue.begin(item.len());
    let limit = 8 * item.len() + (64 << 10);
    let Rows { data: out, count } = &mut rows[entity.table];
    let start = out.len();
    *count += 1;
    let fields = entity.key.len() + entity.record.columns.len() + 2;
    out.extend_from_slice(&(fields as i16).to_be_bytes());
    write_key(&entity.key, &scratch.texts, out)?;
    scratch.key_fields.clear();
    scratch.key_fields.extend_from_slice(&out[start + 2..]);
    if generation > 0 {
        keep_old_key(entity, keys, item, scratch)?;
    }
    find_inner(&entity.record, &scratch.tape, item, &mut scratch.inner)?;
    let Scratch { tape, residue, inner, texts, .. } = scratch;
    let first = entity.key.len();
    write_columns(&entity.record, tape, item, inner, residue, out, Some((texts, first)))?;
    write_constants(&entity.record, tape, item, residue)?;
    for derived in &entity.derived {
        check_derived(derived, tape, item, texts, residue)?;
    }
    for child in &mut entity.children {
        write_children(child, entity.key.len(), item, rows, scratch, limit)?;
    }
    let Scratch { tape, residue, extra, pointer, .. } = scratch;
    let out = &mut rows[entity.table].data;
    write_extra(&entity.record, tape, item, residue, extra, pointer, out)?;
    write_residue(residue, out)?;
    if out.len() - start > limit {
        Err(Refusal::Large)
    } else {
        Ok(())
    }
}

fn write_key(columns: &[KeyColumn], texts: &Texts, out: &mut Vec<u8>) -> Result<(), Refusal> {
    for (column, taken) in columns.iter().zip(&texts.taken) {
        let text = taken.ok_or(Refusal::Key)?.of(&texts.bytes);
        if text.is_empty() {
            return Err(Refusal::Key);
        }
        let spelling = field(out, |out| write_text(&column.kind, text, out)).map_err(|_| Refusal::Key)?;
        let is_number = matches!(column.kind, Kind::Numeric { .. });
        if spelling == Spelling::Odd || (is_number && !Plain::read(text)?.is_canonical()) {
            return Err(Refusal::Key);
        }
        if (column.typed_as == Tag::B) != (column.kind == Kind::Bytes) {
            return Err(Refusal::Key);
        }
    }
    Ok(())
}

/// A key of an older generation is kept beside what the current one would be.
fn keep_old_key(
    entity: &Entity,
    keys: (&Key, Option<&Key>),
    item: &[u8],
    scratch: &mut Scratch,
) -> Result<(), Refusal> {
    let current = &entity.generations[0];
    let Scratch { tape, texts, residue, .. } = scratch;
    let mut keep = |key: &Key, pattern: &Pattern, pointer: &[u8]| {
        let value = tape.get(key.id).ok_or(Refusal::NoKey)?;
        let mut own = Vec::new();
        unescape(value.content.of(item), |part| own.extend_from_slice(part))?;
        let now = render(pattern, texts);
        if own == now {
            return Ok(());
        }
        keep_pair(residue, pointer, Some((key.tag, &own)), Some((key.tag, now)))
    };
    keep(keys.0, &current.partition, &entity.pointers[0])?;
    match (keys.1, &current.sort) {
        (Some(key), Some(pattern)) => keep(key, pattern, &entity.pointers[1]),
        _ => Ok(()),
    }
}

fn render<'a>(pattern: &Pattern, texts: &'a mut Texts) -> &'a [u8] {
    texts.rendered.clear();
    pattern.render(&texts.bytes, &texts.taken, &mut texts.rendered);
    &texts.rendered
}

type Spelled<'a> = Option<(Tag, &'a [u8])>;

/// Keep an item's own value beside what was rendered; None is an absent attribute.
fn keep_pair(residue: &mut Residue, pointer: &[u8], own: Spelled, now: Spelled) -> Result<(), Refusal> {
    let mut entry = vec![b'['];
    for (place, side) in [own, now].iter().enumerate() {
        if place > 0 {
            entry.push(b',');
        }
        match side {
            None => entry.extend_from_slice(b"{}"),
            Some((tag, text)) => {
                let name: &[u8] = match tag {
                    Tag::S => b"{\"S\":\"",
                    Tag::N => b"{\"N\":\"",
                    Tag::B => b"{\"B\":\"",
                    _ => return Err(Refusal::Contradiction),
                };
                entry.extend_from_slice(name);
                push_json_text(text, &mut entry);
                entry.extend_from_slice(b"\"}");
            }
        }
    }
    entry.push(b']');
    residue.keep(pointer, &[&entry])
}

/// Find the members of maps that have columns of their own.
fn find_inner(record: &Record, tape: &Tape, item: &[u8], found: &mut Vec<Option<Value>>) -> Result<(), Refusal> {
    found.clear();
    found.resize(record.inner_count, None);
    for inner in &record.inner {
        let value = match tape.get(inner.id) {
            Some(value) if value.tag == Tag::M => value,
            Some(_) => return Err(Refusal::Type),
            None => continue,
        };
        members(item, value.content.start as usize, |name, escaped, at| {
            let member = value_at(item, at)?;
            if escaped {
                return Err(Refusal::Escape);
            }
            if let Some(place) = inner.names.iter().position(|one| one == name.of(item)) {
                if found[inner.first + place].replace(member).is_some() {
                    return Err(Refusal::Repeated);
                }
            }
            Ok(member.whole.end as usize)
        })?;
    }
    Ok(())
}

fn write_columns(
    record: &Record,
    tape: &Tape,
    item: &[u8],
    inner: &[Option<Value>],
    residue: &mut Residue,
    out: &mut Vec<u8>,
    mut texts: Option<(&mut Texts, usize)>,
) -> Result<(), Refusal> {
    for (place, column) in record.columns.iter().enumerate() {
        let value = match column.inner {
            Some(place) => inner.get(place).and_then(Option::as_ref),
            None => tape.get(column.id),
        };
        match value {
            Some(value) if column.keeps_unfit && is_unfit(column, value, item)? => {
                if column.is_required {
                    return Err(Refusal::Missing);
                }
                null(out);
                residue.keep(&column.pointer, &[value.whole.of(item)])?;
            }
            Some(value) if value.tag != Tag::Null => {
                let spelling = write_column(column, record, item, value, residue, out)?;
                match &mut texts {
                    Some((texts, first)) if column.is_rendered => {
                        if spelling == Spelling::Odd {
                            return Err(Refusal::Value);
                        }
                        let content = value.content.of(item);
                        if matches!(column.kind, Kind::Numeric { .. }) && !Plain::read(content)?.is_canonical() {
                            return Err(Refusal::Value);
                        }
                        let text = texts.add(content, value.escaped)?;
                        texts.taken[*first + place] = Some(text);
                    }
                    _ => (),
                }
            }
            _ => {
                if column.is_required {
                    return Err(Refusal::Missing);
                }
                null(out);
                match (value.is_some(), column.has_explicit_null) {
                    (true, false) => residue.keep(&column.pointer, &[NULL])?,
                    (false, true) => residue.keep(&column.pointer, &[b"{}"])?,
                    _ => (),
                }
            }
        }
    }
    Ok(())
}

/// Whether a value is a text, number or boolean, and the column takes another of these.
fn is_unfit(column: &Column, value: &Value, item: &[u8]) -> Result<bool, Refusal> {
    let taken = match column.kind {
        Kind::Integer { .. } | Kind::Numeric { .. } | Kind::Epoch { .. } => Tag::N,
        Kind::Boolean => Tag::Bool,
        Kind::Bytes | Kind::Json | Kind::Array { .. } => return Ok(false),
        _ => Tag::S,
    };
    match value.tag {
        Tag::S if value.escaped => check_escapes(value.content.of(item))?,
        Tag::N => check_json(value.content.of(item))?,
        Tag::S | Tag::Bool => (),
        _ => return Ok(false),
    }
    Ok(value.tag != taken)
}

#[inline]
fn write_column(
    column: &Column,
    record: &Record,
    item: &[u8],
    value: &Value,
    residue: &mut Residue,
    out: &mut Vec<u8>,
) -> Result<Spelling, Refusal> {
    if column.kind == Kind::Json {
        let omitted = if column.inner.is_some() { &[] } else { record.omitted(column.id) };
        return field(out, |out| {
            out.push(1); // the version of jsonb's format
            let end = Nested::new(item, &column.pointer, residue).write(value.whole.start as usize, omitted, out)?;
            if end == value.whole.end as usize {
                Ok(Spelling::Canonical)
            } else {
                Err(Refusal::Form)
            }
        });
    }
    let spelling = field(out, |out| write(&column.kind, item, value, out))?;
    if spelling == Spelling::Odd {
        residue.keep(&column.pointer, &[value.whole.of(item)])?;
    }
    Ok(spelling)
}

fn write_constants(record: &Record, tape: &Tape, item: &[u8], residue: &mut Residue) -> Result<(), Refusal> {
    for constant in &record.constants {
        match tape.get(constant.id) {
            None => residue.keep(&constant.pointer, &[b"{}"])?,
            Some(value) if is_constant(constant, value, item)? => (),
            Some(value) => {
                let may_differ = matches!(constant.tag, Tag::S | Tag::Bool);
                if !may_differ || (value.tag != constant.tag && value.tag != Tag::Null) {
                    return Err(Refusal::Contradiction);
                }
                residue.keep(&constant.pointer, &[value.whole.of(item)])?;
            }
        }
    }
    Ok(())
}

fn is_constant(constant: &Constant, value: &Value, item: &[u8]) -> Result<bool, Refusal> {
    if value.tag != constant.tag {
        return Ok(false);
    }
    if value.escaped {
        let mut text = Vec::new();
        unescape(value.content.of(item), |part| text.extend_from_slice(part))?;
        return Ok(text == constant.content);
    }
    Ok(value.content.of(item) == constant.content.as_slice())
}

fn check_derived(
    derived: &Derived,
    tape: &Tape,
    item: &[u8],
    texts: &mut Texts,
    residue: &mut Residue,
) -> Result<(), Refusal> {
    let value = tape.get(derived.id);
    let is_rendered = derived.pattern.columns().all(|column| texts.taken.get(column).copied().flatten().is_some());
    let mut own = Vec::new();
    if let Some(value) = value {
        if value.tag != derived.tag {
            return Err(Refusal::Contradiction);
        }
        if !value.escaped {
            own.extend_from_slice(value.content.of(item));
        } else {
            unescape(value.content.of(item), |part| own.extend_from_slice(part))?;
        }
    }
    let own_value = value.map(|_| (derived.tag, own.as_slice()));
    if !is_rendered {
        return match own_value {
            None => Ok(()),
            Some((Tag::S, _)) => keep_pair(residue, &derived.pointer, own_value, None),
            Some(_) => Err(Refusal::Contradiction),
        };
    }
    let now = render(&derived.pattern, texts);
    match own_value {
        Some((_, own)) if own == now => Ok(()),
        Some((tag, _)) if tag != Tag::S => Err(Refusal::Contradiction),
        _ => keep_pair(residue, &derived.pointer, own_value, Some((derived.tag, now))),
    }
}

fn write_children(
    child: &mut Child,
    key_columns: usize,
    item: &[u8],
    rows: &mut [Rows],
    scratch: &mut Scratch,
    limit: usize,
) -> Result<(), Refusal> {
    let value = match scratch.tape.get(child.id) {
        None => return Ok(()),
        Some(value) => *value,
    };
    let at = value.content.start as usize;
    let is_empty = value.tag == Tag::L && item.get(at + 1) == Some(&b']');
    if is_empty || value.tag == Tag::Null {
        return scratch.residue.keep(&child.pointer, &[value.whole.of(item)]);
    }
    if value.tag != Tag::L {
        return Err(Refusal::Type);
    }
    let Rows { data: out, count } = &mut rows[child.table];
    let start = out.len();
    let keys = key_fields(&scratch.key_fields, key_columns);
    let mut place = 0_usize;
    let end = elements(item, at, |at| {
        let head = item.get(at..at + 5).ok_or(Refusal::Form)?;
        if head != b"{\"M\":" {
            return Err(Refusal::Type);
        }
        let end = scratch.child_tape.read(item, at + 5, &mut child.names)?;
        if item.get(end) != Some(&b'}') {
            return Err(Refusal::Form);
        }
        let record = &child.record;
        let (tape, residue) = (&scratch.child_tape, &mut scratch.child_residue);
        residue.begin(item.len());
        out.extend_from_slice(&((child.parents.len() + 1 + record.columns.len() + 2) as i16).to_be_bytes());
        for &parent in &child.parents {
            out.extend_from_slice(keys.get(parent).copied().ok_or(Refusal::Fault)?);
        }
        field(out, |out| write_integer(child.order_bytes, place.to_string().as_bytes(), out))?;
        find_inner(record, tape, item, &mut scratch.inner)?;
        write_columns(record, tape, item, &scratch.inner, residue, out, None)?;
        write_constants(record, tape, item, residue)?;
        write_extra(record, tape, item, residue, &mut scratch.extra, &mut scratch.pointer, out)?;
        write_residue(residue, out)?;
        place += 1;
        *count += 1;
        if out.len() - start > limit {
            Err(Refusal::Large)
        } else {
            Ok(end + 1)
        }
    })?;
    if end == value.content.end as usize {
        Ok(())
    } else {
        Err(Refusal::Form)
    }
}

/// The fields of the key's columns, their lengths included.
fn key_fields(fields: &[u8], columns: usize) -> Vec<&[u8]> {
    let mut found = Vec::with_capacity(columns);
    let mut rest = fields;
    while let Some(Ok(length)) = rest.get(..4).map(<[u8; 4]>::try_from) {
        let (one, others) = rest.split_at((4 + u32::from_be_bytes(length) as usize).min(rest.len()));
        found.push(one);
        rest = others;
    }
    found
}

/// The attributes without a column, as one JSON object.
fn write_extra(
    record: &Record,
    tape: &Tape,
    item: &[u8],
    residue: &mut Residue,
    extra: &mut Vec<u8>,
    pointer: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    extra.clear();
    for Member { id, name, value } in &tape.members {
        if record.role(*id) == Role::Used {
            continue;
        }
        extra.push(if extra.is_empty() { b'{' } else { b',' });
        extra.push(b'"');
        extra.extend_from_slice(name.of(item));
        extra.extend_from_slice(b"\":");
        pointer.clear();
        push_token(name.of(item), pointer);
        let start = value.whole.start as usize;
        let end = Nested::new(item, pointer, residue).write(start, record.omitted(*id), extra)?;
        if end != value.whole.end as usize {
            return Err(Refusal::Form);
        }
    }
    if extra.is_empty() {
        null(out);
        return Ok(());
    }
    extra.push(b'}');
    field(out, |out| {
        out.push(1);
        out.extend_from_slice(extra);
        Ok(())
    })
}

fn write_residue(residue: &Residue, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if residue.members.is_empty() {
        null(out);
        return Ok(());
    }
    field(out, |out| {
        out.extend_from_slice(b"\x01{");
        out.extend_from_slice(&residue.members);
        out.push(b'}');
        Ok(())
    })
}

/// What is equal for items of one slot that have the same attributes of the same types, in whatever order.
fn shape(tape: &Tape, item: &[u8], slot: u16) -> u64 {
    const FACTOR: u64 = 0xC2B2_AE3D_27D4_EB4F;
    let mut sum = (slot as u64 + 1).wrapping_mul(FACTOR);
    for member in &tape.members {
        let start = 1 + member.value.tag as u64;
        let one =
            member.name.of(item).iter().fold(start, |sum, &byte| (sum ^ byte as u64).wrapping_mul(0x0100_0000_01B3));
        sum = sum.wrapping_add((one ^ (one >> 29)).wrapping_mul(FACTOR));
    }
    sum | 1
}
