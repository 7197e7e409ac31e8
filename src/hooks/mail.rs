//! Announcements by mail, through sendmail.

use std::path::Path;
use std::time::Duration;

use crate::gates::Stop;
use crate::gates::command;
use crate::gates::command::CommandLine;

use super::announcement::Announcement;
use super::sockets::one_line;
use super::variables::{VARIABLES, value};

/// The maximum length of the subject, in characters.
const LONGEST_SUBJECT: usize = 200;

/// Passes the mail to sendmail.
pub fn send(
    (to, from, sendmail): (&[String], Option<&str>, &Path),
    announcement: &Announcement,
    timeout: Duration,
) -> Result<(), String> {
    let program = sendmail.display().to_string();
    let line = format!("{} -i -t", crate::text::quoted(&program));
    let line = CommandLine { line: &line, shell: false, folder: Path::new("/") };
    let message = message(to, from, announcement).into_bytes();
    command::run(line, [], Some(message), timeout, &Stop::never())?.ended_well()
}

/// The mail with its headers.
fn message(to: &[String], from: Option<&str>, announcement: &Announcement) -> String {
    let text = announcement.text();
    let subject: String = one_line(&format!("[hoist] {text}")).chars().take(LONGEST_SUBJECT).collect();
    let from = from.map(|from| format!("From: {from}\n")).unwrap_or_default();
    let facts = VARIABLES.iter().filter(|name| **name != "text").map(|name| (name, value(announcement, name)));
    let facts = facts.filter(|(_, value)| !value.is_empty());
    let facts: String = facts.map(|(name, value)| format!("{name}: {}\n", one_line(&value))).collect();
    format!(
        "{from}To: {}\nSubject: {}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: 8bit\nAuto-Submitted: auto-generated\n\n{text}\n\n{facts}",
        to.join(", "),
        encoded(&subject)
    )
}

/// A header's value, encoded by RFC 2047 if it is not ASCII.
fn encoded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    // An encoded word has at most 75 characters, and must not split a character.
    let words = text.chars().collect::<Vec<_>>();
    let word = |chars: &[char]| {
        let bytes = chars.iter().collect::<String>().into_bytes();
        let quoted: String = bytes
            .iter()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(*byte).to_string(),
                _ => format!("={byte:02X}"),
            })
            .collect();
        format!("=?utf-8?q?{quoted}?=")
    };
    words.chunks(5).map(word).collect::<Vec<_>>().join("\n ")
}
