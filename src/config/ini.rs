//! Reads Python ConfigParser's format, and remembers where each key stood.

use std::path::Path;

use indexmap::IndexMap;

use crate::files::no_links;
use crate::problem::Problem;
use crate::wire::Level;

use super::problems::Problems;

/// One key of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// In lower case.
    pub key: String,
    /// Without white space around its lines, which are joined by newlines: the first one is empty when the value begins
    /// on the line below its key.
    pub value: String,
    /// Where the key stands, from 1.
    pub line: usize,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The file's name as messages show it.
    pub name: String,
    /// By name as written, in the order of the file. `DEFAULT` is one of them here.
    pub sections: IndexMap<String, Vec<Item>>,
}

/// The section that gives its keys to every other.
pub const DEFAULT: &str = "DEFAULT";

impl File {
    /// What a section holds, as ConfigParser would give it: the keys of `[DEFAULT]` that it does not have itself, and its own. Each item is told with
    /// the section that it stands in. Nothing for a section that is not there, and for `DEFAULT` itself.
    #[cfg(any(test, feature = "test-access"))]
    pub fn items<'a>(&'a self, section: &'a str) -> impl Iterator<Item = (&'a str, &'a Item)> {
        let own = self.sections.get(section).filter(|_| section != DEFAULT);
        let given = own.and_then(|own| {
            let inherited = move |item: &&Item| !own.iter().any(|it| it.key == item.key);
            Some(self.sections.get(DEFAULT)?.iter().filter(inherited))
        });
        let given = given.into_iter().flatten().map(|item| (DEFAULT, item));
        given.chain(own.into_iter().flatten().map(move |item| (section, item)))
    }
}

/// Reads a file's bytes; messages call it `name`.
///
/// # Errors
/// When it is not UTF-8 or not in the format; the message names file and line.
#[cfg(any(test, feature = "test-access"))]
pub fn parse(bytes: &[u8], name: &str) -> Result<File, Problem> {
    let mut problems = Problems::default();
    let file = parse_into(bytes, name, &mut problems)?;
    problems.settle(file).map(|(file, _)| file)
}

/// Reads the file at `path`, noting every line that is wrong and going on behind it, and remarks on what is passed over,
/// or stands twice.
///
/// # Errors
/// When nothing can be read of the file.
pub fn read_into(path: &Path, name: &str, problems: &mut Problems) -> Result<File, Problem> {
    let bytes = no_links::read_named(path, name)?;
    parse_into(&bytes, name, problems)
}

fn parse_into(bytes: &[u8], name: &str, problems: &mut Problems) -> Result<File, Problem> {
    let text = crate::text::utf8(bytes).map_err(|line| Problem::not_utf8(name, line))?;
    let (sections, headings, section, open) = Default::default();
    let mut reader = Reader { name, problems, sections, headings, section, open };
    // A lone carriage return ends a line, as for Python.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for (index, line) in text.lines().enumerate() {
        let read = reader.line(index + 1, line);
        reader.problems.keep(read);
    }
    reader.close();
    let items = |keys: IndexMap<String, (String, usize)>| {
        keys.into_iter().map(|(key, (value, line))| Item { key, value, line }).collect()
    };
    let sections = reader.sections.into_iter().map(|(section, keys)| (section, items(keys))).collect();
    Ok(File { name: name.to_owned(), sections })
}

/// A key whose value may go on in the next line.
struct Open {
    key: String,
    value: String,
    line: usize,
    /// Characters ahead of the key: a line that is indented deeper continues the value.
    indent: usize,
}

struct Reader<'a> {
    name: &'a str,
    problems: &'a mut Problems,
    /// Value and line of each key, by section and key.
    sections: IndexMap<String, IndexMap<String, (String, usize)>>,
    /// Where each section begins.
    headings: IndexMap<String, usize>,
    section: Option<String>,
    open: Option<Open>,
}

