//! DynamoDB JSON as DynamoDB writes it: no white space, each value an object of one type.

use crate::refusal::Refusal;

/// Levels of lists and maps that are read. DynamoDB allows 32; what is deeper is refused.
pub const DEEPEST: usize = 32;

/// A part of an item, in bytes from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    #[inline]
    pub fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    #[inline]
    pub fn of<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        data.get(self.start as usize..self.end as usize).unwrap_or(&[])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    S,
    N,
    B,
    Bool,
    Null,
    M,
    L,
    Ss,
    Ns,
    Bs,
}

/// A typed value. `whole` is `{"S":"…"}`; `content` is what stands between the quotes of S, N and B, and otherwise
/// the JSON value behind the colon. `escaped` says that the text of an S has a backslash.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    pub tag: Tag,
    pub escaped: bool,
    pub whole: Span,
    pub content: Span,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Where the first quote, backslash or control character is at or behind `at`.
///
/// Eight bytes at a time: `(w - 1) & !w` has a byte's high bit where that byte was 0; bits above the lowest one may be
/// wrong, and only the lowest is used.
#[inline]
pub fn special(data: &[u8], mut at: usize) -> Option<usize> {
    while let Some(Ok(word)) = data.get(at..at + 8).map(<[u8; 8]>::try_from) {
        let word = u64::from_le_bytes(word);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        let found = (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let found = found & HIGH;
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = data.get(at..)?;
    rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20).map(|place| at + place)
}

/// The end of a string whose opening quote is just before `at`: where its closing quote is, and whether it has a
/// backslash. What escapes say is looked at by `check_escapes`.
#[inline]
pub fn string_end(data: &[u8], mut at: usize) -> Result<(usize, bool), Refusal> {
    let mut escaped = false;
    loop {
        let found = special(data, at).ok_or(Refusal::Form)?;
        match data.get(found) {
            Some(b'"') => return Ok((found, escaped)),
            Some(b'\\') => {
                escaped = true;
                at = found + 2;
            }
            _ => return Err(Refusal::Form),
        }
    }
}

/// Go through the escapes of a string's content; `each` is given the plain parts and the characters.
///
/// U+0000, which PostgreSQL cannot hold, half a surrogate pair, and what is no escape are refused.
pub fn unescape<F: FnMut(&[u8])>(content: &[u8], mut each: F) -> Result<(), Refusal> {
    let mut at = 0;
    while let Some(place) = content.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == b'\\')) {
        each(&content[at..at + place]);
        let (character, length) = escape(&content[at + place..])?;
        each(character.encode_utf8(&mut [0; 4]).as_bytes());
        at += place + length;
    }
    each(content.get(at..).unwrap_or(&[]));
    Ok(())
}

/// Refuse a string's content that `unescape` would refuse.
pub fn check_escapes(content: &[u8]) -> Result<(), Refusal> {
    unescape(content, |_| ())
}

fn escape(text: &[u8]) -> Result<(char, usize), Refusal> {
    let simple = |character| Ok((character, 2));
    match text.get(1) {
        Some(b'"') => simple('"'),
        Some(b'\\') => simple('\\'),
        Some(b'/') => simple('/'),
        Some(b'b') => simple('\u{8}'),
        Some(b'f') => simple('\u{c}'),
        Some(b'n') => simple('\n'),
        Some(b'r') => simple('\r'),
        Some(b't') => simple('\t'),
        Some(b'u') => {
            let first = unit(text)?;
            if first == 0 {
                return Err(Refusal::Nul);
            }
            if let Some(character) = char::from_u32(first) {
                return Ok((character, 6));
            }
            let second = text.get(6..).ok_or(Refusal::Escape).and_then(unit)?;
            if first >= 0xDC00 || !(0xDC00..0xE000).contains(&second) {
                return Err(Refusal::Escape);
            }
            let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            char::from_u32(code).map(|character| (character, 12)).ok_or(Refusal::Escape)
        }
        _ => Err(Refusal::Escape),
    }
}

fn unit(text: &[u8]) -> Result<u32, Refusal> {
    let digits = text.get(..6).ok_or(Refusal::Escape)?;
    if &digits[..2] != b"\\u" {
        return Err(Refusal::Escape);
    }
    digits[2..].iter().try_fold(0, |sum, &byte| match (byte as char).to_digit(16) {
        Some(digit) => Ok(sum * 16 + digit),
        None => Err(Refusal::Escape),
    })
}

/// The end of an array or object that begins at `at`, by its brackets alone: whoever uses what is in it reads it again
/// with care.
pub fn container_end(data: &[u8], at: usize) -> Result<usize, Refusal> {
    let mut depth = 0_usize;
    let mut at = at;
    loop {
        match data.get(at) {
            Some(b'"') => at = string_end(data, at + 1)?.0,
            Some(b'{' | b'[') => {
                depth += 1;
                if depth > 2 * DEEPEST + 2 {
                    return Err(Refusal::Deep);
                }
            }
            Some(b'}' | b']') => {
                depth = depth.checked_sub(1).ok_or(Refusal::Form)?;
                if depth == 0 {
                    return Ok(at + 1);
                }
            }
            Some(_) => (),
            None => return Err(Refusal::Form),
        }
        at += 1;
    }
}

#[inline]
fn is_at(data: &[u8], at: usize, expected: &[u8]) -> bool {
    data.get(at..at + expected.len()) == Some(expected)
}

