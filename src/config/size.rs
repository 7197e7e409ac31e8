//! Sizes of files.

use super::rate;

/// A number of bytes, at least one, with the same units as rates.
///
/// # Errors
/// Says what is expected.
pub fn size(value: &str) -> Result<u64, String> {
    rate::bytes(value)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| format!("{value:?} is not a size: write 500M or 4G; with a B, a capital one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_of_bytes_or_has_a_unit() {
        for (text, bytes) in [("1", 1), ("500M", 500 << 20), ("4g", 4 << 30), ("3 MB", 3_000_000)] {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in ["0", "", "M", "1.5G", "-1", "99999999999G", "1x", "4Gb", "4gib"] {
            assert!(size(text).unwrap_err().contains("write 500M or 4G"), "{text}");
        }
    }
}
