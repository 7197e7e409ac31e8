//! One field of a format, which Python's two languages for formats share.

use crate::jinja::error::{Error, refuse};
use crate::jinja::values::{Value, python};

/// The widest field and the most digits, so that a typing error does not exhaust the memory.
const WIDEST: usize = 10_000;

/// The specification of a field, in either language.
#[derive(Default, Clone)]
pub struct Spec {
    pub kind: Option<char>,
    pub padding: Padding,
    /// `+`, `-` or a blank.
    pub sign: Option<char>,
    pub alternate: bool,
    /// `,` or `_`.
    pub grouping: Option<char>,
    pub precision: Option<usize>,
}

/// How a field gets its width.
#[derive(Default, Clone, Copy)]
pub struct Padding {
    pub fill: Option<char>,
    /// `<`, `>`, `^` or `=`.
    pub align: Option<char>,
    pub zero: bool,
    pub width: usize,
}

impl Padding {
    /// The text for `room` empty places.
    fn filling(self, room: usize) -> String {
        self.fill.unwrap_or(if self.zero { '0' } else { ' ' }).to_string().repeat(room)
    }

    fn room(self, length: usize) -> usize {
        self.width.saturating_sub(length)
    }

    fn pad(self, text: String, default: char) -> String {
        let room = self.room(text.chars().count());
        match self.align.unwrap_or(default) {
            '<' => text + &self.filling(room),
            '^' => self.filling(room / 2) + &text + &self.filling(room - room / 2),
            _ => self.filling(room) + &text,
        }
    }
}

impl Spec {
    /// Fills `digits` up to the width; the sign stays ahead of zeros.
    pub fn number(&self, negative: bool, prefix: &str, digits: String) -> String {
        let sign = match (negative, self.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(' ')) => " ",
            _ => "",
        };
        let digits = match self.grouping {
            Some(mark) => group(&digits, mark, if matches!(self.kind, Some('x' | 'X' | 'o' | 'b')) { 4 } else { 3 }),
            None => digits,
        };
        let padding = self.padding;
        let align = padding.align.unwrap_or(if padding.zero { '=' } else { '>' });
        if align == '=' {
            let room = padding.room(sign.len() + prefix.len() + digits.chars().count());
            return format!("{sign}{prefix}{}{digits}", padding.filling(room));
        }
        padding.pad(format!("{sign}{prefix}{digits}"), align)
    }

    pub fn text(&self, text: &str) -> String {
        let text: String = text.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        self.padding.pad(text, '<')
    }

    pub fn integer(&self, number: i128, kind: char) -> String {
        let size = number.unsigned_abs();
        let (prefix, digits) = match kind {
            'x' => ("0x", format!("{size:x}")),
            'X' => ("0X", format!("{size:X}")),
            'o' => ("0o", format!("{size:o}")),
            'b' => ("0b", format!("{size:b}")),
            _ => ("", size.to_string()),
        };
        let digits = format!("{}{digits}", "0".repeat(self.precision.unwrap_or(0).saturating_sub(digits.len())));
        self.number(number < 0, if self.alternate { prefix } else { "" }, digits)
    }

    pub fn float(&self, number: f64, kind: char) -> String {
        let size = number.abs();
        let digits = match kind {
            _ if !number.is_finite() => python::float(size),
            'e' | 'E' => exponent(&format!("{size:.*e}", self.precision.unwrap_or(6))),
            'f' | 'F' => format!("{size:.*}", self.precision.unwrap_or(6)),
            '%' => format!("{:.*}%", self.precision.unwrap_or(6), size * 100.0),
            _ => general(size, self.precision.unwrap_or(6).max(1), self.alternate),
        };
        let digits = if kind.is_ascii_uppercase() { digits.to_uppercase() } else { digits };
        self.number(number.is_sign_negative() && !number.is_nan(), "", digits)
    }
}

/// `1.5e7` as Python writes it, `1.5e+07`.
fn exponent(text: &str) -> String {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// The format `g`: significant digits, without trailing zeros.
fn general(size: f64, precision: usize, keep_zeros: bool) -> String {
    let scientific = format!("{size:.*e}", precision - 1);
    let power: i32 = scientific.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    let trim = |digits: &str| match digits.contains('.') && !keep_zeros {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if power < -4 || power >= precision as i32 {
        let (digits, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return exponent(&format!("{}e{power}", trim(digits)));
    }
    trim(&format!("{size:.*}", (precision as i32 - 1 - power) as usize))
}

fn group(digits: &str, mark: char, size: usize) -> String {
    let (whole, rest) = digits.split_at(digits.find(['.', 'e', '%']).unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % size == 0 {
            grouped.push(mark);
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// Reads digits off the front of `rest`.
pub fn digits(rest: &mut &str) -> Result<Option<usize>, Error> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    *rest = after;
    if number.is_empty() {
        return Ok(None);
    }
    match number.parse() {
        Ok(number) if number <= WIDEST => Ok(Some(number)),
        _ => Err(refuse("a format's width or precision is too large")),
    }
}

/// A number; unlike elsewhere, an undefined value is a type error here.
pub fn real(value: &Value) -> Result<f64, Error> {
    value.real().map_err(|_| refuse(format!("a format needs a number, not {}", value.type_name())))
}
