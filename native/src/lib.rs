//! DynamoDB JSON to rows of PostgreSQL's binary COPY.
//!
//! `rows::Encoder` does the work, in safe Rust; `boundary` is what C, and so Python, sees of it. An item that is not
//! exactly what the declaration expects is refused: its caller has another way for it.
//!
//! Memory: an encoder keeps what the largest chunk took. A chunk's rows are at most 8 times its bytes and, for each
//! item and table, 64 KB; what is gathered beside them for one item is at most 32 times its bytes.

#![deny(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

#[allow(unsafe_code)] // the C interface; each use has its reason
pub mod boundary;
mod fields;
mod json;
pub mod lines;
mod names;
mod numbers;
mod pattern;
pub mod plan;
pub mod refusal;
pub mod rows;
mod scan;
mod times;
