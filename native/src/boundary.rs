//! The C interface. No panic leaves it; every pointer and length is looked at before it is used.
//!
//! An encoder is used by one thread at a time. What `ashore_rows` and the others point to is the encoder's, and is there
//! until its next call.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::slice;

use crate::lines::plain_lines;
use crate::plan::Plan;
use crate::refusal::{Refusal, KINDS};
use crate::rows::Encoder;

/// Changes with every change of this interface or of the plan's format.
pub const VERSION: u32 = 1;

/// The most bytes of a chunk, so that places in it fit into 32 bits.
const LONGEST_CHUNK: usize = 1 << 30;

/// What a chunk became. `refused` are the places of items that were refused, in order; `by_refusal` counts them.
#[repr(C)]
pub struct Outcome {
    pub refused: *const u32,
    pub refused_count: u64,
    pub by_slot: *const u64,
    pub slots: u64,
    pub by_refusal: [u64; KINDS],
    pub shapes: *const u64,
    pub shapes_count: u64,
}

/// The rows of one table.
#[repr(C)]
pub struct Output {
    pub data: *const u8,
    pub length: u64,
    pub count: u64,
}

/// # Safety
/// Nothing is asked of the caller.
#[no_mangle]
pub extern "C" fn ashore_version() -> u32 {
    VERSION
}

/// A new encoder of a plan; null where it cannot be one.
///
/// # Safety
/// `plan` points to `length` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn ashore_open(plan: *const u8, length: usize) -> *mut Encoder {
    if plan.is_null() || length > isize::MAX as usize {
        return ptr::null_mut();
    }
    // SAFETY: not null, and the caller says that there are so many bytes; they are only read, and not kept.
    let bytes = unsafe { slice::from_raw_parts(plan, length) };
    match catch_unwind(|| Plan::read(bytes).map(Encoder::new)) {
        Ok(Ok(encoder)) => Box::into_raw(Box::new(encoder)),
        _ => ptr::null_mut(),
    }
}

/// # Safety
/// `encoder` comes from `ashore_open`, and is not used again. Null is taken too.
#[no_mangle]
pub unsafe extern "C" fn ashore_close(encoder: *mut Encoder) {
    if !encoder.is_null() {
        // SAFETY: `ashore_open` made it by `Box::into_raw`, and the caller gives it up.
        let owned = unsafe { Box::from_raw(encoder) };
        let _ = catch_unwind(AssertUnwindSafe(move || drop(owned)));
    }
}

/// What `ashore_encode` is asked for, beside rows: shapes, and to go on with a chunk instead of beginning one.
const SHAPES: u32 = 1;
const GOING_ON: u32 = 2;

/// Encode items of a chunk, which stand in `data`; `starts` and `ends` have where. Returns 0 where `outcome` was
/// filled, 1 where an argument is wrong, and 2 after a fault: then nothing was encoded.
///
/// # Safety
/// `encoder` comes from `ashore_open`, and no other thread uses it. `data` points to `length` readable bytes, `starts` and
/// `ends` each to `count` aligned numbers, `outcome` to a place for one.
#[no_mangle]
pub unsafe extern "C" fn ashore_encode(
    encoder: *mut Encoder,
    data: *const u8,
    length: usize,
    starts: *const u32,
    ends: *const u32,
    count: usize,
    flags: u32,
    outcome: *mut Outcome,
) -> i32 {
    if encoder.is_null()
        || data.is_null()
        || outcome.is_null()
        || !are_numbers(starts, count)
        || !are_numbers(ends, count)
    {
        return 1;
    }
    if length > LONGEST_CHUNK {
        return 1;
    }
    // SAFETY: none is null, the lengths are far below the most that a slice may have, the numbers are aligned, and the
    // caller says that so much is there. The encoder is this call's alone, as the caller says too.
    let (encoder, data) = unsafe { (&mut *encoder, slice::from_raw_parts(data, length)) };
    // SAFETY: as above.
    let (starts, ends) = unsafe { (slice::from_raw_parts(starts, count), slice::from_raw_parts(ends, count)) };
    if starts.iter().zip(ends).any(|(start, end)| start > end || *end as usize > length) {
        return 1;
    }
    let places = starts.iter().zip(ends).map(|(&start, &end)| (start as usize, end as usize));
    // A panic may leave the encoder half done, never broken: it holds vectors and numbers, and `clear` empties them.
    let run = AssertUnwindSafe(|| {
        if flags & GOING_ON == 0 {
            encoder.clear();
        }
        encoder.encode(data, places, flags & SHAPES != 0)
    });
    if catch_unwind(run).is_err() {
        encoder.clear();
        return 2;
    }
    let filled = Outcome {
        refused: encoder.refused.as_ptr(),
        refused_count: encoder.refused.len() as u64,
        by_slot: encoder.by_slot.as_ptr(),
        slots: encoder.by_slot.len() as u64,
        by_refusal: encoder.by_refusal,
        shapes: encoder.shapes.as_ptr(),
        shapes_count: encoder.shapes.len() as u64,
    };
    // SAFETY: not null, and the caller says that there is a place for one; `write` asks for no more than that.
    unsafe { outcome.write_unaligned(filled) };
    0
}

