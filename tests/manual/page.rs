//! A manual page's literal blocks: shell sessions, and the files between them.

use std::path::{Path, PathBuf};

/// A command as the page shows it, and the lines that it shows below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    pub command: String,
    pub output: Vec<String>,
}

/// A literal block.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    Session(Vec<Step>),
    Text(String),
}

/// Where the pages are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

/// The blocks of a page in their order, each with the name of its section.
pub fn blocks(name: &str) -> Vec<(String, Block)> {
    let text = std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut blocks = Vec::new();
    let mut section = String::new();
    let mut open: Option<Vec<String>> = None;
    for line in text.lines() {
        match &mut open {
            None if line.starts_with(".Sh ") => section = line[4..].to_owned(),
            None if line.starts_with(".Bd -literal") => open = Some(Vec::new()),
            None => {}
            Some(_) if line == ".Ed" => {
                blocks.push((section.clone(), block(&open.take().unwrap_or_default())));
            }
            Some(lines) => {
                assert!(!line.starts_with('.'), "{name}: a macro in a literal block: {line}");
                lines.push(plain(name, line));
            }
        }
    }
    blocks
}

/// The one block of text of a page that holds this.
pub fn block_of(page: &str, holds: &str) -> String {
    let mut texts = blocks(page).into_iter().filter_map(|(_, block)| match block {
        Block::Text(text) if text.contains(holds) => Some(text),
        _ => None,
    });
    texts.next_back().unwrap_or_else(|| panic!("{page}: no block with {holds}"))
}

/// A line without mdoc's escapes.
fn plain(name: &str, line: &str) -> String {
    let escapes = [("\\e", "\u{1}"), ("\\-", "-"), ("\\(aq", "'"), ("\\(ga", "`"), ("\\(dq", "\""), ("\\&", "")];
    let text = escapes.iter().fold(line.to_owned(), |text, (escape, meant)| text.replace(escape, meant));
    assert!(!text.contains('\\'), "{name}: an escape that this test does not know: {line}");
    text.replace('\u{1}', "\\")
}

fn block(lines: &[String]) -> Block {
    if !lines.iter().any(|line| line.starts_with("$ ")) {
        return Block::Text(lines.iter().map(|line| format!("{line}\n")).collect());
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut unfinished = false;
    for line in lines {
        let command = line.strip_prefix("$ ");
        match (command, steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), output: Vec::new() }),
            (None, Some(step)) if unfinished => step.command += &format!("\n{line}"),
            (None, Some(step)) => step.output.push(line.clone()),
            (None, None) => panic!("output ahead of the first command: {line}"),
        }
        unfinished = (command.is_some() || unfinished) && line.ends_with(['\\', '|']);
    }
    Block::Session(steps)
}
