//! Parses the targets of assignments.

use super::ast::{Name, Target};
use super::lexer::Token;
use super::parser::Parser;
use crate::jinja::error::{Error, refuse};

const CONSTANTS: [&str; 6] = ["true", "false", "none", "True", "False", "None"];

impl Parser<'_> {
    /// A name that is assigned to.
    pub fn name_target(&mut self) -> Result<Name, Error> {
        let name = self.expect_name()?;
        if CONSTANTS.contains(&&*name) {
            return Err(refuse(format!("syntax error: {name} cannot be set")));
        }
        Ok(name)
    }

    /// A target: a name, several separated by commas, or an attribute of a namespace.
    pub fn target(&mut self, namespaces: bool, ends: &[&str]) -> Result<Target, Error> {
        let mut targets = vec![self.one_target(namespaces)?];
        let mut several = false;
        while self.take(",") {
            several = true;
            let end = matches!(self.peek(), Token::VariableEnd | Token::BlockEnd) || self.sees(")");
            if end || ends.iter().any(|end| self.sees_name(end)) {
                break;
            }
            targets.push(self.one_target(namespaces)?);
        }
        match targets.pop() {
            Some(only) if !several => Ok(only),
            last => {
                targets.extend(last);
                Ok(Target::Tuple(targets))
            }
        }
    }

    fn one_target(&mut self, namespaces: bool) -> Result<Target, Error> {
        if self.take("(") {
            if self.take(")") {
                return Ok(Target::Tuple(Vec::new()));
            }
            let target = self.nested(|parser| parser.target(false, &[]))?;
            self.expect(")")?;
            return Ok(target);
        }
        let name = self.name_target()?;
        if namespaces && self.take(".") {
            return Ok(Target::Attribute(name, self.expect_name()?));
        }
        Ok(Target::Name(name))
    }
}
