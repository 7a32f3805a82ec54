//! Why an item is left to Python. Nothing here is an error: the general path finds out what becomes of the item.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// No DynamoDB JSON, or in another form than DynamoDB writes.
    Form = 1,
    /// Not UTF-8.
    Utf8,
    /// A key attribute is missing, or of another type than declared.
    NoKey,
    /// The key is of no entity that is to be read here.
    Unrouted,
    /// A key column does not take its text, or would not give it back.
    Key,
    /// A column that must be filled is not.
    Missing,
    /// Another type than the column takes.
    Type,
    /// A value that the column does not take, or not in this spelling.
    Value,
    /// U+0000.
    Nul,
    /// An escape where none is expected, or a broken one.
    Escape,
    /// A name that stands twice.
    Repeated,
    /// Nested deeper than DynamoDB nests.
    Deep,
    /// Larger than any item, or it would grow beyond measure.
    Large,
    /// A constant or derived attribute of an unexpected type.
    Contradiction,
    /// A fault of this library, caught.
    Fault,
}

/// How many kinds there are; a class is below this.
pub const KINDS: usize = 16;