/// Whether there may be so many numbers at this place.
fn are_numbers(place: *const u32, count: usize) -> bool {
    !place.is_null() && count <= LONGEST_CHUNK && place as usize % std::mem::align_of::<u32>() == 0
}

/// Find the items in the lines of an export that stand in `data` from `from` to `to`, each `{"Item":{…}}` and a newline;
/// fill `starts` and `ends`. Returns how many there are, -1 where a line has another form, where there are more than `capacity`, or where an argument is wrong.
///
/// # Safety
/// `data` points to `length` readable bytes; `starts` and `ends` each to `capacity` aligned numbers, which are written.
#[no_mangle]
pub unsafe extern "C" fn ashore_lines(
    data: *const u8,
    length: usize,
    from: usize,
    to: usize,
    starts: *mut u32,
    ends: *mut u32,
    capacity: usize,
) -> i64 {
    if from > to || to > length {
        return -1;
    }
    if data.is_null() || length > LONGEST_CHUNK || !are_numbers(starts, capacity) || !are_numbers(ends, capacity) {
        return -1;
    }
    // SAFETY: not null, and the caller says that so much is there; it is only read.
    let data = unsafe { slice::from_raw_parts(data, length) };
    // SAFETY: neither null nor unaligned, and the caller says that so much is there, and nobody else's meanwhile.
    let (starts, ends) =
        unsafe { (slice::from_raw_parts_mut(starts, capacity), slice::from_raw_parts_mut(ends, capacity)) };
    match catch_unwind(AssertUnwindSafe(|| plain_lines(&data[..to], from, starts, ends))) {
        Ok(Some(count)) => count as i64,
        _ => -1,
    }
}

/// The rows of one table that the last chunk became; 1 where there is no such table.
///
/// # Safety
/// As `ashore_encode`.
#[no_mangle]
pub unsafe extern "C" fn ashore_rows(encoder: *const Encoder, table: usize, output: *mut Output) -> i32 {
    if encoder.is_null() || output.is_null() {
        return 1;
    }
    // SAFETY: it comes from `ashore_open`, and no other thread changes it, as the caller says.
    let encoder = unsafe { &*encoder };
    match encoder.rows.get(table) {
        None => 1,
        Some(rows) => {
            let filled = Output { data: rows.data.as_ptr(), length: rows.data.len() as u64, count: rows.count };
            // SAFETY: not null, and the caller says that there is a place for one.
            unsafe { output.write_unaligned(filled) };
            0
        }
    }
}

/// How many kinds of refusals there are, the unused one included.
#[no_mangle]
pub extern "C" fn ashore_refusals() -> u32 {
    debug_assert!((Refusal::Fault as usize) < KINDS);
    KINDS as u32
}
