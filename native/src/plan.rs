//! A compiled declaration, as the bytes that `ashore.mapping.native_plan` writes.

use crate::names::Names;
use crate::pattern::{Held, Pattern};
use crate::scan::Tag;

type Result<T> = std::result::Result<T, &'static str>;

/// A column's type, as its binary format needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Text {
        longest: Option<usize>,
    },
    Enum {
        labels: Vec<Vec<u8>>,
    },
    Uuid,
    /// So many bytes.
    Integer {
        bytes: u8,
    },
    /// A whole number that the attribute has as text.
    IntegerInText {
        bytes: u8,
    },
    /// Digits before and behind the point, where they are bounded.
    Numeric {
        bounds: Option<(usize, usize)>,
    },
    Boolean,
    Date,
    Moment {
        aware: bool,
    },
    /// So many microseconds a unit.
    Epoch {
        unit: i64,
    },
    Bytes,
    Json,
    /// Of these elements; the number is their type's OID.
    Array {
        element: Box<Kind>,
        oid: u32,
    },
}

pub struct Column {
    /// Its attribute, or the attribute that holds the map which its value is in.
    pub id: u16,
    /// For a path into a map: the place in `Record::inner`, and in what was found there.
    pub inner: Option<usize>,
    pub pointer: Vec<u8>,
    pub is_required: bool,
    pub has_explicit_null: bool,
    /// Whether a value that it cannot hold is kept in the residue.
    pub keeps_unfit: bool,
    /// Whether a template renders it.
    pub is_rendered: bool,
    pub kind: Kind,
}

pub struct Constant {
    pub id: u16,
    pub pointer: Vec<u8>,
    pub tag: Tag,
    /// Text as it is, anything else as JSON.
    pub content: Vec<u8>,
}

/// Members of one attribute's map that have columns of their own.
pub struct Inner {
    pub id: u16,
    pub names: Vec<Vec<u8>>,
    /// The place of the first in what was found.
    pub first: usize,
}

/// What becomes of a name that is not given a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Extra,
    Used,
}

pub struct Record {
    pub columns: Vec<Column>,
    pub constants: Vec<Constant>,
    pub inner: Vec<Inner>,
    pub inner_count: usize,
    /// By the number of a name.
    pub roles: Vec<Role>,
}

impl Record {
    pub fn role(&self, id: u16) -> Role {
        self.roles.get(id as usize).copied().unwrap_or(Role::Extra)
    }

    /// The names that are taken out of an attribute's map.
    pub fn omitted(&self, id: u16) -> &[Vec<u8>] {
        self.inner.iter().find(|one| one.id == id).map_or(&[], |one| &one.names)
    }

    fn use_name(&mut self, id: u16) {
        let place = id as usize;
        if self.roles.len() <= place {
            self.roles.resize(place + 1, Role::Extra);
        }
        self.roles[place] = Role::Used;
    }
}

pub struct KeyColumn {
    pub kind: Kind,
    /// Whether it is the whole of a number or binary key.
    pub typed_as: Tag,
}

pub struct Generation {
    pub slot: u16,
    pub partition: Pattern,
    pub sort: Option<Pattern>,
}

pub struct Derived {
    pub id: u16,
    pub pointer: Vec<u8>,
    pub pattern: Pattern,
    pub tag: Tag,
}

pub struct Child {
    pub table: usize,
    pub id: u16,
    pub pointer: Vec<u8>,
    /// Key columns of the parent, in the order of the child's.
    pub parents: Vec<usize>,
    pub order_bytes: u8,
    pub record: Record,
    pub names: Names,
}

pub struct Entity {
    pub table: usize,
    pub key: Vec<KeyColumn>,
    pub generations: Vec<Generation>,
    pub pointers: [Vec<u8>; 2],
    pub record: Record,
    pub derived: Vec<Derived>,
    pub children: Vec<Child>,
}

pub struct Key {
    pub id: u16,
    pub tag: Tag,
}

