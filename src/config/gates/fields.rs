//! Values of single keys.

use std::str::FromStr;

use crate::config::entries::Field;
use crate::gates::Template;
use crate::problem::Problem;
use crate::yaml::{Node, Value};

/// One text, with commas between several, or a list of them.
pub fn texts(field: &Field) -> Result<Vec<String>, Problem> {
    let bad = || field.problem(format!("{} is {}: write a word, or a list of words", field.name(), field.value.kind()));
    match &field.value.value {
        Value::List(items) => items.iter().map(|item| item.text().map(str::to_owned).ok_or_else(bad)).collect(),
        _ => Ok(field.value.text().ok_or_else(bad)?.split(',').map(str::to_owned).collect()),
    }
}

/// Adds the words of a key to a list, each of them once.
pub fn add_words<T: FromStr<Err = String> + PartialEq>(field: &Field, list: &mut Vec<T>) -> Result<(), Problem> {
    for word in texts(field)? {
        let word = word.trim().parse().map_err(|why: String| field.problem(why))?;
        if !list.contains(&word) {
            list.push(word);
        }
    }
    Ok(())
}

/// Matchers of Alertmanager. A comma may be part of one.
pub fn matchers(field: &Field) -> Result<Vec<Template>, Problem> {
    let texts: Vec<&str> = match &field.value.value {
        Value::List(items) => {
            let bad = || field.problem("matchers has an item that is not text: write 'severity=\"page\"', for example");
            items.iter().map(Node::text).collect::<Option<_>>().ok_or_else(bad)?
        }
        _ => vec![field.text()?],
    };
    let one = |text: &&str| {
        let (name, rest) = text.split_at(text.find(['=', '!']).unwrap_or(text.len()));
        let name = name.trim();
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let sign = ["=~", "!~", "!=", "="].into_iter().find(|sign| rest.starts_with(sign));
        if !is_name || sign.is_none() {
            let why = format!("{text:?} is not a matcher: write one such as severity=\"page\" or service=~\"web.*\"");
            return Err(field.problem(why));
        }
        text.parse().map_err(|why: String| field.problem(why))
    };
    texts.iter().map(one).collect()
}

/// A whole number in these bounds.
pub fn number(field: &Field, least: usize, most: usize) -> Result<usize, Problem> {
    let number = match field.value.value {
        Value::Int(number) => usize::try_from(number).ok(),
        Value::UInt(number) => usize::try_from(number).ok(),
        _ => None,
    };
    let bad = || field.problem(format!("bad {}: write a whole number from {least} to {most}", field.name()));
    number.filter(|number| (least..=most).contains(number)).ok_or_else(bad)
}

/// A number, or a percentage, in these bounds.
pub fn share(field: &Field, least: f64, most: f64) -> Result<f64, Problem> {
    let text = field.text()?.trim();
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
        None => text.parse().ok(),
    };
    let bad = || field.problem(format!("bad {}: write a number from {least} to {most}", field.name()));
    number.filter(|number| (least..=most).contains(number)).ok_or_else(bad)
}
