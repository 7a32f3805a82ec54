//! Attribute names that a declaration knows, and the members of an object read against them.

use crate::refusal::Refusal;
use crate::scan::{string_end, value_at, Span, Value};

/// Stands for a name that the declaration does not know.
pub const UNKNOWN: u16 = u16::MAX;

/// Members of one object that are told apart; an object with more is refused.
const MOST_MEMBERS: usize = 4_096;

/// Names by number. `after` guesses, from the name before, which one follows: items of one kind are written alike.
#[derive(Default)]
pub struct Names {
    /// Each with its closing quote and colon, as it stands in JSON behind its opening quote.
    spelled: Vec<Vec<u8>>,
    buckets: Vec<u16>,
    after: Vec<u16>,
}

impl Names {
    /// The number of a name, given one if it is new.
    pub fn add(&mut self, name: &[u8]) -> Result<u16, &'static str> {
        if let Some(known) = self.spelled.iter().position(|one| &one[..one.len() - 2] == name) {
            return Ok(known as u16);
        }
        if name.iter().any(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20) {
            return Err("a name that JSON spells with a backslash");
        }
        if self.spelled.len() >= 4_000 {
            return Err("too many attribute names");
        }
        self.spelled.push([name, b"\":"].concat());
        let size = (self.spelled.len() * 4).next_power_of_two();
        self.buckets = vec![UNKNOWN; size];
        for (id, one) in self.spelled.iter().enumerate() {
            let mut at = hash(&one[..one.len() - 2]) as usize & (size - 1);
            while self.buckets[at] != UNKNOWN {
                at = (at + 1) & (size - 1);
            }
            self.buckets[at] = id as u16;
        }
        self.after = vec![0; self.spelled.len() + 1];
        Ok(self.spelled.len() as u16 - 1)
    }

    pub fn len(&self) -> usize {
        self.spelled.len()
    }

    fn find(&self, name: &[u8]) -> u16 {
        if self.buckets.is_empty() {
            return UNKNOWN;
        }
        let mask = self.buckets.len() - 1;
        let mut at = hash(name) as usize & mask;
        loop {
            let id = self.buckets[at];
            if id == UNKNOWN {
                return UNKNOWN;
            }
            let spelled = &self.spelled[id as usize];
            if &spelled[..spelled.len() - 2] == name {
                return id;
            }
            at = (at + 1) & mask;
        }
    }
}

fn hash(name: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut sum = name.len() as u64;
    for part in name.chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        sum = (sum.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    sum ^ (sum >> 32)
}

#[derive(Clone, Copy)]
pub struct Member {
    pub id: u16,
    pub name: Span,
    pub value: Value,
}

/// The members of one object, in their order; `by_id` finds those that the declaration knows.
#[derive(Default)]
pub struct Tape {
    pub members: Vec<Member>,
    by_id: Vec<u16>,
    unknown: Vec<(u64, u16)>,
}

impl Tape {
    /// The value of a known name.
    #[inline]
    pub fn get(&self, id: u16) -> Option<&Value> {
        let place = *self.by_id.get(id as usize)?;
        self.members.get(place as usize).map(|member| &member.value)
    }

    /// Read the object at `at`; returns where it ends. No name may stand in it twice, or with a backslash.
    pub fn read(&mut self, data: &[u8], at: usize, names: &mut Names) -> Result<usize, Refusal> {
        self.members.clear();
        self.unknown.clear();
        self.by_id.clear();
        self.by_id.resize(names.len(), UNKNOWN);
        if data.get(at) != Some(&b'{') {
            return Err(Refusal::Form);
        }
        let mut at = at + 1;
        if data.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        let mut last = names.len();
        loop {
            if data.get(at) != Some(&b'"') {
                return Err(Refusal::Form);
            }
            let (id, name, start) = name_at(data, at + 1, names, last)?;
            let value = value_at(data, start)?;
            let place = self.members.len();
            if place >= MOST_MEMBERS {
                return Err(Refusal::Large);
            }
            match self.by_id.get_mut(id as usize) {
                Some(known) if *known == UNKNOWN => {
                    *known = place as u16;
                    last = id as usize;
                }
                Some(_) => return Err(Refusal::Repeated),
                None => self.add_unknown(data, name, place)?,
            }
            self.members.push(Member { id, name, value });
            at = value.whole.end as usize;
            match data.get(at) {
                Some(b',') => at += 1,
                Some(b'}') => return Ok(at + 1),
                _ => return Err(Refusal::Form),
            }
        }
    }

    fn add_unknown(&mut self, data: &[u8], name: Span, place: usize) -> Result<(), Refusal> {
        let sum = hash(name.of(data));
        for &(other, at) in &self.unknown {
            if other == sum && self.members[at as usize].name.of(data) == name.of(data) {
                return Err(Refusal::Repeated);
            }
        }
        if self.unknown.len() >= 256 {
            return Err(Refusal::Large);
        }
        self.unknown.push((sum, place as u16));
        Ok(())
    }
}

/// The name that begins at `at`: its number, itself, and where its value begins.
#[inline]
fn name_at(data: &[u8], at: usize, names: &mut Names, last: usize) -> Result<(u16, Span, usize), Refusal> {
    let guess = names.after.get(last).copied().unwrap_or(0);
    if let Some(spelled) = names.spelled.get(guess as usize) {
        if data.get(at..at + spelled.len()) == Some(spelled.as_slice()) {
            return Ok((guess, Span::new(at, at + spelled.len() - 2), at + spelled.len()));
        }
    }
    let (end, escaped) = string_end(data, at)?;
    if escaped {
        return Err(Refusal::Escape);
    }
    if data.get(end + 1) != Some(&b':') {
        return Err(Refusal::Form);
    }
    let name = Span::new(at, end);
    let id = names.find(name.of(data));
    if id != UNKNOWN {
        if let Some(after) = names.after.get_mut(last) {
            *after = id;
        }
    }
    Ok((id, name, end + 2))
}
