//! Key patterns: literal text with placeholders between. The same texts match, and the placeholders take the same of
//! them, as with `ashore.mapping.pattern.Pattern`; patterns of which that is not sure are in no plan.

use crate::scan::Span;

/// What a placeholder is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Free,
    Uuid,
    Ulid,
    Date,
    Digits,
    Integer,
}

impl Held {
    pub fn of(code: u8) -> Result<Held, &'static str> {
        Ok(match code {
            0 => Held::Free,
            1 => Held::Uuid,
            2 => Held::Ulid,
            3 => Held::Date,
            4 => Held::Digits,
            5 => Held::Integer,
            _ => return Err("no form of a placeholder"),
        })
    }

    fn fits(self, text: &[u8]) -> bool {
        match self {
            Held::Free => !text.is_empty(),
            Held::Uuid => is_uuid(text, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
            Held::Ulid => {
                text.len() == 26
                    && matches!(text[0], b'0'..=b'7')
                    && text[1..].iter().all(|byte| {
                        matches!(byte, b'0'..=b'9' | b'A'..=b'H' | b'J' | b'K' | b'M' | b'N' | b'P'..=b'T' | b'V'..=b'Z')
                    })
            }
            Held::Date => {
                let digit = |place: &usize| text[*place].is_ascii_digit();
                text.len() == 10 && text[4] == b'-' && text[7] == b'-' && [0, 1, 2, 3, 5, 6, 8, 9].iter().all(digit)
            }
            Held::Digits => !text.is_empty() && text.iter().all(u8::is_ascii_digit),
            Held::Integer => {
                let digits = text.strip_prefix(b"-").unwrap_or(text);
                let is_number = Held::Digits.fits(digits) && digits[0] != b'0' && digits.len() <= 18;
                is_number || text == b"0"
            }
        }
    }

    /// How much it takes at the beginning of `text`, or at its end; None where that depends on more.
    fn length(self, text: &[u8], from_end: bool) -> Option<usize> {
        let run = |text: &[u8]| match from_end {
            false => text.iter().take_while(|byte| byte.is_ascii_digit()).count(),
            true => text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count(),
        };
        match self {
            Held::Free => None,
            Held::Uuid => Some(36),
            Held::Ulid => Some(26),
            Held::Date => Some(10),
            Held::Digits => Some(run(text)),
            Held::Integer if from_end => None,
            Held::Integer => match text.strip_prefix(b"-") {
                Some(digits) => Some(1 + run(digits)),
                None => Some(run(text)),
            },
        }
    }
}

/// Whether text has the form of a uuid, of such digits.
pub fn is_uuid(text: &[u8], is_digit: impl Fn(u8) -> bool) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(place, &byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => is_digit(byte),
        })
}

#[derive(Debug)]
pub struct Pattern {
    /// Two placeholders of one column, and text between.
    is_doubled: bool,
    /// One more than there are placeholders.
    literals: Vec<Vec<u8>>,
    takes: Vec<(usize, Held)>,
}

