//! The C interface with a small plan, given mutated items: for Miri and the address sanitizer, which look at each access.
//! Whether the rows are right is for the Python tests to say.
//!
//!     cargo +nightly miri test --test boundary
//!     ASHORE_FUZZ_CASES=10000000 cargo test --release --test boundary
//!     RUSTFLAGS=-Zsanitizer=address cargo +nightly test --target x86_64-unknown-linux-gnu --test boundary

use std::mem::MaybeUninit;
use std::ptr;

use ashore_native::boundary::{
    ashore_close, ashore_encode, ashore_lines, ashore_open, ashore_rows, ashore_version, Outcome, Output,
};

const ITEM: &str = concat!(
    r#"{"pk":{"S":"a|8f1d4c2a-0b1e-4a57-9c1d-2f3e4d5c6b7a"},"name":{"S":"\"h\u00e9\" é"},"fee":{"N":"-12.50"},"#,
    r#""tags":{"SS":["b","a"]},"doc":{"M":{"l":{"L":[{"N":"1E5"},{"NULL":true},{"NS":["2","1"]}]}}},"#,
    r#""parts":{"L":[{"M":{"name":{"S":"p"}}},{"M":{}}]},"x":{"M":{"a/b":{"B":"AA=="}}}}"#
);

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn column(attribute: &str, kind: &[u8]) -> Vec<u8> {
    [text(attribute), vec![0], text(&format!("/{attribute}")), vec![0, 0, 0, 0], kind.to_vec()].concat()
}

/// One entity with a uuid key, a column of some types each, and children.
fn plan() -> Vec<u8> {
    let any_text = [&[0][..], &u32::MAX.to_le_bytes()].concat();
    let text_array = [&[12][..], &25_u32.to_le_bytes(), &any_text].concat();
    let pattern = [vec![0, 2, 0], text("a|"), text(""), vec![1, 0, 0, 0, 0]].concat();
    let columns =
        [column("name", &any_text), column("fee", &[5, 0]), column("tags", &text_array), column("doc", &[11])].concat();
    [
        b"ASHORE\0\x01".to_vec(),
        vec![2, 0],
        text("pk"),
        vec![0, 0],
        vec![1, 0],
        vec![0, 0],
        vec![1, 0, 2, 0], // the key: a uuid, of text
        vec![1, 0, 0, 0], // one generation, of slot 0
        pattern,
        text("/pk"),
        text("/"),
        vec![4, 0],
        columns,
        vec![0, 0],       // no constants
        vec![0, 0],       // no derived attributes
        vec![1, 0, 1, 0], // children, into table 1
        text("parts"),
        text("/parts"),
        vec![1, 0, 0, 0, 4],
        vec![1, 0],
        column("name", &any_text),
        vec![0, 0],
    ]
    .concat()
}

fn encode(items: &[Vec<u8>]) -> (u64, u64) {
    let plan = plan();
    let data = items.concat();
    let mut ends = Vec::new();
    for item in items {
        ends.push(ends.last().copied().unwrap_or(0) + item.len() as u32);
    }
    let mut starts = vec![0];
    starts.extend_from_slice(&ends[..ends.len() - 1]);
    unsafe {
        let encoder = ashore_open(plan.as_ptr(), plan.len());
        assert!(!encoder.is_null());
        let mut outcome = MaybeUninit::<Outcome>::uninit();
        let (from, to) = (starts.as_ptr(), ends.as_ptr());
        let status = ashore_encode(encoder, data.as_ptr(), data.len(), from, to, ends.len(), 1, outcome.as_mut_ptr());
        assert_eq!(0, status);
        let outcome = outcome.assume_init();
        let mut output = MaybeUninit::<Output>::uninit();
        assert_eq!(0, ashore_rows(encoder, 0, output.as_mut_ptr()));
        let output = output.assume_init();
        let rows = std::slice::from_raw_parts(output.data, output.length as usize);
        let sum = rows.iter().map(|&byte| byte as u64).sum::<u64>();
        assert!(output.count == 0 || sum > 0);
        assert_eq!(items.len() as u64, output.count + outcome.refused_count);
        assert_eq!(1, ashore_rows(encoder, 2, &mut Output { data: ptr::null(), length: 0, count: 0 }));
        ashore_close(encoder);
        (output.count, outcome.refused_count)
    }
}

#[test]
fn an_item_is_taken() {
    assert_eq!(1, ashore_version());
    assert_eq!((1, 0), encode(&[ITEM.into()]));
}

#[test]
fn mutated_items_are_taken_or_refused() {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let asked = std::env::var("ASHORE_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = asked.unwrap_or(if cfg!(miri) { 60 } else { 40_000 });
    let mut refused = 0;
    for batch in 0..(cases + 9_999) / 10_000 {
        let items: Vec<_> = (0..10_000.min(cases - batch * 10_000)).map(|_| mutated(&mut next)).collect();
        refused += encode(&items).1;
    }
    assert!(refused > 0 && refused < cases as u64);
}

fn mutated(next: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut item = ITEM.as_bytes().to_vec();
    for _ in 0..=next(3) {
        let at = next(item.len());
        match next(4) {
            0 => item[at] = next(256) as u8,
            1 => item.truncate(at + 1),
            2 => item.insert(at, b"\"\\{}[],:0-"[next(10)]),
            _ => drop(item.splice(at..(at + next(9)).min(item.len()), ITEM.bytes().skip(next(200)).take(7))),
        }
        if item.is_empty() {
            item.push(b'{');
        }
    }
    item
}

#[test]
fn broken_plans_and_places_are_refused() {
    let whole = plan();
    unsafe {
        for length in 0..whole.len() {
            assert!(ashore_open(whole.as_ptr(), length).is_null());
        }
        assert!(ashore_open(ptr::null(), 0).is_null());
        ashore_close(ptr::null_mut());
        let encoder = ashore_open(whole.as_ptr(), whole.len());
        let mut outcome = MaybeUninit::<Outcome>::uninit();
        let data = ITEM.as_bytes();
        for (start, end) in [(0, data.len() as u32 + 1), (2, 1), (u32::MAX, u32::MAX)] {
            let status = ashore_encode(encoder, data.as_ptr(), data.len(), &start, &end, 1, 0, outcome.as_mut_ptr());
            assert_eq!(1, status);
        }
        assert_eq!(1, ashore_encode(encoder, ptr::null(), 0, &0, &0, 0, 0, outcome.as_mut_ptr()));
        ashore_close(encoder);
    }
}

#[test]
fn lines_stay_within_their_places() {
    let data = b"{\"Item\":{}}\n{\"Item\":{}}\n";
    let (mut starts, mut ends) = ([0; 2], [0; 2]);
    let mut cut = |from, to, most| unsafe {
        ashore_lines(data.as_ptr(), data.len(), from, to, starts.as_mut_ptr(), ends.as_mut_ptr(), most)
    };
    assert_eq!(2, cut(0, data.len(), 2));
    assert_eq!(1, cut(12, data.len(), 2));
    assert_eq!(-1, cut(0, data.len(), 1));
    assert_eq!(-1, cut(0, data.len() + 1, 2));
    assert_eq!(-1, cut(3, 2, 2));
}
