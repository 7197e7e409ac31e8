//! Rates of transfer: bytes a second, with the usual suffixes.

/// Slower than this no revision would ever arrive.
const LEAST: u64 = 1024;

/// Suffixes and what they multiply by; a number alone is bytes.
const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
];

/// A number of bytes, with or without a unit, in any case.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.to_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text[digits.len()..].trim_start();
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    factor.filter(|_| is_number).and_then(|factor| digits.parse::<u64>().ok()?.checked_mul(factor))
}

/// Bytes a second; 0: without a limit.
///
/// # Errors
/// Says what is expected.
pub fn bytes_a_second(value: &str) -> Result<u64, String> {
    let lower = value.to_lowercase();
    let bytes = bytes(lower.strip_suffix("/s").unwrap_or(&lower));
    match bytes {
        Some(0) => Ok(0),
        Some(bytes) if bytes >= LEAST => Ok(bytes),
        Some(_) => Err(format!("{value:?} is less than {LEAST} bytes a second; 0 is no limit")),
        None => Err(format!("{value:?} is not a number of bytes a second, such as 500K, 20M or 1G; 0 is no limit")),
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
            ("1G", 1 << 30),
        ] {
            assert_eq!(bytes_a_second(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "M", "-1", "1.5M", "20Mbit", "20M/h", "99999999999G", "10", "1 2K"] {
            assert!(bytes_a_second(wrong).is_err(), "{wrong}");
        }
    }
}
