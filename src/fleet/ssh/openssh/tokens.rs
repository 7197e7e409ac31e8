//! `%` tokens, `~` and `${NAME}` in values that `ssh -G` does not expand (TOKENS in ssh_config(5)).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The values of the tokens for one host.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    /// `%h`: the name or address to connect to.
    pub host: &'a str,
    /// `%n`: the name as the operator wrote it.
    pub name: &'a str,
    pub port: u16,
    /// `%r`
    pub user: &'a str,
    /// `%k`
    pub known_as: &'a str,
    /// `%u`
    pub operator: &'a str,
    /// `%d`, `~`
    pub home: Option<&'a Path>,
}

impl Tokens<'_> {
    /// Expands a command line, or part of one.
    ///
    /// # Errors
    /// A token that is not supported here.
    pub fn command(&self, text: &str) -> Result<String, String> {
        self.expand(text, "hnpr")
    }

    /// Expands the path of a file.
    ///
    /// # Errors
    /// A token that is not supported here, a variable that is not set, or an unknown home directory.
    pub fn path(&self, text: &str) -> Result<PathBuf, String> {
        let text = self.expand(&variables(text)?, "hnprkudiLl")?;
        let home = || self.home.ok_or_else(|| format!("{text:?} needs your home directory, which is unknown"));
        match text.strip_prefix('~') {
            None => Ok(PathBuf::from(text)),
            Some("") => Ok(home()?.to_owned()),
            Some(rest) => match rest.strip_prefix('/') {
                Some(rest) => Ok(home()?.join(rest)),
                None => Err(format!("{text:?} is in another user's home: write an absolute path")),
            },
        }
    }

    fn expand(&self, text: &str, allowed: &str) -> Result<String, String> {
        expand(text, |token| self.value(token).filter(|_| allowed.contains(token)))
    }

    fn value(&self, token: char) -> Option<String> {
        Some(match token {
            'h' => self.host.to_owned(),
            'n' => self.name.to_owned(),
            'p' => self.port.to_string(),
            'r' => self.user.to_owned(),
            'k' => self.known_as.to_owned(),
            'u' => self.operator.to_owned(),
            'd' => self.home.unwrap_or(Path::new("~")).display().to_string(),
            'i' => rustix::process::getuid().as_raw().to_string(),
            'l' => this_host(),
            'L' => this_host().split('.').next().unwrap_or_default().to_owned(),
            _ => return None,
        })
    }

    /// The value of each token.
    pub fn table(&self) -> HashMap<char, String> {
        "hnprkudilL".chars().filter_map(|token| Some((token, self.value(token)?))).collect()
    }
}

/// Replaces each token by its value, once.
///
/// # Errors
/// A token without a value.
pub fn expand(text: &str, value: impl Fn(char) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            expanded.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => expanded.push('%'),
            token => match token.and_then(&value) {
                Some(value) => expanded += &value,
                None => return Err(format!("{text:?} contains a token that hoist does not support here")),
            },
        }
    }
    Ok(expanded)
}

fn this_host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Expands `${NAME}`.
fn variables(text: &str) -> Result<String, String> {
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}').ok_or_else(|| format!("{text:?} has no closing brace"))?;
        let value = std::env::var(name).map_err(|_| format!("{text:?} needs the variable {name}, which is not set"))?;
        done += before;
        done += &value;
        rest = behind;
    }
    Ok(done + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_expanded_once_and_an_unknown_one_is_an_error() {
        let tokens = Tokens {
            host: "10.0.0.1",
            name: "web1",
            port: 2222,
            user: "de%hploy",
            known_as: "web",
            operator: "op",
            home: Some(Path::new("/home/op")),
        };
        assert_eq!(tokens.command("nc -x %r@%n %h %p 100%%").unwrap(), "nc -x de%hploy@web1 10.0.0.1 2222 100%");
        assert_eq!(tokens.path("~/.ssh/%k-%u").unwrap(), Path::new("/home/op/.ssh/web-op"));
        assert_eq!(tokens.path("%d/key").unwrap(), Path::new("/home/op/key"));
        assert!(tokens.command("nc %d").is_err() && tokens.command("nc %").is_err() && tokens.path("%C").is_err());
        assert!(tokens.path("~you/key").is_err() && tokens.path("${HOIST_NOT_SET}/x").is_err());
    }
}
