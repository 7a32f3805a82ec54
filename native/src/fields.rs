//! One attribute's value as a field of a binary COPY row: its length in bytes, then its content.
//!
//! Source: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS

use crate::json::{decode_base64, sorted_set};
use crate::numbers::{integer, write_numeric, Plain};
use crate::pattern::is_uuid;
use crate::plan::Kind;
use crate::refusal::Refusal;
use crate::scan::{unescape, Span, Tag, Value};
use crate::times;

/// Whether the column gives the value back as it is spelled. An odd spelling goes to the residue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    Canonical,
    Odd,
}

pub fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1_i32).to_be_bytes());
}

/// Write a field of which `write` writes the content.
#[inline]
pub fn field<T>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<T, Refusal>) -> Result<T, Refusal> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let result = write(out)?;
    let length = out.len() - start - 4;
    out[start..start + 4].copy_from_slice(&(length as i32).to_be_bytes());
    Ok(result)
}

/// Write the content of a field. Everything but `Kind::Json`, which has a path and a residue.
#[inline]
pub fn write(kind: &Kind, data: &[u8], value: &Value, out: &mut Vec<u8>) -> Result<Spelling, Refusal> {
    let content = value.content.of(data);
    match kind {
        Kind::Text { longest } => {
            expect(value, Tag::S)?;
            let start = out.len();
            if value.escaped {
                unescape(content, |part| out.extend_from_slice(part))?;
            } else {
                out.extend_from_slice(content);
            }
            match longest {
                Some(longest) if characters(&out[start..]) > *longest => Err(Refusal::Value),
                _ => Ok(Spelling::Canonical),
            }
        }
        Kind::Array { element, oid } => write_array(element, *oid, data, value, out),
        Kind::Boolean => {
            expect(value, Tag::Bool)?;
            out.push((content == b"true") as u8);
            Ok(Spelling::Canonical)
        }
        Kind::Integer { .. } | Kind::Numeric { .. } | Kind::Epoch { .. } => {
            expect(value, Tag::N)?;
            write_text(kind, content, out)
        }
        Kind::Bytes => {
            expect(value, Tag::B)?;
            write_text(kind, content, out)
        }
        Kind::Enum { .. } if value.escaped => {
            expect(value, Tag::S)?;
            let mut plain = Vec::new();
            unescape(content, |part| plain.extend_from_slice(part))?;
            write_text(kind, &plain, out)
        }
        Kind::Json => Err(Refusal::Fault),
        _ => {
            expect(value, Tag::S)?;
            if value.escaped {
                return Err(Refusal::Escape);
            }
            write_text(kind, content, out)
        }
    }
}

/// Write the content of a field from decoded text, whatever the type of the attribute.
#[inline]
pub fn write_text(kind: &Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Spelling, Refusal> {
    match kind {
        Kind::Text { longest } => {
            if longest.map_or(false, |longest| characters(text) > longest) {
                return Err(Refusal::Value);
            }
            out.extend_from_slice(text);
        }
        Kind::Enum { labels } => {
            if !labels.iter().any(|label| label == text) {
                return Err(Refusal::Value);
            }
            out.extend_from_slice(text);
        }
        Kind::Uuid => return write_uuid(text, out),
        Kind::Integer { bytes } | Kind::IntegerInText { bytes } => write_integer(*bytes, text, out)?,
        Kind::Numeric { bounds } => {
            let number = Plain::read(text)?;
            if let Some((whole, places)) = bounds {
                if number.whole.len() > *whole || number.fraction.len() > *places {
                    return Err(Refusal::Value);
                }
            }
            write_numeric(&number, out);
        }
        Kind::Date => out.extend_from_slice(&times::date(text)?.to_be_bytes()),
        Kind::Moment { aware } => {
            let (at, is_canonical) = times::moment(text, *aware)?;
            out.extend_from_slice(&at.to_be_bytes());
            return Ok(if is_canonical { Spelling::Canonical } else { Spelling::Odd });
        }
        Kind::Epoch { unit } => {
            let count = integer(text, -1_000_000_000_000_000, 1_000_000_000_000_000)?;
            out.extend_from_slice(&times::epoch(count, *unit)?.to_be_bytes());
        }
        Kind::Bytes => decode_base64(text, |byte| out.push(byte))?,
        Kind::Boolean | Kind::Json | Kind::Array { .. } => return Err(Refusal::Fault),
    }
    Ok(Spelling::Canonical)
}

#[inline]
fn expect(value: &Value, tag: Tag) -> Result<(), Refusal> {
    if value.tag == tag {
        Ok(())
    } else {
        Err(Refusal::Type)
    }
}

/// As PostgreSQL and Python count them.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}

fn write_uuid(text: &[u8], out: &mut Vec<u8>) -> Result<Spelling, Refusal> {
    if !is_uuid(text, |byte| byte.is_ascii_hexdigit()) {
        return Err(Refusal::Value);
    }
    let mut digits = text.iter().filter(|&&byte| byte != b'-').map(|&byte| match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    });
    while let (Some(high), Some(low)) = (digits.next(), digits.next()) {
        out.push(high << 4 | low);
    }
    Ok(if text.iter().any(u8::is_ascii_uppercase) { Spelling::Odd } else { Spelling::Canonical })
}

pub fn write_integer(bytes: u8, text: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    match bytes {
        2 => out.extend_from_slice(&(integer(text, i16::MIN.into(), i16::MAX.into())? as i16).to_be_bytes()),
        4 => out.extend_from_slice(&(integer(text, i32::MIN.into(), i32::MAX.into())? as i32).to_be_bytes()),
        _ => out.extend_from_slice(&integer(text, i64::MIN, i64::MAX)?.to_be_bytes()),
    }
    Ok(())
}

/// A set as a one-dimensional array in its order. What is no set, and a set with a repetition, is refused.
///
/// Source: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/utils/adt/arrayfuncs.c (array_recv)
fn write_array(element: &Kind, oid: u32, data: &[u8], value: &Value, out: &mut Vec<u8>) -> Result<Spelling, Refusal> {
    expect(
        value,
        match element {
            Kind::Text { .. } => Tag::Ss,
            Kind::Bytes => Tag::Bs,
            _ => Tag::Ns,
        },
    )?;
    let mut found = sorted_set(data, value.tag, value.content)?;
    if found.is_empty() || has_repetition(data, &found) {
        return Err(Refusal::Repeated);
    }
    if *element == Kind::Bytes {
        sort_by_bytes(data, &mut found)?;
    }
    for part in [1, 0, oid, found.len() as u32, 1] {
        out.extend_from_slice(&part.to_be_bytes());
    }
    for member in found {
        field(out, |out| write_text(element, member.of(data), out))?;
    }
    Ok(Spelling::Canonical)
}

/// Whether neighbours in an ordered set are one; numbers of one value were refused before.
fn has_repetition(data: &[u8], found: &[Span]) -> bool {
    found.windows(2).any(|pair| pair[0].of(data) == pair[1].of(data))
}

fn sort_by_bytes(data: &[u8], found: &mut [Span]) -> Result<(), Refusal> {
    let mut decoded = Vec::with_capacity(found.len());
    for member in found.iter() {
        let mut bytes = Vec::new();
        decode_base64(member.of(data), |byte| bytes.push(byte))?;
        decoded.push((bytes, *member));
    }
    decoded.sort();
    found.iter_mut().zip(decoded).for_each(|(place, (_, member))| *place = member);
    Ok(())
}
