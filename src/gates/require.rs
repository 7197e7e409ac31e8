//! A requirement on a value: `< 0.01`, `>= 99`, `== ok`.

use std::fmt;
use std::str::FromStr;

use crate::named::named;

/// A comparison with a number, or for `==` and `!=` also with a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Require {
    relation: Relation,
    operand: Operand,
}

named! {
    /// Longer operators first, since one may be the prefix of another.
    enum Relation {
        LessOrEqual = "<=", GreaterOrEqual = ">=",
        Equal = "==", NotEqual = "!=",
        Less = "<", Greater = ">",
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Number(f64),
    Text(String),
}

impl FromStr for Require {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?} {why}: write a comparison such as \"< 0.01\" or \">= 99\"");
        let trimmed = text.trim();
        let (relation, rest) = Relation::ALL
            .into_iter()
            .find_map(|relation| Some((relation, trimmed.strip_prefix(relation.name())?.trim())))
            .ok_or_else(|| wrong("does not begin with <, <=, >, >=, == or !="))?;
        let operand = match rest.parse::<f64>() {
            Ok(number) if number.is_finite() => Operand::Number(number),
            _ if rest.is_empty() => return Err(wrong("has no value to compare with")),
            _ if matches!(relation, Relation::Equal | Relation::NotEqual) => Operand::Text(rest.to_owned()),
            _ => return Err(wrong(&format!("compares with {rest:?}, which is not a number"))),
        };
        Ok(Require { relation, operand })
    }
}

impl fmt::Display for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = self.relation;
        match &self.operand {
            Operand::Number(number) => write!(f, "{relation} {number}"),
            Operand::Text(text) => write!(f, "{relation} {text}"),
        }
    }
}

impl Require {
    /// Whether the value is compared with a text instead of a number.
    pub fn is_of_text(&self) -> bool {
        matches!(self.operand, Operand::Text(_))
    }

    /// Whether a value meets the requirement. `None`: a number is required, and it is none.
    pub fn holds(&self, value: &str) -> Option<bool> {
        match &self.operand {
            Operand::Text(text) => Some((value.trim() == text) == (self.relation == Relation::Equal)),
            Operand::Number(wanted) => {
                let value = number(value)?;
                Some(match self.relation {
                    Relation::Less => value < *wanted,
                    Relation::LessOrEqual => value <= *wanted,
                    Relation::Greater => value > *wanted,
                    Relation::GreaterOrEqual => value >= *wanted,
                    Relation::Equal => value == *wanted,
                    Relation::NotEqual => value != *wanted,
                })
            }
        }
    }
}

/// A number as Prometheus, JSON and people write it, including infinity. NaN is rejected: it cannot be compared.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| !number.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(require: &str, value: &str) -> Option<bool> {
        require.parse::<Require>().unwrap().holds(value)
    }

    #[test]
    fn a_value_is_compared_as_it_is_written() {
        for (require, value, expected) in [
            ("< 0.01", "0.009", Some(true)),
            ("<0.01", "0.01", Some(false)),
            ("<= 0.01", "0.01", Some(true)),
            (">= 99", "98.999", Some(false)),
            ("> -1", "-0.5", Some(true)),
            ("== 0", "0.0", Some(true)),
            ("!= 0", "0", Some(false)),
            ("< 1e3", "+Inf", Some(false)),
            ("< 1", "-Inf", Some(true)),
            ("< 1", "NaN", None),
            ("< 1", "fast", None),
            ("== ok", " ok\n", Some(true)),
            ("!= ok", "down", Some(true)),
        ] {
            assert_eq!(holds(require, value), expected, "{value} {require}");
        }
        assert_eq!("<0.010".parse::<Require>().unwrap().to_string(), "< 0.01");
    }

    #[test]
    fn what_is_no_comparison_is_refused_with_an_example() {
        for text in ["", "0.01", "=< 3", "= 3", "<", "< fast", "> inf", "~ 3"] {
            let error = text.parse::<Require>().unwrap_err();
            assert!(error.contains("write a comparison such as"), "{text}: {error}");
        }
    }
}