impl Pattern {
    pub fn new(is_doubled: bool, literals: Vec<Vec<u8>>, takes: Vec<(usize, Held)>) -> Result<Pattern, &'static str> {
        let count = takes.len();
        if literals.len() != count + 1 || (is_doubled && count != 2) {
            return Err("a pattern whose parts do not alternate");
        }
        if count > 1 && literals[1..count].iter().any(Vec::is_empty) {
            return Err("a pattern whose placeholders touch");
        }
        let free = takes.iter().filter(|(_, held)| *held == Held::Free).count();
        if !is_doubled && free < count && free > 1 {
            return Err("a pattern with more than one free placeholder beside a form");
        }
        Ok(Pattern { is_doubled, literals, takes })
    }

    pub fn takes(&self, column: usize) -> bool {
        self.takes.iter().any(|&(one, _)| one == column)
    }

    pub fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.takes.iter().map(|&(column, _)| column)
    }

    /// Match the text that stands in `texts` at `text`; what each column takes is set in `taken`, whose columns that are
    /// set already have to take the same.
    pub fn matches(&self, texts: &[u8], text: Span, taken: &mut [Option<Span>]) -> bool {
        let (start, end) = (text.start as usize, text.end as usize);
        let whole = text.of(texts);
        let (first, last) = (&self.literals[0], &self.literals[self.takes.len()]);
        if self.takes.is_empty() {
            return whole == first.as_slice();
        }
        if whole.len() < first.len() + last.len() || !whole.starts_with(first) || !whole.ends_with(last) {
            return false;
        }
        let mut set = |column: usize, from: usize, to: usize| {
            let found = Span::new(from, to);
            match taken.get_mut(column) {
                Some(Some(known)) => known.of(texts) == found.of(texts),
                Some(place) => {
                    *place = Some(found);
                    true
                }
                None => false,
            }
        };
        let (mut from, mut to) = (start + first.len(), end - last.len());
        if self.is_doubled {
            let middle = &self.literals[1];
            let length =
                (to - from).checked_sub(middle.len()).filter(|length| length % 2 == 0).map(|length| length / 2);
            return match length {
                Some(length) if length > 0 => {
                    let (one, other) = (&texts[from..from + length], &texts[to - length..to]);
                    let between = &texts[from + length..to - length];
                    let (column, held) = self.takes[0];
                    one == other && between == middle.as_slice() && held.fits(one) && set(column, from, from + length)
                }
                _ => false,
            };
        }
        if self.takes.iter().all(|(_, held)| *held == Held::Free) {
            for (place, &(column, _)) in self.takes[..self.takes.len() - 1].iter().enumerate() {
                let literal = &self.literals[place + 1];
                let found = match find(&texts[from..to], literal) {
                    Some(found) => from + found,
                    None => return false,
                };
                if !set(column, from, found) {
                    return false;
                }
                from = found + literal.len();
            }
            return from < to && set(self.takes[self.takes.len() - 1].0, from, to);
        }
        self.matches_held(texts, &mut from, &mut to, set)
    }

    /// From both ends towards the free placeholder, if there is one.
    fn matches_held<F>(&self, texts: &[u8], from: &mut usize, to: &mut usize, mut set: F) -> bool
    where
        F: FnMut(usize, usize, usize) -> bool,
    {
        let free = self.takes.iter().position(|(_, held)| *held == Held::Free).unwrap_or(self.takes.len());
        for (place, &(column, held)) in self.takes[..free].iter().enumerate() {
            let rest = &texts[*from..*to];
            let length = match held.length(rest, false) {
                Some(length) if length <= rest.len() && held.fits(&rest[..length]) => length,
                _ => return false,
            };
            if !set(column, *from, *from + length) {
                return false;
            }
            *from += length;
            if place + 1 < self.takes.len() {
                let literal = &self.literals[place + 1];
                if !texts[*from..*to].starts_with(literal) {
                    return false;
                }
                *from += literal.len();
            }
        }
        if free == self.takes.len() {
            return *from == *to;
        }
        for (place, &(column, held)) in self.takes.iter().enumerate().skip(free + 1).rev() {
            let rest = &texts[*from..*to];
            let length = match held.length(rest, true) {
                Some(length) if length <= rest.len() && held.fits(&rest[rest.len() - length..]) => length,
                _ => return false,
            };
            if !set(column, *to - length, *to) {
                return false;
            }
            *to -= length;
            let literal = &self.literals[place];
            if !texts[*from..*to].ends_with(literal) {
                return false;
            }
            *to -= literal.len();
        }
        *from < *to && set(self.takes[free].0, *from, *to)
    }

    /// The pattern's text with every placeholder filled in.
    pub fn render(&self, texts: &[u8], taken: &[Option<Span>], out: &mut Vec<u8>) {
        for (place, &(column, _)) in self.takes.iter().enumerate() {
            out.extend_from_slice(&self.literals[place]);
            out.extend_from_slice(taken.get(column).copied().flatten().map_or(&[], |span| span.of(texts)));
        }
        out.extend_from_slice(&self.literals[self.takes.len()]);
    }
}

/// Where a literal first stands with at least one byte before it.
fn find(text: &[u8], literal: &[u8]) -> Option<usize> {
    (1..=text.len().checked_sub(literal.len())?).find(|&place| text[place..].starts_with(literal))
}