/// Read the typed value that begins at `at`. The inside of M, L and sets is passed over.
#[inline]
pub fn value_at(data: &[u8], at: usize) -> Result<Value, Refusal> {
    if is_at(data, at, b"{\"S\":\"") {
        return text_value(data, at, at + 6, Tag::S);
    }
    let head = data.get(at..at + 5).ok_or(Refusal::Form)?;
    match head {
        b"{\"N\":" => quoted(data, at, Tag::N),
        b"{\"B\":" => quoted(data, at, Tag::B),
        b"{\"M\":" => contained(data, at, at + 5, b'{', Tag::M),
        b"{\"L\":" => contained(data, at, at + 5, b'[', Tag::L),
        b"{\"SS\"" => contained(data, at, at + 6, b'[', Tag::Ss),
        b"{\"NS\"" => contained(data, at, at + 6, b'[', Tag::Ns),
        b"{\"BS\"" => contained(data, at, at + 6, b'[', Tag::Bs),
        b"{\"BOO" if is_at(data, at, b"{\"BOOL\":true}") => Ok(literal(at, 8, 12, Tag::Bool)),
        b"{\"BOO" if is_at(data, at, b"{\"BOOL\":false}") => Ok(literal(at, 8, 13, Tag::Bool)),
        b"{\"NUL" if is_at(data, at, b"{\"NULL\":true}") => Ok(literal(at, 8, 12, Tag::Null)),
        _ => Err(Refusal::Form),
    }
}

fn literal(at: usize, start: usize, end: usize, tag: Tag) -> Value {
    let (whole, content) = (Span::new(at, at + end + 1), Span::new(at + start, at + end));
    Value { tag, escaped: false, whole, content }
}

#[inline]
fn text_value(data: &[u8], at: usize, start: usize, tag: Tag) -> Result<Value, Refusal> {
    let (end, escaped) = string_end(data, start)?;
    if data.get(end + 1) != Some(&b'}') {
        return Err(Refusal::Form);
    }
    Ok(Value { tag, escaped, whole: Span::new(at, end + 2), content: Span::new(start, end) })
}

#[inline]
fn quoted(data: &[u8], at: usize, tag: Tag) -> Result<Value, Refusal> {
    if data.get(at + 5) != Some(&b'"') {
        return Err(Refusal::Form);
    }
    let value = text_value(data, at, at + 6, tag)?;
    if value.escaped {
        return Err(Refusal::Escape);
    }
    Ok(value)
}

fn contained(data: &[u8], at: usize, start: usize, opening: u8, tag: Tag) -> Result<Value, Refusal> {
    if data.get(start - 1) != Some(&b':') || data.get(start) != Some(&opening) {
        return Err(Refusal::Form);
    }
    let end = container_end(data, start)?;
    if data.get(end) != Some(&b'}') {
        return Err(Refusal::Form);
    }
    Ok(Value { tag, escaped: false, whole: Span::new(at, end + 1), content: Span::new(start, end) })
}

/// Calls `each` with the place of each element of the array at `at`; it returns where its element ends.
/// Returns where the array ends.
#[inline]
pub fn elements<F>(data: &[u8], at: usize, mut each: F) -> Result<usize, Refusal>
where
    F: FnMut(usize) -> Result<usize, Refusal>,
{
    if data.get(at) != Some(&b'[') {
        return Err(Refusal::Form);
    }
    let mut at = at + 1;
    if data.get(at) == Some(&b']') {
        return Ok(at + 1);
    }
    loop {
        at = each(at)?;
        match data.get(at) {
            Some(b',') => at += 1,
            Some(b']') => return Ok(at + 1),
            _ => return Err(Refusal::Form),
        }
    }
}

/// Calls `each` with the name (between its quotes), whether that has a backslash, and the place of the value of each
/// member of the object at `at`; it returns where its value ends. Returns where the object ends.
#[inline]
pub fn members<F>(data: &[u8], at: usize, mut each: F) -> Result<usize, Refusal>
where
    F: FnMut(Span, bool, usize) -> Result<usize, Refusal>,
{
    if data.get(at) != Some(&b'{') {
        return Err(Refusal::Form);
    }
    let mut at = at + 1;
    if data.get(at) == Some(&b'}') {
        return Ok(at + 1);
    }
    loop {
        if data.get(at) != Some(&b'"') {
            return Err(Refusal::Form);
        }
        let (end, escaped) = string_end(data, at + 1)?;
        if data.get(end + 1) != Some(&b':') {
            return Err(Refusal::Form);
        }
        at = each(Span::new(at + 1, end), escaped, end + 2)?;
        match data.get(at) {
            Some(b',') => at += 1,
            Some(b'}') => return Ok(at + 1),
            _ => return Err(Refusal::Form),
        }
    }
}

/// Calls `each` with the content of each text of the set at `at`. Texts with a backslash are refused.
pub fn texts<F>(data: &[u8], at: usize, mut each: F) -> Result<usize, Refusal>
where
    F: FnMut(Span) -> Result<(), Refusal>,
{
    elements(data, at, |start| {
        if data.get(start) != Some(&b'"') {
            return Err(Refusal::Form);
        }
        let (end, escaped) = string_end(data, start + 1)?;
        if escaped {
            return Err(Refusal::Escape);
        }
        each(Span::new(start + 1, end))?;
        Ok(end + 1)
    })
}
