//! Lines of an export's data file, each `{"Item":{…}}`, as places of the items in them.

const OPENING: &[u8] = b"{\"Item\":{";
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Where the first newline is at or behind `at`; eight bytes at a time, as in `scan::special`.
fn newline(data: &[u8], mut at: usize) -> Option<usize> {
    while let Some(Ok(word)) = data.get(at..at + 8).map(<[u8; 8]>::try_from) {
        let word = u64::from_le_bytes(word) ^ (ONES * b'\n' as u64);
        let found = word.wrapping_sub(ONES) & !word & HIGH;
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    data.get(at..)?.iter().position(|&byte| byte == b'\n').map(|place| at + place)
}

/// Write where the item of each line from `from` on starts and ends; returns how many there are. None where a line is not exactly in
/// this form, does not end in a newline, or is one more than there are places for.
pub fn plain_lines(data: &[u8], from: usize, starts: &mut [u32], ends: &mut [u32]) -> Option<usize> {
    let mut at = from;
    let mut count = 0;
    while at < data.len() {
        let end = newline(data, at)?;
        let line = &data[at..end];
        if !line.starts_with(OPENING) || !line.ends_with(b"}}") || line.len() < OPENING.len() + 2 {
            return None;
        }
        *starts.get_mut(count)? = (at + OPENING.len() - 1) as u32;
        *ends.get_mut(count)? = (end - 1) as u32;
        count += 1;
        at = end + 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_in_plain_lines_only() {
        let data = b"{\"Item\":{}}\n{\"Item\":{\"a\":{\"S\":\"b\"}}}\n";
        let (mut starts, mut ends) = ([0; 3], [0; 3]);
        assert_eq!(Some(2), plain_lines(data, 0, &mut starts, &mut ends));
        assert_eq!(b"{}", &data[starts[0] as usize..ends[0] as usize]);
        assert_eq!(b"{\"a\":{\"S\":\"b\"}}", &data[starts[1] as usize..ends[1] as usize]);
        assert_eq!(None, plain_lines(data, 0, &mut [0; 1], &mut [0; 1]));
        for other in ["{\"Item\":{}}", "{\"Item\": {}}\n", "\n", "{\"Item\":{}\n", "{\"Item\":{\n}}\n"] {
            assert_eq!(None, plain_lines(other.as_bytes(), 0, &mut starts, &mut ends), "{other}");
        }
    }
}
