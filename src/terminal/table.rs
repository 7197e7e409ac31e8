//! A table for people, on a terminal of any width.

use super::style::{Style, Theme};
use super::styled::Styled;

/// A cell that is wider than this does not push the columns behind it away.
const MAX_CELL: usize = 40;

/// What stands ahead of a note that has no room in its row.
const BENEATH: &str = "      ";

/// Rows under a head. Each row may have a note: the last column or, where the terminal is too narrow for that, lines of
/// its own beneath the row.
#[derive(Debug)]
pub struct Table {
    /// What stands ahead of the rows.
    pub indent: &'static str,
    pub head: Vec<String>,
    /// The head of the notes.
    pub note: &'static str,
    /// Columns to leave out where the terminal is too narrow.
    pub spare: Vec<usize>,
    pub rows: Vec<TableRow>,
}

/// One row.
#[derive(Debug)]
pub struct TableRow {
    /// What stands in place of the indent.
    pub mark: Option<&'static str>,
    pub cells: Vec<String>,
    pub note: String,
    pub style: Style,
}

impl Table {
    /// The lines, for a terminal of so many columns; `None`: lines may be as long as they are.
    pub fn lines(&self, theme: Theme, columns: Option<usize>) -> Vec<Styled> {
        let fits = |lines: &[String]| columns.is_none_or(|most| lines.iter().all(|line| theme.width(line) <= most));
        let whole = self.grid(theme, true, &[]);
        let (lines, beneath) = match fits(&whole) {
            true => (whole, None),
            false => {
                let lines = self.grid(theme, false, &[]);
                (if fits(&lines) { lines } else { self.grid(theme, false, &self.spare) }, columns)
            }
        };
        let mut lines = lines.into_iter();
        let mut out: Vec<Styled> = lines.next().map(|head| Style::Dim.of(head)).into_iter().collect();
        for (line, row) in lines.zip(&self.rows) {
            out.push(row.style.of(line));
            let note = beneath.map(|columns| wrapped(&row.note, theme, columns.saturating_sub(BENEATH.len())));
            out.extend(note.into_iter().flatten().map(|line| row.style.of(format!("{BENEATH}{line}"))));
        }
        out
    }

    /// The head and the rows, a line each, with the notes or without, and without some columns.
    fn grid(&self, theme: Theme, notes: bool, without: &[usize]) -> Vec<String> {
        let kept = |cells| {
            let cells: &[String] = cells;
            (0..).zip(cells).filter(|(at, _)| !without.contains(at)).map(|(_, cell)| cell.as_str()).collect()
        };
        let notes = notes && self.rows.iter().any(|row| !row.note.is_empty());
        let mut rows: Vec<(&str, Vec<&str>)> = vec![(self.indent, kept(&self.head))];
        rows.extend(self.rows.iter().map(|row| (row.mark.unwrap_or(self.indent), kept(&row.cells))));
        if notes {
            let texts = [self.note].into_iter().chain(self.rows.iter().map(|row| row.note.as_str()));
            rows.iter_mut().zip(texts).for_each(|((_, cells), note)| cells.push(note));
        }
        let width = |column: usize| {
            let widths = rows.iter().filter_map(|(_, cells)| cells.get(column)).map(|cell| theme.width(cell));
            widths.filter(|width| *width <= MAX_CELL).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..=self.head.len()).map(width).collect();
        let line = |(indent, cells): &(&str, Vec<&str>)| {
            let cells: Vec<_> = cells.iter().zip(&widths).map(|(cell, width)| theme.padded(cell, *width)).collect();
            format!("{indent}{}", cells.join("  ")).trim_end().to_owned()
        };
        rows.iter().map(line).collect()
    }
}

/// A text in lines of so many columns, broken between words where that is possible.
fn wrapped(text: &str, theme: Theme, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut().filter(|line| theme.width(line) + 1 + theme.width(word) <= columns) {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(columns: Option<usize>) -> String {
        let row = |mark, name: &str, note: &str| TableRow {
            mark,
            cells: vec![name.to_owned(), "2".to_owned()],
            note: note.to_owned(),
            style: Style::Plain,
        };
        let table = Table {
            indent: "  ",
            head: vec!["group".into(), "hosts".into()],
            note: "reason",
            spare: vec![1],
            rows: vec![row(None, "canary", ""), row(Some("! "), "default", "no space left on that device")],
        };
        let theme = Theme::plain(true);
        table.lines(theme, columns).iter().map(|line| line.render(theme) + "\n").collect()
    }

    #[test]
    fn a_note_stands_in_its_row_or_beneath_it_where_the_terminal_is_narrow() {
        let whole = "\
\x20 group    hosts  reason
  canary   2
! default  2      no space left on that device
";
        assert_eq!((shown(None).as_str(), shown(Some(46)).as_str()), (whole, whole));
        let narrow = "\
\x20 group    hosts
  canary   2
! default  2
      no space left
      on that device
";
        assert_eq!(shown(Some(20)), narrow);
        assert!(shown(Some(15)).starts_with("  group\n  canary\n! default\n      no space\n"), "{}", shown(Some(15)));
        assert!(shown(Some(1)).contains("      no\n      space\n"));
    }
}
