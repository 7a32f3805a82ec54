//! Nested typed values as plain JSON. What plain JSON cannot give back goes to the residue under its JSON pointer.

use crate::numbers::{check_json, Plain as Number};
use crate::refusal::Refusal;
use crate::scan::{check_escapes, elements, members, texts, value_at, Span, Tag, DEEPEST};

/// What columns and plain JSON cannot give back: members of a JSON object, written as they come.
#[derive(Default)]
pub struct Residue {
    pub members: Vec<u8>,
    limit: usize,
}

impl Residue {
    /// Forget all; the next item has so many bytes. Pointers repeat the names on their way, so that a residue could grow
    /// with the square of an item: one that is twice as long as its item, and more than that, is refused.
    pub fn begin(&mut self, length: usize) {
        self.members.clear();
        self.limit = 2 * length + 4_096;
    }

    /// Add an entry. `pointer` is escaped as JSON text wants it; `entry` is JSON.
    pub fn keep(&mut self, pointer: &[u8], entry: &[&[u8]]) -> Result<(), Refusal> {
        if self.members.len() > self.limit {
            return Err(Refusal::Large);
        }
        if !self.members.is_empty() {
            self.members.push(b',');
        }
        self.members.push(b'"');
        self.members.extend_from_slice(pointer);
        self.members.extend_from_slice(b"\":");
        entry.iter().for_each(|part| self.members.extend_from_slice(part));
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Step {
    Name(Span),
    Place(usize),
}

/// One attribute's value on its way to plain JSON.
pub struct Nested<'a> {
    data: &'a [u8],
    pointer: &'a [u8],
    residue: &'a mut Residue,
    steps: [Step; DEEPEST],
    depth: usize,
    kept_inside: bool,
}

impl<'a> Nested<'a> {
    /// `pointer` leads to the attribute, escaped as JSON text wants it.
    pub fn new(data: &'a [u8], pointer: &'a [u8], residue: &'a mut Residue) -> Nested<'a> {
        Nested { data, pointer, residue, steps: [Step::Place(0); DEEPEST], depth: 0, kept_inside: false }
    }

    /// Write the typed value at `at` as plain JSON; members of the outermost map that `omitted` names are left out.
    /// Returns where the value ends.
    pub fn write(&mut self, at: usize, omitted: &[Vec<u8>], out: &mut Vec<u8>) -> Result<usize, Refusal> {
        let end = self.value(at, omitted, out)?;
        if self.kept_inside && has_repeated_name(self.data, at, 0)? {
            return Err(Refusal::Repeated);
        }
        Ok(end)
    }

    fn value(&mut self, at: usize, omitted: &[Vec<u8>], out: &mut Vec<u8>) -> Result<usize, Refusal> {
        let data = self.data;
        let head = data.get(at..at + 5).ok_or(Refusal::Form)?;
        let end = match head {
            b"{\"M\":" => self.map(at + 5, omitted, out)?,
            b"{\"L\":" => self.list(at + 5, out)?,
            b"{\"SS\"" | b"{\"NS\"" | b"{\"BS\"" => self.set(at, out)?,
            _ => return self.scalar(at, out),
        };
        if data.get(end) == Some(&b'}') {
            Ok(end + 1)
        } else {
            Err(Refusal::Form)
        }
    }

    #[inline]
    fn scalar(&mut self, at: usize, out: &mut Vec<u8>) -> Result<usize, Refusal> {
        let data = self.data;
        let value = value_at(data, at)?;
        let content = value.content.of(data);
        match value.tag {
            Tag::S | Tag::B => {
                if value.escaped {
                    check_escapes(content)?;
                }
                if value.tag == Tag::B {
                    base64_length(content)?;
                    self.keep(value.whole.of(data))?;
                }
                out.push(b'"');
                out.extend_from_slice(content);
                out.push(b'"');
            }
            Tag::N => {
                check_json(content)?;
                out.extend_from_slice(content);
            }
            Tag::Bool => out.extend_from_slice(content),
            Tag::Null => out.extend_from_slice(b"null"),
            Tag::M | Tag::L | Tag::Ss | Tag::Ns | Tag::Bs => return Err(Refusal::Form),
        }
        Ok(value.whole.end as usize)
    }

    fn step(&mut self, step: Step, at: usize, out: &mut Vec<u8>) -> Result<usize, Refusal> {
        *self.steps.get_mut(self.depth).ok_or(Refusal::Deep)? = step;
        self.depth += 1;
        let end = self.value(at, &[], out);
        self.depth -= 1;
        end
    }

    fn map(&mut self, at: usize, omitted: &[Vec<u8>], out: &mut Vec<u8>) -> Result<usize, Refusal> {
        let data = self.data;
        let mut separator = b'{';
        let end = members(data, at, |name, escaped, start| {
            let spelled = name.of(data);
            if escaped {
                if !omitted.is_empty() {
                    return Err(Refusal::Escape); // it may spell one of these
                }
                check_escapes(spelled)?;
            }
            if omitted.iter().any(|one| one == spelled) {
                return Ok(value_at(data, start)?.whole.end as usize);
            }
            out.push(separator);
            separator = b',';
            out.push(b'"');
            out.extend_from_slice(spelled);
            out.extend_from_slice(b"\":");
            self.step(Step::Name(name), start, out)
        })?;
        if separator == b'{' {
            out.push(b'{');
        }
        out.push(b'}');
        Ok(end)
    }

    fn list(&mut self, at: usize, out: &mut Vec<u8>) -> Result<usize, Refusal> {
        let data = self.data;
        out.push(b'[');
        let mut place = 0;
        let end = elements(data, at, |start| {
            if place > 0 {
                out.push(b',');
            }
            place += 1;
            self.step(Step::Place(place - 1), start, out)
        })?;
        out.push(b']');
        Ok(end)
    }

    fn set(&mut self, at: usize, out: &mut Vec<u8>) -> Result<usize, Refusal> {
        let value = value_at(self.data, at)?;
        let found = sorted_set(self.data, value.tag, value.content)?;
        let quote: &[u8] = if value.tag == Tag::Ns { b"" } else { b"\"" };
        let mut separator = b'[';
        for member in &found {
            out.push(separator);
            separator = b',';
            out.extend_from_slice(quote);
            out.extend_from_slice(member.of(self.data));
            out.extend_from_slice(quote);
        }
        if found.is_empty() {
            out.push(b'[');
        }
        out.push(b']');
        self.keep(value.whole.of(self.data))?;
        Ok(value.content.end as usize)
    }

    fn keep(&mut self, entry: &[u8]) -> Result<(), Refusal> {
        self.kept_inside |= self.depth > 0;
        let mut pointer = self.pointer.to_vec();
        for step in &self.steps[..self.depth] {
            match step {
                Step::Name(name) => push_token(name.of(self.data), &mut pointer),
                Step::Place(place) => pointer.extend_from_slice(format!("/{place}").as_bytes()),
            }
        }
        self.residue.keep(&pointer, &[entry])
    }
}

/// A step of a JSON pointer: a slash, and the name with `~` and `/` escaped.
pub fn push_token(name: &[u8], out: &mut Vec<u8>) {
    out.push(b'/');
    for &byte in name {
        match byte {
            b'~' => out.extend_from_slice(b"~0"),
            b'/' => out.extend_from_slice(b"~1"),
            _ => out.push(byte),
        }
    }
}

/// Whether a map in a typed value has a name twice. Names with a backslash are refused: they may spell another.
fn has_repeated_name(data: &[u8], at: usize, depth: usize) -> Result<bool, Refusal> {
    if depth > DEEPEST {
        return Err(Refusal::Deep);
    }
    let mut found = false;
    let value = value_at(data, at)?;
    let start = value.content.start as usize;
    if value.tag == Tag::M {
        let mut names = Vec::new();
        members(data, start, |name, escaped, start| {
            if escaped {
                return Err(Refusal::Escape);
            }
            names.push(name.of(data));
            found |= has_repeated_name(data, start, depth + 1)?;
            Ok(value_at(data, start)?.whole.end as usize)
        })?;
        names.sort_unstable();
        found |= names.windows(2).any(|pair| pair[0] == pair[1]);
    } else if value.tag == Tag::L {
        elements(data, start, |start| {
            found |= has_repeated_name(data, start, depth + 1)?;
            Ok(value_at(data, start)?.whole.end as usize)
        })?;
    }
    Ok(found)
}

/// The members of a set in the order that the general path gives them: texts by their characters, numbers by value.
/// Numbers of one value are refused, since nothing says which comes first.
pub fn sorted_set(data: &[u8], tag: Tag, content: Span) -> Result<Vec<Span>, Refusal> {
    let mut found = Vec::new();
    let end = texts(data, content.start as usize, |member| {
        match tag {
            Tag::Ns => Number::read(member.of(data)).map(|_| ())?,
            Tag::Bs => base64_length(member.of(data)).map(|_| ())?,
            _ => (),
        }
        found.push(member);
        Ok(())
    })?;
    if end != content.end as usize {
        return Err(Refusal::Form);
    }
    if tag == Tag::Ns {
        let mut numbers = Vec::with_capacity(found.len());
        for member in &found {
            numbers.push((Number::read(member.of(data))?, *member));
        }
        numbers.sort_by(|one, other| one.0.compare(&other.0));
        if numbers.windows(2).any(|pair| pair[0].0.compare(&pair[1].0).is_eq()) {
            return Err(Refusal::Repeated);
        }
        return Ok(numbers.into_iter().map(|(_, member)| member).collect());
    }
    found.sort_by(|one, other| one.of(data).cmp(other.of(data)));
    Ok(found)
}

/// How many bytes base64 text stands for; anything but its canonical spelling is refused.
pub fn base64_length(text: &[u8]) -> Result<usize, Refusal> {
    let mut length = 0;
    decode_base64(text, |_| length += 1)?;
    Ok(length)
}

/// Calls `each` with every byte that base64 text stands for; anything but its canonical spelling is refused.
pub fn decode_base64<F: FnMut(u8)>(text: &[u8], mut each: F) -> Result<(), Refusal> {
    if text.len() % 4 != 0 {
        return Err(Refusal::Value);
    }
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    if padding > 2 {
        return Err(Refusal::Value);
    }
    for group in text[..text.len() - padding].chunks(4) {
        let mut word = 0_u32;
        for &byte in group {
            word = word << 6 | sextet(byte).ok_or(Refusal::Value)?;
        }
        word <<= 6 * (4 - group.len());
        let bytes = word.to_be_bytes();
        let length = group.len() * 3 / 4;
        if bytes[1 + length..].iter().any(|&rest| rest != 0) {
            return Err(Refusal::Value);
        }
        bytes[1..=length].iter().for_each(|&byte| each(byte));
    }
    Ok(())
}

fn sextet(byte: u8) -> Option<u32> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    } as u32)
}

/// Text as the content of a JSON string.
pub fn push_json_text(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1F => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
}
