//! Python's two languages for formats: `'%5.2f' % x`, and `'{:>5}'.format(x)`.

use std::rc::Rc;

use super::error::{Error, refuse};
use super::objects::Object;
use super::python;
use super::subscript::item;
use super::value::{Key, Value};

/// No field is wider, and no number has more digits: a slip of the finger should not fill the memory.
const WIDEST: usize = 10_000;

/// What a field asks for, in either language.
#[derive(Default, Clone)]
struct Spec {
    fill: Option<char>,
    /// `<`, `>`, `^` or `=`.
    align: Option<char>,
    /// `+`, `-` or a blank.
    sign: Option<char>,
    alternate: bool,
    zero: bool,
    width: usize,
    /// `,` or `_`.
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    /// Fills `digits` up to the width; the sign stays ahead of zeros.
    fn number(&self, negative: bool, prefix: &str, digits: String) -> String {
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
        let align = self.align.unwrap_or(if self.zero { '=' } else { '>' });
        if align == '=' {
            let room = self.width.saturating_sub(sign.len() + prefix.len() + digits.chars().count());
            let fill = self.fill.unwrap_or(if self.zero { '0' } else { ' ' });
            return format!("{sign}{prefix}{}{digits}", fill.to_string().repeat(room));
        }
        self.pad(format!("{sign}{prefix}{digits}"), align)
    }

    fn pad(&self, text: String, default: char) -> String {
        let room = self.width.saturating_sub(text.chars().count());
        let fill = self.fill.unwrap_or(if self.zero { '0' } else { ' ' });
        let blanks = |count: usize| fill.to_string().repeat(count);
        match self.align.unwrap_or(default) {
            '<' => text + &blanks(room),
            '^' => blanks(room / 2) + &text + &blanks(room - room / 2),
            _ => blanks(room) + &text,
        }
    }

    fn text(&self, text: &str) -> String {
        let text: String = text.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        self.pad(text, '<')
    }

