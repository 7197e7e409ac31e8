//! `KnownHostsCommand` of OpenSSH's configuration: a program that prints host keys as lines of a known_hosts file.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::run;
use super::tokens::{Tokens, expand};
use crate::fleet::ssh::known_hosts::{fingerprint, key_name};

/// The reason for a call of the command, as tokens.
#[derive(Debug, Clone)]
pub struct KeyQuestion {
    /// By token: `H`, `I`, `f`, `K`, `t`.
    tokens: HashMap<char, String>,
}

impl KeyQuestion {
    /// For the types of a host's keys, before the key exchange.
    pub fn order(name: &str) -> KeyQuestion {
        KeyQuestion::new(name, "ORDER", ["NONE"; 3].map(str::to_owned))
    }

    /// For the keys of a host, which has presented this one (SSH's wire format).
    pub fn of_key(name: &str, key: &[u8]) -> KeyQuestion {
        let print = fingerprint(key).rsplit(' ').next().unwrap_or_default().to_owned();
        let kind = key_name(key).unwrap_or_default().to_owned();
        KeyQuestion::new(name, "HOSTNAME", [print, STANDARD.encode(key), kind])
    }

    fn new(name: &str, reason: &str, [print, key, kind]: [String; 3]) -> KeyQuestion {
        let tokens = [('H', name.to_owned()), ('I', reason.to_owned()), ('f', print), ('K', key), ('t', kind)];
        KeyQuestion { tokens: HashMap::from(tokens) }
    }
}

/// The command for one host.
#[derive(Debug, Clone)]
pub struct KnownHostsCommand {
    words: Vec<String>,
    tokens: HashMap<char, String>,
}

impl KnownHostsCommand {
    /// # Errors
    /// It is not a command, or contains a token that is not supported here.
    pub fn new(line: &str, tokens: &Tokens) -> Result<KnownHostsCommand, String> {
        let words = crate::text::words(line).ok_or_else(|| format!("{line:?} has a quote that is not closed"))?;
        if !words.first().is_some_and(|program| program.starts_with('/')) {
            return Err(format!("{line:?} does not begin with the absolute path of a program"));
        }
        let command = KnownHostsCommand { words, tokens: tokens.table() };
        command.expanded(&KeyQuestion::order(""))?;
        Ok(command)
    }

    /// The output of the command.
    ///
    /// # Errors
    /// It cannot be run, fails, or does not end in time. OpenSSH closes the connection then, and so does Hoist.
    pub fn ask(&self, question: &KeyQuestion) -> anyhow::Result<Vec<u8>> {
        let words = self.expanded(question).map_err(anyhow::Error::msg)?;
        let ask = || {
            let Some((program, arguments)) = words.split_first() else { bail!("it is empty") };
            run::output(program, arguments)?.context("the program does not exist")
        };
        ask().with_context(|| format!("KnownHostsCommand {}", words.join(" ")))
    }

    fn expanded(&self, question: &KeyQuestion) -> Result<Vec<String>, String> {
        let value = |token| question.tokens.get(&token).or_else(|| self.tokens.get(&token)).cloned();
        self.words.iter().map(|word| expand(word, value)).collect()
    }
}
