//! The mode, the owner and the group of a configuration file, as `config-files.yaml` has them.

use crate::problem::Problem;
use crate::yaml::Value;

use super::entries::Field;

/// The owner can read the file. Hoist has to, too, where it is deployed by an account of its own.
const OWNER_READS: u32 = 0o400;

/// Everybody can write the file.
const ALL_WRITE: u32 = 0o002;

/// The permission bits of a file: an octal number, or what each may do.
///
/// YAML takes a number that does not begin with 0 for a decimal one, so that `640` would be another mode than what is
/// meant: it is refused.
pub fn mode(field: &Field) -> Result<u32, Problem> {
    let text = field.text()?;
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let is_octal = !digits.is_empty() && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = match (&field.value.value, is_octal) {
        (Value::Text(_), true) => octal(digits),
        (Value::Text(_), false) => symbolic(text),
        (_, true) if text.starts_with('0') => octal(digits),
        (_, true) if text.len() == 3 => Err(format!("is a decimal number in YAML: write \"0{text}\"")),
        _ => Err("is no octal number: write it with quotes, such as \"0640\"".to_owned()),
    };
    let checked = mode.and_then(|mode| match mode {
        0o1000.. => Err("sets more than permissions: use 0777 at most".to_owned()),
        _ if mode & OWNER_READS == 0 => Err("does not let the owner read the file: begin with 04 or 06".to_owned()),
        _ if mode & ALL_WRITE != 0 => {
            Err("lets everybody change the file: name an owner or a group instead".to_owned())
        }
        _ => Ok(mode),
    });
    checked.map_err(|why| field.problem(format!("mode {text} {why}")))
}

fn octal(digits: &str) -> Result<u32, String> {
    u32::from_str_radix(digits, 8).map_err(|_| "is too large: use 0777 at most".to_owned())
}

/// `u=rw,g=r`: who is not named may do nothing.
fn symbolic(text: &str) -> Result<u32, String> {
    let wrong = || "is not a mode: write an octal number such as \"0640\", or u=rw,g=r".to_owned();
    let mut mode = 0;
    for clause in text.split(',') {
        let Some((who, what)) = clause.split_once('=') else {
            return Err(match clause.trim_start_matches(['u', 'g', 'o', 'a']).starts_with(['+', '-']) {
                true => "depends on an earlier mode: write all of it, as in u=rw,g=r".to_owned(),
                false => wrong(),
            });
        };
        let mut bits = 0;
        for letter in what.chars() {
            bits |= match letter {
                'r' => 4,
                'w' => 2,
                'x' => 1,
                _ => return Err(wrong()),
            };
        }
        if who.is_empty() {
            return Err(format!("does not say for whom {what} is: write u, g, o or a before the ="));
        }
        for letter in who.chars() {
            let shifts: &[u32] = match letter {
                'u' => &[6],
                'g' => &[3],
                'o' => &[0],
                'a' => &[6, 3, 0],
                _ => return Err(wrong()),
            };
            mode = shifts.iter().fold(mode, |mode, shift| mode & !(7 << shift) | bits << shift);
        }
    }
    Ok(mode)
}

/// The name or the number of a user or a group.
pub fn name(field: &Field) -> Result<String, Problem> {
    let text = field.text()?;
    let wrong = |why: &str| field.problem(format!("{} {text:?} {why}", field.name()));
    if text.contains(':') {
        return Err(wrong("contains a colon: owner and group are two keys"));
    }
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        // YAML would take 010 for 8; and the last number means "leave it as it is" to the system.
        return match text.parse::<u32>() {
            Ok(number) if number.to_string() == text && number != u32::MAX => Ok(text.to_owned()),
            _ => Err(wrong("is neither a name nor a number of the system's")),
        };
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.@$\\".contains(c);
    if text.is_empty() || text.starts_with('-') || !text.chars().all(is_plain) {
        return Err(wrong("is not a name that a system can have"));
    }
    Ok(text.to_owned())
}