    fn integer(&self, number: i128, kind: char) -> String {
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

    fn float(&self, number: f64, kind: char) -> String {
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

/// The format `g`: so many digits that count, without zeros at their end.
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
fn digits(rest: &mut &str) -> Result<Option<usize>, Error> {
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

/// A number; unlike elsewhere, what is undefined is of the wrong type here.
fn real(value: &Value) -> Result<f64, Error> {
    value.real().map_err(|_| refuse(format!("a format wants a number, not {}", value.type_name())))
}

/// `format % given`, where a tuple gives several values and a mapping serves `%(key)s`.
///
/// # Errors
/// As Python: too many or too few items, and items of the wrong type.
pub fn printf(format: &str, given: &Value) -> Result<String, Error> {
    let items = match given {
        Value::Tuple(tuple) => &tuple.items[..],
        _ => std::slice::from_ref(given),
    };
    let mut text = String::new();
    let mut next = items.iter();
    let mut by_key = false;
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        rest = after;
        let mut spec = Spec { align: Some('>'), ..Spec::default() };
        let mut key = None;
        if let Some(after) = rest.strip_prefix('(') {
            let Some((name, after)) = after.split_once(')') else {
                return Err(refuse("a format's %( lacks its closing bracket"));
            };
            (key, rest) = (Some(name), after);
            by_key = true;
        }
        while let Some(flag) = rest.chars().next().filter(|c| "-+ 0#".contains(*c)) {
            match flag {
                '-' => spec.align = Some('<'),
                '+' => spec.sign = Some('+'),
                ' ' => spec.sign = spec.sign.or(Some(' ')),
                '0' => spec.zero = true,
                _ => spec.alternate = true,
            }
            rest = &rest[1..];
        }
        if rest.starts_with('*') || rest.starts_with(".*") {
            return Err(refuse("a format's width or precision cannot be *: write the number"));
        }
        spec.width = digits(&mut rest)?.unwrap_or(0);
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            spec.precision = Some(digits(&mut rest)?.unwrap_or(0));
        }
        rest = rest.trim_start_matches(['h', 'l', 'L']);
        let Some(kind) = rest.chars().next() else { return Err(refuse("a format ends in the middle of a field")) };
        rest = &rest[kind.len_utf8()..];
        if kind == '%' {
            text.push('%');
            continue;
        }
        let value = match key {
            Some(key) => match items {
                [Value::Dict(entries)] => match entries.borrow().get(&Key::text(key)) {
                    Some(value) => value.clone(),
                    None => return Err(refuse("a format names a key that its mapping lacks")),
                },
                _ => return Err(refuse("a format with names wants a mapping")),
            },
            None => next.next().cloned().ok_or_else(|| refuse("a format has more fields than values"))?,
        };
        if spec.align == Some('<') {
            spec.zero = false;
        }
        let numeric = if spec.zero { Spec { align: Some('='), ..spec.clone() } } else { spec.clone() };
        let plain = Spec { zero: false, ..spec.clone() };
        text.push_str(&match kind {
            's' => plain.text(&python::str(&value)?),
            'r' => plain.text(&python::repr(&value)?),
            'd' | 'i' | 'u' => {
                let number = match value {
                    Value::Float(number) if number.abs() < 1e38 => number.trunc() as i128,
                    _ => value.whole()?,
                };
                numeric.integer(number, 'd')
            }
            'x' | 'X' | 'o' => numeric.integer(value.whole()?, kind),
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => numeric.float(real(&value)?, kind),
            'c' => match (value.as_str(), value.whole().ok()) {
                (Some(one), _) if one.chars().count() == 1 => plain.text(one),
                (None, Some(code)) => match u32::try_from(code).ok().and_then(char::from_u32) {
                    Some(c) => plain.text(&c.to_string()),
                    None => return Err(refuse("%c wants a character")),
                },
                _ => return Err(refuse("%c wants a character")),
            },
            other => return Err(refuse(format!("a format has no field %{other}"))),
        });
    }
    text.push_str(rest);
    // Whatever could be asked by key may be given for nothing.
    let by_item = match given {
        Value::List(_) | Value::Dict(_) | Value::Undefined(_) => true,
        Value::Object(object) => matches!(&**object, Object::Range(_)),
        _ => false,
    };
    if !by_key && next.next().is_some() && !by_item {
        return Err(refuse("a format has fewer fields than values"));
    }
    Ok(text)
}

/// `format.format(…)`.
///
/// # Errors
/// As Python; nested fields (`{:{width}}`) are refused too.
pub fn str_format(format: &str, positional: &[Value], named: &[(Rc<str>, Value)]) -> Result<String, Error> {
    let mut text = String::new();
    let mut automatic = 0;
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let mark = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(mark) {
            text.push_str(mark);
            rest = after;
            continue;
        }
        let Some((field, after)) = rest.split_once('}').filter(|_| mark == "{") else {
            return Err(refuse("a format has a brace without its partner: write it twice to print it"));
        };
        if field.contains('{') {
            return Err(refuse("a format has a field within a field: write the number"));
        }
        rest = after;
        let (field, spec) = field.split_once(':').unwrap_or((field, ""));
        let (field, conversion) = match field.split_once('!') {
            Some((field, conversion)) => (field, Some(conversion)),
            None => (field, None),
        };
        let end = field.find(['.', '[']).unwrap_or(field.len());
        let (name, mut path) = field.split_at(end);
        let lacks = || refuse("a format names a value that was not given");
        let mut value = if name.is_empty() {
            automatic += 1;
            positional.get(automatic - 1).cloned().ok_or_else(lacks)?
        } else if let Ok(index) = name.parse::<usize>() {
            positional.get(index).cloned().ok_or_else(lacks)?
        } else {
            named.iter().find(|(known, _)| &**known == name).map(|(_, value)| value.clone()).ok_or_else(lacks)?
        };
        while let Some(after) = path.strip_prefix('[') {
            let Some((key, after)) = after.split_once(']') else { return Err(refuse("a format's [ lacks its ]")) };
            value = match key.parse::<i64>() {
                Ok(index) => item(&value, &Value::Int(i128::from(index)))?,
                Err(_) => item(&value, &Value::text(key))?,
            };
            if value.is_undefined() {
                return Err(lacks());
            }
            path = after;
        }
        if !path.is_empty() {
            return Err(refuse("a format asks for an attribute: write [key]"));
        }
        text.push_str(&match conversion {
            None => field_of(&value, spec)?,
            Some("s") => field_of(&Value::text(python::str(&value)?), spec)?,
            Some("r") => field_of(&Value::text(python::repr(&value)?), spec)?,
            Some(_) => return Err(refuse("a format's conversion is !s or !r")),
        });
    }
    text.push_str(rest);
    Ok(text)
}

/// One value by Python's `format`.
fn field_of(value: &Value, text: &str) -> Result<String, Error> {
    let mut spec = Spec::default();
    let mut rest = text;
    let aligns = |c: char| "<>^=".contains(c);
    let mut chars = rest.chars();
    match (chars.next(), chars.next()) {
        (Some(fill), Some(align)) if aligns(align) => {
            (spec.fill, spec.align) = (Some(fill), Some(align));
            rest = chars.as_str();
        }
        (Some(align), _) if aligns(align) => {
            spec.align = Some(align);
            rest = &rest[1..];
        }
        _ => {}
    }
    let mut take = |marks: &str| {
        let mark = rest.chars().next().filter(|c| marks.contains(*c));
        rest = &rest[mark.map_or(0, char::len_utf8)..];
        mark
    };
    spec.sign = take("+- ");
    spec.alternate = take("#").is_some();
    spec.zero = take("0").is_some();
    spec.width = digits(&mut rest)?.unwrap_or(0);
    let mut take = |marks: &str| {
        let mark = rest.chars().next().filter(|c| marks.contains(*c));
        rest = &rest[mark.map_or(0, char::len_utf8)..];
        mark
    };
    spec.grouping = take(",_");
    if take(".").is_some() {
        spec.precision = digits(&mut rest)?;
    }
    let mut kinds = rest.chars();
    spec.kind = kinds.next();
    if kinds.next().is_some() {
        return Err(refuse("a format's field is not one of Python's"));
    }
    let wrong = || refuse(format!("a format's field has no meaning for {}", value.type_name()));
    match value {
        Value::Text(_) | Value::Markup(_) => match spec.kind {
            None | Some('s') if spec.sign.is_none() && spec.grouping.is_none() && spec.align != Some('=') => {
                Ok(spec.text(value.as_str().unwrap_or_default()))
            }
            _ => Err(wrong()),
        },
        Value::Bool(_) if text.is_empty() => python::str(value),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            let integer = !matches!(value, Value::Float(_));
            match spec.kind {
                None if integer => Ok(spec.integer(value.whole()?, 'd')),
                None if spec.precision.is_none() => {
                    let number = real(value)?;
                    Ok(spec.number(number.is_sign_negative(), "", python::float(number.abs())))
                }
                Some('d' | 'n') if integer => Ok(spec.integer(value.whole()?, 'd')),
                Some(kind @ ('x' | 'X' | 'o' | 'b')) if integer => Ok(spec.integer(value.whole()?, kind)),
                Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => Ok(spec.float(real(value)?, kind)),
                _ => Err(wrong()),
            }
        }
        _ if text.is_empty() => python::str(value),
        _ => Err(wrong()),
    }
}
