//! Addresses of servers in YAML files, with who asks there and which certificates are trusted.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::gates;
use crate::gates::{Auth, Endpoint, Template};
use crate::problem::Problem;

use super::authority;
use super::entries::{Entry, Field};
use super::values;

/// How a server is asked.
pub const OF_SERVERS: &[&str] = &["url", "bearer_token_file", "username", "password_file", "ca_file"];

/// Keys as they stand, with their lines.
pub type Texts = IndexMap<&'static str, (String, usize)>;

/// Keeps a key that its entry may hold, as it stands.
pub fn keep(field: &Field, known: &[&'static str], texts: &mut Texts) -> Result<(), Problem> {
    let Some(key) = known.iter().find(|key| **key == field.name()) else { return Ok(()) };
    let text = field.text()?;
    if text.trim().is_empty() {
        return Err(field.problem(format!("{key} is empty: write a value, or remove the key")));
    }
    texts.insert(key, (text.to_owned(), field.line()));
    Ok(())
}

/// Where a request goes. `server_alone`: a path and a query are put behind it.
pub fn endpoint(texts: &mut Texts, server_alone: bool, entry: &Entry) -> Result<Endpoint, Problem> {
    let mut take = |key: &str| texts.shift_remove(key);
    let (text, line) = take("url").ok_or_else(|| entry.itself("has no address: write `url: http://host:port`"))?;
    let wrong = |why: &str| at(entry, line, "url", format!("bad url: {why}"));
    let url: Template = text.trim().parse().map_err(|why: String| at(entry, line, "url", why))?;
    let fixed = url.fixed();
    if let Some(why) = authority::fault(text.trim()) {
        return Err(wrong(why));
    }
    if server_alone && fixed.contains(['?', '#']) {
        let why = "it has more than a path behind the server's name: write the address of the server alone";
        return Err(wrong(why));
    }
    if fixed.chars().any(|c| c.is_whitespace() || c.is_control()) || !fixed.is_ascii() {
        return Err(wrong("it contains a character that must be written as %XX"));
    }
    let auth = match (take("bearer_token_file"), take("username"), take("password_file")) {
        (None, None, None) => None,
        (Some(token), None, None) => Some(Auth::Bearer { file: file(token, "bearer_token_file", entry)? }),
        (None, Some((username, line)), Some(password)) => {
            if username.contains(':') || username.chars().any(char::is_control) {
                return Err(at(entry, line, "username", "bad username: it contains `:` or a control character"));
            }
            Some(Auth::Basic { username, file: file(password, "password_file", entry)? })
        }
        (None, ..) => return Err(entry.itself("has only one of username and password_file: write both")),
        (Some(_), ..) => return Err(entry.itself("has both a bearer token and a password: write one of them")),
    };
    let ca_file = take("ca_file").map(|path| file(path, "ca_file", entry)).transpose()?;
    Ok(Endpoint { url, auth, ca_file })
}

/// Something that is wrong in a line of an entry.
pub fn at(entry: &Entry, line: usize, key: &str, why: impl std::fmt::Display) -> Problem {
    entry.problem_at(line, why).about(key)
}

pub fn file((text, line): (String, usize), key: &str, entry: &Entry) -> Result<PathBuf, Problem> {
    values::absolute(text.trim()).map_err(|why| at(entry, line, key, format!("bad {key}: {why}")))
}

/// What to say of the files that an endpoint needs.
pub fn unusable(endpoint: &Endpoint, entry: &Entry) -> Vec<Problem> {
    let secret = endpoint.auth.as_ref().map(|auth| match auth {
        Auth::Bearer { file } | Auth::Basic { file, .. } => file,
    });
    let mut problems: Vec<Problem> = secret.and_then(|file| missing(file, entry)).into_iter().collect();
    if let Some(file) = &endpoint.ca_file {
        let bad = || gates::certificates(file).err().map(|why| entry.problem(format!("bad ca_file: {why}")));
        problems.extend(missing(file, entry).or_else(bad));
    }
    problems
}

/// What to say of a file that is not there.
pub fn missing(path: &Path, entry: &Entry) -> Option<Problem> {
    let shown = path.display();
    match path.metadata() {
        Ok(found) if found.is_file() => None,
        Ok(_) => Some(entry.problem(format!("{shown} is not a regular file: correct the key"))),
        Err(_) => Some(entry.problem(format!("the file {shown} does not exist: correct the key, or create the file"))),
    }
}
