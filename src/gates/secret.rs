//! Tokens and passwords: read from their files when a request is made, and never shown.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::gate::Auth;

/// The maximum size of a secret in bytes.
const MOST: u64 = 64 * 1024;

/// The authorization header of a request, and its secrets.
pub struct Authorization {
    pub header: String,
    secrets: Vec<String>,
}

impl Authorization {
    /// Reads the secrets from their files.
    ///
    /// # Errors
    /// A file that cannot be read or holds no secret. The message names the file and never quotes it.
    pub fn of(auth: &Auth) -> Result<Authorization, String> {
        match auth {
            Auth::Bearer { file } => {
                let token = read_for_header(file)?;
                Ok(Authorization { header: format!("Bearer {token}"), secrets: vec![token] })
            }
            Auth::Basic { username, file } => {
                let password = read(file)?;
                let header = basic(username, &password);
                let pair = header.trim_start_matches("Basic ").to_owned();
                Ok(Authorization { header, secrets: vec![password, pair] })
            }
        }
    }

    /// The text without the secrets, in case a server sends them back.
    pub fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "…"))
    }
}

/// The header of basic authentication.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Reads a secret from its file, which has one line.
///
/// # Errors
/// A file that cannot be read or holds no secret. The message names the file and never quotes it.
pub fn read(file: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", file.display());
    let mut text = Vec::new();
    File::open(file).map_err(cannot)?.take(MOST).read_to_end(&mut text).map_err(cannot)?;
    let wrong = |why: &str| format!("{} {why}", file.display());
    let text = String::from_utf8(text).map_err(|_| wrong("is not UTF-8"))?;
    let secret = text.trim_end_matches(['\n', '\r']);
    match secret {
        "" => Err(wrong("is empty: write the secret into it, on one line")),
        _ if secret.contains(['\n', '\r']) => Err(wrong("contains more than one line: write only the secret")),
        _ if secret.chars().any(char::is_control) => Err(wrong("contains a control character: write only the secret")),
        _ => Ok(secret.to_owned()),
    }
}

/// As [`read`], for the value of a header.
///
/// # Errors
/// As [`read`], and a secret that a header cannot hold.
pub fn read_for_header(file: &Path) -> Result<String, String> {
    let secret = read(file)?;
    match secret.is_ascii() {
        true => Ok(secret),
        false => Err(format!("{} contains a character that is not ASCII, which a header cannot hold", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_its_file_and_taken_out_of_what_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "s3cret\n").unwrap();
        let bearer = Authorization::of(&Auth::Bearer { file: file.clone() }).unwrap();
        assert_eq!(bearer.header, "Bearer s3cret");
        assert_eq!(bearer.redact("you sent s3cret, s3cret"), "you sent …, …");
        let basic = Authorization::of(&Auth::Basic { username: "me".into(), file: file.clone() }).unwrap();
        assert_eq!(basic.header, "Basic bWU6czNjcmV0");
        assert_eq!(basic.redact("Basic bWU6czNjcmV0 s3cret"), "Basic … …");
        for (text, why) in [
            ("", "is empty"),
            ("\n", "is empty"),
            ("two\nlines\n", "more than one line"),
            ("two\u{1}", "a control character"),
            ("two\u{f6}", "not ASCII"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = Authorization::of(&Auth::Bearer { file: file.clone() }).map(|it| it.header).unwrap_err();
            assert!(error.starts_with(&file.display().to_string()) && !error.contains("two"), "{error}");
            assert!(error.contains(why), "{error}");
        }
        let basic = Authorization::of(&Auth::Basic { username: "me".into(), file: file.clone() }).unwrap();
        assert_eq!(basic.header, "Basic bWU6dHdvw7Y=");
    }
}