impl Reader<'_> {
    fn line(&mut self, number: usize, line: &str) -> Result<(), Problem> {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            // A blank line inside a value belongs to it; at the end of one it is trimmed off again.
            if let Some(open) = &mut self.open {
                open.value.push('\n');
            }
            return Ok(());
        }
        if trimmed.starts_with(['#', ';']) {
            return Ok(());
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        if let Some(open) = self.open.as_mut().filter(|open| indent > open.indent) {
            open.value.push('\n');
            open.value.push_str(trimmed);
            return Ok(());
        }
        self.close();
        let name = self.name;
        let wrong = |why: String| Err(Problem::at(name, number, why));
        if let Some(rest) = trimmed.strip_prefix('[') {
            // The last bracket of the line ends the name, and what stands behind it does not count.
            let Some((section, after)) = rest.rsplit_once(']') else {
                return wrong("the section's name has no closing bracket: write `[global]`".into());
            };
            if section.is_empty() {
                return wrong("a section without a name: write `[global]`".into());
            }
            if !(after.trim().is_empty() || after.trim_start().starts_with(['#', ';'])) {
                self.warn(number, None, format!("{:?} after [{section}] is ignored", after.trim()));
            }
            if let Some(before) = self.headings.insert(section.to_owned(), number) {
                let why = format!("the section [{section}] is also in line {before}: the two are merged");
                self.warn(number, None, why);
            }
            self.sections.entry(section.to_owned()).or_default();
            self.section = Some(section.to_owned());
            return Ok(());
        }
        if self.section.is_none() {
            return wrong(format!("{trimmed:?} is before the first section: write `[global]` above it"));
        }
        let Some((key, value)) = trimmed.split_once(['=', ':']) else {
            return wrong(format!("{trimmed:?} is a key without a value: write `key: value`"));
        };
        let key = key.trim_end().to_lowercase();
        if key.is_empty() {
            return wrong(format!("{trimmed:?} is a value without a key: write `key: value`"));
        }
        self.open = Some(Open { key, value: value.trim().to_owned(), line: number, indent });
        Ok(())
    }

    /// Takes the key that was being read into its section. Of a key that stands twice the later line counts, as for
    /// whoever wrote the file with a lenient ConfigParser in mind.
    fn close(&mut self) {
        let (Some(open), Some(section)) = (self.open.take(), self.section.clone()) else { return };
        let keys = self.sections.entry(section.clone()).or_default();
        let value = open.value.trim_end().to_owned();
        if let Some((_, before)) = keys.insert(open.key.clone(), (value, open.line)) {
            let (line, key) = (open.line, open.key);
            let why =
                format!("{key} is also in line {before} of [{section}]: line {line} is used; remove one of the two");
            self.warn(line, Some(&key), why);
        }
    }

    fn warn(&mut self, line: usize, key: Option<&str>, why: String) {
        let key = key.map(str::to_owned);
        self.problems.push(Problem { key, ..Problem::at(self.name, line, why).remark(Level::Warning) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> File {
        parse(text.as_bytes(), "x.cfg").unwrap()
    }

    fn values(text: &str) -> Vec<(String, String, usize)> {
        let file = read(text);
        let all = file.sections.values().flatten();
        all.map(|item| (item.key.clone(), item.value.clone(), item.line)).collect()
    }

    /// The remarks on a file in which nothing is wrong.
    fn remarks(text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        parse_into(text.as_bytes(), "x.cfg", &mut problems).unwrap();
        let ((), notes) = problems.settle(()).unwrap();
        notes.into_iter().map(|(_, note)| note).collect()
    }

    fn fails(text: &[u8]) -> String {
        parse(text, "x.cfg").unwrap_err().to_string()
    }

    fn item(key: &str, value: &str, line: usize) -> (String, String, usize) {
        (key.into(), value.into(), line)
    }

    #[test]
    fn colons_and_equals_signs_mix_and_the_first_one_parts_key_and_value() {
        assert_eq!(
            values("[global]\na: b=c\nd = e: f\ng=h\nI_J : k\n"),
            [item("a", "b=c", 2), item("d", "e: f", 3), item("g", "h", 4), item("i_j", "k", 5)]
        );
    }

    #[test]
    fn comments_and_blank_lines_are_passed_over_and_a_hash_in_a_value_stays() {
        assert_eq!(
            values("# one\n; two\n\n[global]\n   # three\na: b # c\n\n;d: e\nf: g;h\n"),
            [item("a", "b # c", 6), item("f", "g;h", 9)]
        );
    }

    #[test]
    fn an_indented_line_continues_the_value_above_it() {
        assert_eq!(
            values("[global]\na: one\n  two\n\t# not this\n    three\n\n  four\n\nb: c\n"),
            [item("a", "one\ntwo\nthree\n\nfour", 2), item("b", "c", 9)]
        );
    }

    #[test]
    fn a_file_that_is_indented_as_a_whole_reads_the_same() {
        let file = read("  [global]\n  a: b\n  [wmnet]\n    c: d\n    e: f\n");
        assert_eq!(file.sections.keys().collect::<Vec<_>>(), ["global", "wmnet"]);
        assert_eq!(file.sections["wmnet"].len(), 2);
    }

    #[test]
    fn a_byte_order_mark_and_carriage_returns_are_no_part_of_the_text() {
        assert_eq!(values("\u{feff}[global]\r\na: b\r\nc = d\r\n"), [item("a", "b", 2), item("c", "d", 3)]);
        assert_eq!(values("[global]\ra: b\rc = d\r"), [item("a", "b", 2), item("c", "d", 3)]);
    }

    #[test]
    fn a_value_may_be_empty_and_percent_signs_mean_nothing() {
        assert_eq!(values("[global]\na:\nb = 20%\nc = %(a)s %41\n").len(), 3);
        assert_eq!(values("[global]\na:\nb = 20%\nc = %(a)s %41\n")[2].1, "%(a)s %41");
        assert_eq!(values("[global]\na:\n")[0].1, "");
    }

    #[test]
    fn of_a_key_that_stands_twice_the_later_line_counts_and_a_section_in_two_parts_is_one() {
        let text = "[global]\na: b\n\nA: c\n[x]\n[global]\nd: e\na: f\n";
        let file = read(text);
        let items: Vec<_> = file.sections["global"].iter().map(|it| item(&it.key, &it.value, it.line)).collect();
        assert_eq!(items, [item("a", "f", 8), item("d", "e", 7)]);
        assert_eq!(
            remarks(text),
            [
                "x.cfg:4: a is also in line 2 of [global]: line 4 is used; remove one of the two",
                "x.cfg:6: the section [global] is also in line 1: the two are merged",
                "x.cfg:8: a is also in line 4 of [global]: line 8 is used; remove one of the two",
            ]
        );
    }

    #[test]
    fn default_gives_its_keys_to_every_section_that_does_not_have_them() {
        let file = read("[DEFAULT]\na: 1\nb: 2\n[global]\nb: 3\n[x]\n[DEFAULT]\nc: 4\n");
        let items = |section| -> Vec<_> {
            file.items(section).map(|(of, item)| format!("{of}.{}={}", item.key, item.value)).collect()
        };
        assert_eq!(items("global"), ["DEFAULT.a=1", "DEFAULT.c=4", "global.b=3"]);
        assert_eq!(items("x"), ["DEFAULT.a=1", "DEFAULT.b=2", "DEFAULT.c=4"]);
        assert!(items("DEFAULT").is_empty() && items("y").is_empty());
    }

    #[test]
    fn what_is_not_in_the_format_is_named_with_its_line() {
        assert!(fails(b"[global]\nbatch_size\n").starts_with("x.cfg:2: \"batch_size\" is a key without a value"));
        assert!(fails(b"[global]\n\n: x\n").starts_with("x.cfg:3: \": x\" is a value without a key"));
        assert!(fails(b"[global\n").starts_with("x.cfg:1: "));
        assert!(fails(b"[]\n").starts_with("x.cfg:1: a section without a name"));
        assert_eq!(remarks("[a] b\n"), ["x.cfg:1: \"b\" after [a] is ignored"]);
        assert!(fails(b"\na: b\n").contains("x.cfg:2: \"a: b\" is before the first section"));
        assert!(fails(b"[global]\na: b\nc: \xff\n").starts_with("x.cfg:3: not UTF-8"));
    }

    proptest! {
        #[test]
        fn every_key_and_value_is_read_as_it_is_written(key in "[^=:\\s#;\\[\r\n]{1,8}", value in "[^\r\n]{0,30}") {
            let value = value.trim().to_owned();
            let found = values(&format!("[global]\n{key}= {value}\n"));
            prop_assert_eq!(found, [(key.to_lowercase().trim().to_owned(), value, 2)]);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, "x.cfg");
        }
    }
}
