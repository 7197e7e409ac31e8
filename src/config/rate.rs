//! Rates of transfer: bytes a second, with the usual suffixes.

/// Slower than this no revision would ever arrive.
const LEAST: u64 = 1024;

/// Suffixes and what they multiply by; a number alone is bytes. The first letter may be small.
const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// A number of bytes, with or without a unit. A small `b` is none: elsewhere it stands for bits.
pub fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let mut unit = text[digits.len()..].trim_start().to_owned();
    if let Some(first) = unit.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    factor.filter(|_| is_number).and_then(|factor| digits.parse::<u64>().ok()?.checked_mul(factor))
}

/// Bytes a second; 0: without a limit.
///
/// # Errors
/// Says what is expected.
pub fn bytes_a_second(value: &str) -> Result<u64, String> {
    match bytes(value.strip_suffix("/s").unwrap_or(value)) {
        Some(0) => Ok(0),
        Some(bytes) if bytes >= LEAST => Ok(bytes),
        Some(_) => Err(format!("{value:?} is less than {LEAST} bytes a second; 0 is no limit")),
        None => Err(format!(
            "{value:?} is not a number of bytes a second: write 500K, 20M or 20MB, with a capital B if any; 0 is no limit"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_the_usual_units() {
        for (text, bytes) in [
            ("0", 0),
            ("2048", 2048),
            ("500k", 512_000),
            ("20M", 20 << 20),
            ("20 MiB/s", 20 << 20),
            ("12MB/s", 12_000_000),
            ("12 kB/s", 12_000),
            ("1G", 1 << 30),
        ] {
            assert_eq!(bytes_a_second(text), Ok(bytes), "{text}");
        }
        for wrong in [
            "",
            "M",
            "-1",
            "1.5M",
            "20Mbit",
            "20M/h",
            "99999999999G",
            "10",
            "1 2K",
            "20Mb/s",
            "20mb",
            "20Mib",
            "20MIB",
            "20B",
            "20T",
        ] {
            assert!(bytes_a_second(wrong).is_err(), "{wrong}");
        }
    }
}
