//! Numbers of DynamoDB as PostgreSQL's binary formats have them; exact, or refused.
//!
//! Source: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/utils/adt/numeric.c (numeric_send)

use std::cmp::Ordering;

use crate::refusal::Refusal;

/// Characters of a number's text that are read: DynamoDB has 38 digits.
const LONGEST: usize = 60;

/// A number in plain digits: `-12.50`. `whole` has no leading zero but a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain<'a> {
    pub negative: bool,
    pub whole: &'a [u8],
    pub fraction: &'a [u8],
}

impl<'a> Plain<'a> {
    /// Read `-?(0|[1-9][0-9]*)(\.[0-9]+)?`; other spellings are left to the general path.
    #[inline]
    pub fn read(text: &'a [u8]) -> Result<Plain<'a>, Refusal> {
        if text.len() > LONGEST {
            return Err(Refusal::Value);
        }
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, text),
        };
        let point = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        let (whole, rest) = digits.split_at(point);
        let fraction = match rest.split_first() {
            None => rest,
            Some((b'.', fraction)) if !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit) => fraction,
            Some(_) => return Err(Refusal::Value),
        };
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return Err(Refusal::Value);
        }
        Ok(Plain { negative, whole, fraction })
    }

    fn is_zero(&self) -> bool {
        self.whole == b"0" && self.fraction.iter().all(|&digit| digit == b'0')
    }

    /// Whether this is how the general path spells the number: what a template renders, what a key gives back.
    pub fn is_canonical(&self) -> bool {
        let digits = self.whole.len() + self.fraction.len();
        !(self.negative && self.is_zero()) && self.fraction.last() != Some(&b'0') && digits <= 38
    }

    /// The order of values.
    pub fn compare(&self, other: &Plain) -> Ordering {
        let (zero, other_zero) = (self.is_zero(), other.is_zero());
        let sign = |number: &Plain, zero: bool| {
            if zero {
                0
            } else if number.negative {
                -1
            } else {
                1
            }
        };
        let signs = sign(self, zero).cmp(&sign(other, other_zero));
        if signs != Ordering::Equal || zero {
            return signs;
        }
        let order = (self.whole.len().cmp(&other.whole.len()))
            .then_with(|| self.whole.cmp(other.whole))
            .then_with(|| compare_fractions(self.fraction, other.fraction));
        if self.negative {
            order.reverse()
        } else {
            order
        }
    }
}

fn compare_fractions(one: &[u8], other: &[u8]) -> Ordering {
    let length = one.len().max(other.len());
    let digit = |fraction: &[u8], place: usize| fraction.get(place).copied().unwrap_or(b'0');
    (0..length)
        .map(|place| digit(one, place).cmp(&digit(other, place)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Refuse what is not a number in JSON's spelling, with a power of ten of at most three digits or without.
#[inline]
pub fn check_json(text: &[u8]) -> Result<(), Refusal> {
    let mut parts = text.splitn(2, |&byte| byte == b'E' || byte == b'e');
    Plain::read(parts.next().unwrap_or(&[]))?;
    match parts.next() {
        None => Ok(()),
        Some(power) => {
            let digits = power.strip_prefix(b"-").or_else(|| power.strip_prefix(b"+")).unwrap_or(power);
            let is_power = (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            if is_power {
                Ok(())
            } else {
                Err(Refusal::Value)
            }
        }
    }
}

/// A whole number between two bounds, in its canonical spelling ("-0" is none).
#[inline]
pub fn integer(text: &[u8], least: i64, greatest: i64) -> Result<i64, Refusal> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 19 || (digits[0] == b'0' && text.len() > 1) {
        return Err(Refusal::Value);
    }
    let mut sum: i64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Refusal::Value);
        }
        // Downwards, since the least number has no positive counterpart.
        sum = sum.checked_mul(10).and_then(|sum| sum.checked_sub(digit as i64)).ok_or(Refusal::Value)?;
    }
    let number = if negative { Some(sum) } else { sum.checked_neg() }.ok_or(Refusal::Value)?;
    if number < least || number > greatest {
        return Err(Refusal::Value);
    }
    Ok(number)
}

