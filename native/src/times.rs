//! Dates and moments: ISO 8601 text, and numbers since 1970, as days and microseconds since 2000.
//!
//! Source: https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES, timestamp_send

use crate::refusal::Refusal;

/// From 1970-01-01 to 2000-01-01.
const DAYS_TO_2000: i64 = 10_957;
const DAY: i64 = 86_400_000_000;
/// Python's datetime ends with the year 9999, and begins with the year 1.
const LEAST: i64 = -730_119 * DAY;
const BEHIND_GREATEST: i64 = 2_921_940 * DAY;

#[inline]
fn digits(text: &[u8]) -> Option<i64> {
    text.iter()
        .try_fold(0, |sum, &byte| if byte.is_ascii_digit() { Some(sum * 10 + (byte - b'0') as i64) } else { None })
}

/// Days from 2000-01-01 to a day that the calendar has.
#[inline]
fn days(text: &[u8]) -> Option<i64> {
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let (year, month, day) = (digits(&text[..4])?, digits(&text[5..7])?, digits(&text[8..])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + leap as i64,
        _ => return None,
    };
    if year < 1 || day < 1 || day > longest {
        return None;
    }
    // Years that begin in March, so that the day of a leap year is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468 - DAYS_TO_2000)
}

/// A date, `2020-06-05`.
pub fn date(text: &[u8]) -> Result<i32, Refusal> {
    days(text).map(|days| days as i32).ok_or(Refusal::Value)
}

/// Microseconds since 2000-01-01, and whether the text is the canonical spelling: with three digits of a second, or six
/// where three are not enough, and, where it is `aware`, a Z.
pub fn moment(text: &[u8], aware: bool) -> Result<(i64, bool), Refusal> {
    read_moment(text, aware).ok_or(Refusal::Value)
}

fn read_moment(text: &[u8], aware: bool) -> Option<(i64, bool)> {
    let day = days(text.get(..10)?)? * DAY;
    if text.len() == 10 {
        return if aware { Some((day, false)) } else { None };
    }
    let mut canonical = text[10] == b'T';
    if !canonical && text[10] != b' ' {
        return None;
    }
    let clock = text.get(11..16)?;
    let (hour, minute) = (digits(&clock[..2])?, digits(&clock[3..])?);
    let mut rest = &text[16..];
    let mut second = 0;
    if rest.first() == Some(&b':') {
        second = digits(rest.get(1..3)?)?;
        rest = &rest[3..];
    } else {
        canonical = false;
    }
    if clock[2] != b':' || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = 0;
    let mut length = 0;
    if rest.first() == Some(&b'.') {
        length = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 || length > 6 {
            return None;
        }
        micros = digits(&rest[1..=length])? * [0, 100_000, 10_000, 1_000, 100, 10, 1][length];
        rest = &rest[1 + length..];
    }
    canonical = canonical && (length == 3 || (length == 6 && micros % 1_000 != 0));
    let mut at = day + ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros;
    if aware {
        canonical = canonical && rest == b"Z";
        at = at.checked_sub(offset(rest)? * 60_000_000)?;
    } else if !rest.is_empty() {
        return None;
    }
    if (LEAST..BEHIND_GREATEST).contains(&at) {
        Some((at, canonical))
    } else {
        None
    }
}

/// Minutes east of Greenwich.
fn offset(text: &[u8]) -> Option<i64> {
    let sign = match text.first()? {
        b'Z' | b'z' => return if text.len() == 1 { Some(0) } else { None },
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = digits(text.get(1..3)?)?;
    let minutes = match text.len() {
        3 => 0,
        5 => digits(&text[3..])?,
        6 if text[3] == b':' => digits(&text[4..])?,
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        None
    } else {
        Some(sign * (hours * 60 + minutes))
    }
}

/// A whole number of units since 1970, each of so many microseconds.
pub fn epoch(count: i64, unit: i64) -> Result<i64, Refusal> {
    let at = count.checked_mul(unit).map(|at| at - DAYS_TO_2000 * DAY).ok_or(Refusal::Value)?;
    if (LEAST..BEHIND_GREATEST).contains(&at) {
        Ok(at)
    } else {
        Err(Refusal::Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_follow_the_calendar() {
        assert_eq!(Ok(0), date(b"2000-01-01"));
        assert_eq!(Ok(59), date(b"2000-02-29"));
        assert_eq!(Ok(-1), date(b"1999-12-31"));
        assert_eq!(Ok(-730_119), date(b"0001-01-01"));
        assert_eq!(Ok(2_921_939), date(b"9999-12-31"));
        for refused in ["2001-02-29", "2020-00-01", "2020-13-01", "2020-04-31", "0000-01-01", "2020-1-01", "20200101"] {
            assert_eq!(Err(Refusal::Value), date(refused.as_bytes()), "{refused}");
        }
    }

    #[test]
    fn moments_know_their_canonical_spelling() {
        assert_eq!(Ok((1_000, true)), moment(b"2000-01-01T00:00:00.001Z", true));
        assert_eq!(Ok((1, true)), moment(b"2000-01-01T00:00:00.000001Z", true));
        assert_eq!(Ok((0, false)), moment(b"2000-01-01T00:00:00.000000Z", true));
        assert_eq!(Ok((0, false)), moment(b"2000-01-01T01:00+01:00", true));
        assert_eq!(Ok((0, false)), moment(b"2000-01-01", true));
        assert_eq!(Ok((0, true)), moment(b"2000-01-01T00:00:00.000", false));
        for refused in ["2000-01-01T24:00:00.000Z", "2000-01-01T00:00:60.000Z", "2000-01-01T00:00:00.Z", "2000-01-01T"]
        {
            assert_eq!(Err(Refusal::Value), moment(refused.as_bytes(), true), "{refused}");
        }
        assert_eq!(Err(Refusal::Value), moment(b"0001-01-01T00:00:00.000+01:00", true));
    }
}