pub struct Plan {
    pub tables: usize,
    pub slots: usize,
    pub partition: Key,
    pub sort: Option<Key>,
    pub names: Names,
    pub entities: Vec<Entity>,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8]> {
        if length > self.rest.len() {
            return Err("the plan is cut short");
        }
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.bytes(1)?[0])
    }

    fn flag(&mut self) -> Result<bool> {
        Ok(self.u8()? != 0)
    }

    fn u16(&mut self) -> Result<u16> {
        let taken = self.bytes(2)?;
        Ok(u16::from_le_bytes([taken[0], taken[1]]))
    }

    fn u32(&mut self) -> Result<u32> {
        let taken = self.bytes(4)?;
        Ok(u32::from_le_bytes([taken[0], taken[1], taken[2], taken[3]]))
    }

    fn text(&mut self) -> Result<Vec<u8>> {
        let length = self.u32()? as usize;
        Ok(self.bytes(length)?.to_vec())
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let length = self.u16()?;
        (0..length).map(|_| read(self)).collect()
    }

    fn tag(&mut self) -> Result<Tag> {
        Ok(match self.u8()? {
            0 => Tag::S,
            1 => Tag::N,
            2 => Tag::B,
            3 => Tag::Bool,
            4 => Tag::Null,
            5 => Tag::M,
            6 => Tag::L,
            7 => Tag::Ss,
            8 => Tag::Ns,
            9 => Tag::Bs,
            _ => return Err("no DynamoDB type"),
        })
    }

    fn kind(&mut self) -> Result<Kind> {
        Ok(match self.u8()? {
            0 => Kind::Text { longest: Some(self.u32()? as usize).filter(|&longest| longest != u32::MAX as usize) },
            1 => Kind::Enum { labels: self.list(Reader::text)? },
            2 => Kind::Uuid,
            3 => Kind::Integer { bytes: self.width()? },
            4 => Kind::IntegerInText { bytes: self.width()? },
            5 => Kind::Numeric {
                bounds: if self.flag()? { Some((self.u32()? as usize, self.u32()? as usize)) } else { None },
            },
            6 => Kind::Boolean,
            7 => Kind::Date,
            8 => Kind::Moment { aware: self.flag()? },
            9 => Kind::Epoch { unit: self.u32()? as i64 },
            10 => Kind::Bytes,
            11 => Kind::Json,
            12 => {
                let oid = self.u32()?;
                if self.rest.first() == Some(&12) {
                    return Err("an array of arrays");
                }
                Kind::Array { element: Box::new(self.kind()?), oid }
            }
            _ => return Err("no column type"),
        })
    }

    fn width(&mut self) -> Result<u8> {
        let bytes = self.u8()?;
        if [2, 4, 8].contains(&bytes) {
            Ok(bytes)
        } else {
            Err("no width of an integer")
        }
    }

    /// A pattern over so many columns.
    fn pattern(&mut self, columns: usize) -> Result<Pattern> {
        let is_doubled = self.flag()?;
        let literals = self.list(Reader::text)?;
        let takes = self.list(|reader| {
            let column = reader.u16()? as usize;
            if column >= columns {
                return Err("a pattern of no column");
            }
            Ok((column, Held::of(reader.u8()?)?))
        })?;
        Pattern::new(is_doubled, literals, takes)
    }

    fn record(&mut self, names: &mut Names) -> Result<Record> {
        let mut record =
            Record { columns: Vec::new(), constants: Vec::new(), inner: Vec::new(), inner_count: 0, roles: Vec::new() };
        let mut inside: Vec<(u16, Vec<u8>, usize)> = Vec::new();
        for place in 0..self.u16()? as usize {
            let id = names.add(&self.text()?)?;
            if self.flag()? {
                inside.push((id, self.text()?, place));
            } else {
                record.use_name(id);
            }
            record.columns.push(Column {
                id,
                inner: None,
                pointer: self.text()?,
                is_required: self.flag()?,
                has_explicit_null: self.flag()?,
                keeps_unfit: self.flag()?,
                is_rendered: self.flag()?,
                kind: self.kind()?,
            });
        }
        inside.sort_by_key(|one| one.0);
        for (found, (id, name, place)) in inside.into_iter().enumerate() {
            record.columns[place].inner = Some(found);
            match record.inner.last_mut().filter(|one| one.id == id) {
                Some(one) => one.names.push(name),
                None => record.inner.push(Inner { id, names: vec![name], first: found }),
            }
            record.inner_count = found + 1;
        }
        record.constants = self.list(|reader| {
            let id = names.add(&reader.text()?)?;
            record.use_name(id);
            Ok(Constant { id, pointer: reader.text()?, tag: reader.tag()?, content: reader.text()? })
        })?;
        Ok(record)
    }

    fn entity(&mut self, plan: &mut Plan) -> Result<Entity> {
        let table = self.table(plan.tables)?;
        let key = self.list(|reader| Ok(KeyColumn { kind: reader.kind()?, typed_as: reader.tag()? }))?;
        let generations = self.list(|reader| {
            let slot = reader.u16()?;
            plan.slots = plan.slots.max(slot as usize + 1);
            let partition = reader.pattern(key.len())?;
            let sort = if plan.sort.is_some() { Some(reader.pattern(key.len())?) } else { None };
            let found = Generation { slot, partition, sort };
            let taken =
                |column| found.partition.takes(column) || found.sort.as_ref().map_or(false, |one| one.takes(column));
            if !(0..key.len()).all(taken) {
                return Err("a key that leaves a column out");
            }
            Ok(found)
        })?;
        if generations.is_empty() {
            return Err("an entity without keys");
        }
        let pointers = [self.text()?, self.text()?];
        let mut record = self.record(&mut plan.names)?;
        record.use_name(plan.partition.id);
        if let Some(sort) = &plan.sort {
            record.use_name(sort.id);
        }
        let columns = key.len() + record.columns.len();
        let derived = self.list(|reader| {
            let id = plan.names.add(&reader.text()?)?;
            record.use_name(id);
            let pointer = reader.text()?;
            Ok(Derived { id, pointer, pattern: reader.pattern(columns)?, tag: reader.tag()? })
        })?;
        let children = self.list(|reader| {
            let table = reader.table(plan.tables)?;
            let id = plan.names.add(&reader.text()?)?;
            record.use_name(id);
            let pointer = reader.text()?;
            let parents = reader.list(|reader| Ok(reader.u16()? as usize))?;
            if parents.iter().any(|&parent| parent >= key.len()) {
                return Err("a child of no key column");
            }
            let order_bytes = reader.width()?;
            let mut names = Names::default();
            let record = reader.record(&mut names)?;
            Ok(Child { table, id, pointer, parents, order_bytes, record, names })
        })?;
        Ok(Entity { table, key, generations, pointers, record, derived, children })
    }

    fn table(&mut self, tables: usize) -> Result<usize> {
        let table = self.u16()? as usize;
        if table < tables {
            Ok(table)
        } else {
            Err("no such table")
        }
    }
}

impl Plan {
    /// Read the whole of a plan, and nothing behind it.
    pub fn read(bytes: &[u8]) -> Result<Plan> {
        let mut reader = Reader { rest: bytes };
        if reader.bytes(8)? != b"ASHORE\0\x01" {
            return Err("the plan is of another version");
        }
        let tables = reader.u16()? as usize;
        let mut names = Names::default();
        let partition = Key { id: names.add(&reader.text()?)?, tag: reader.tag()? };
        let sort =
            if reader.flag()? { Some(Key { id: names.add(&reader.text()?)?, tag: reader.tag()? }) } else { None };
        let mut plan = Plan { tables, slots: 0, partition, sort, names, entities: Vec::new() };
        for _ in 0..reader.u16()? {
            let entity = reader.entity(&mut plan)?;
            plan.entities.push(entity);
        }
        if reader.rest.is_empty() {
            Ok(plan)
        } else {
            Err("there is more behind the plan")
        }
    }
}