/// The content of a numeric field: count of digits to the base 10,000, weight, sign, scale, digits.
pub fn write_numeric(number: &Plain, out: &mut Vec<u8>) {
    let whole = if number.whole == b"0" { &[][..] } else { number.whole };
    let mut digits = [0_u16; 2 + LONGEST / 2];
    let mut count = 0;
    let first = whole.len() % 4;
    let (head, tail) = whole.split_at(first);
    for group in std::iter::once(head).filter(|head| !head.is_empty()).chain(tail.chunks(4)) {
        digits[count] = group.iter().fold(0, |sum, &digit| sum * 10 + (digit - b'0') as u16);
        count += 1;
    }
    let mut weight = count as i16 - 1;
    for group in number.fraction.chunks(4) {
        let padded = [1000, 100, 10, 1].iter().zip(group).map(|(&unit, &digit)| unit * (digit - b'0') as u16);
        digits[count] = padded.sum();
        count += 1;
    }
    let leading = digits[..count].iter().position(|&digit| digit != 0).unwrap_or(count);
    let end = digits[..count].iter().rposition(|&digit| digit != 0).map_or(leading, |last| last + 1);
    weight -= leading as i16;
    let significant = &digits[leading..end];
    if significant.is_empty() {
        weight = 0;
    }
    let sign: u16 = if number.negative && !significant.is_empty() { 0x4000 } else { 0 };
    out.extend_from_slice(&(significant.len() as i16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&(number.fraction.len() as u16).to_be_bytes());
    for digit in significant {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_keep_their_bounds() {
        assert_eq!(Ok(i64::MIN), integer(b"-9223372036854775808", i64::MIN, i64::MAX));
        assert_eq!(Ok(i64::MAX), integer(b"9223372036854775807", i64::MIN, i64::MAX));
        for refused in ["", "-", "-0", "00", "01", "+1", "1.0", "9223372036854775808", "1e2", " 1"] {
            assert_eq!(Err(Refusal::Value), integer(refused.as_bytes(), i64::MIN, i64::MAX), "{refused}");
        }
        assert_eq!(Err(Refusal::Value), integer(b"32768", -32768, 32767));
    }

    #[test]
    fn numeric_has_groups_of_four_digits_around_the_point() {
        let written = |text: &str| {
            let mut out = Vec::new();
            write_numeric(&Plain::read(text.as_bytes()).unwrap(), &mut out);
            out
        };
        assert_eq!(vec![0, 2, 0, 0, 0x40, 0, 0, 2, 0, 12, 0x13, 0x88], written("-12.50"));
        assert_eq!(vec![0, 0, 0, 0, 0, 0, 0, 2], written("-0.00"));
        assert_eq!(vec![0, 1, 0, 1, 0, 0, 0, 0, 0, 1], written("10000"));
        assert_eq!(vec![0, 1, 0xFF, 0xFE, 0, 0, 0, 5, 0x03, 0xE8], written("0.00001"));
        written(&format!("{}.{}", "9".repeat(30), "9".repeat(29)));
        written(&format!("0.{}", "9".repeat(58)));
    }

    #[test]
    fn numbers_in_json_may_have_a_power_of_ten() {
        for taken in ["1E2", "-1.5e+35", "0E-125", "12"] {
            assert_eq!(Ok(()), check_json(taken.as_bytes()), "{taken}");
        }
        for refused in ["1E", "1E+", "E5", "1E1234", "1E5E5", "1E5.0", "01E5", "1.E5", "+1E5"] {
            assert_eq!(Err(Refusal::Value), check_json(refused.as_bytes()), "{refused}");
        }
    }

    #[test]
    fn numbers_are_ordered_by_value() {
        let ordered = ["-10", "-9.5", "-0.1", "0", "0.09", "0.1", "1", "9.99", "10"];
        for pair in ordered.windows(2) {
            let (one, other) = (Plain::read(pair[0].as_bytes()).unwrap(), Plain::read(pair[1].as_bytes()).unwrap());
            assert_eq!(Ordering::Less, one.compare(&other), "{pair:?}");
            assert_eq!(Ordering::Greater, other.compare(&one));
        }
        let read = |text: &'static str| Plain::read(text.as_bytes()).unwrap();
        assert_eq!(Ordering::Equal, read("-0.0").compare(&read("0")));
        assert_eq!(Ordering::Equal, read("1.50").compare(&read("1.5")));
    }
}
