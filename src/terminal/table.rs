//! A table for people, on a terminal of any width.

use super::style::{Style, Theme};
use super::styled::Styled;

/// A cell that is wider than this does not push the columns behind it away.
const MAX_CELL: usize = 40;

/// What stands ahead of a note, or a list, that has no room in its row.
const BENEATH: &str = "      ";

/// What stands between two cells.
const GAP: &str = "  ";

/// Columns that the last cells of the rows need, before columns are left out for them.
const LAST: usize = 20;

/// Rows under a head. Each row may have a note: the last column or, where the terminal is too narrow for that, lines of
/// its own beneath the row. The cells ahead of the notes are lists, which may be broken behind a comma.
#[derive(Debug)]
pub struct Table {
    /// What stands ahead of the rows.
    pub indent: &'static str,
    pub head: Vec<String>,
    /// The head of the notes.
    pub note: &'static str,
    /// Columns to leave out where the terminal is too narrow, one after the other.
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
        let whole = self.grid(theme, true, &[], None);
        let fits = columns.is_none_or(|most| whole.iter().flatten().all(|line| theme.width(line) <= most));
        let (lines, beneath) = match columns.filter(|_| !fits) {
            None => (whole, None),
            Some(most) => (self.narrow(theme, most), columns),
        };
        let mut lines = lines.into_iter();
        let head = lines.next().into_iter().flatten();
        let mut out: Vec<Styled> = head.map(|head| Style::Dim.of(head)).collect();
        for (cell, row) in lines.zip(&self.rows) {
            out.extend(cell.into_iter().map(|line| row.style.of(line)));
            let note = beneath.map(|columns| wrapped(&row.note, theme, columns.saturating_sub(BENEATH.len())));
            out.extend(note.into_iter().flatten().map(|line| row.style.of(format!("{BENEATH}{line}"))));
        }
        out
    }

    /// Without notes, and with as many columns as leave room for the last cells, or a part of them.
    fn narrow(&self, theme: Theme, most: usize) -> Vec<Vec<String>> {
        let last = |row: &TableRow| row.cells.last().map_or(0, |cell| theme.width(cell));
        let needed = self.rows.iter().map(last).max().unwrap_or(0).min(LAST);
        let others = |without: &[usize]| {
            let widths = self.widths(theme, without);
            let (_, others) = widths.split_last().unwrap_or((&0, &[]));
            self.indent.len() + others.iter().map(|width| width + GAP.len()).sum::<usize>()
        };
        let mut without = (0..=self.spare.len()).map(|count| &self.spare[..count]);
        let fitting = without.find(|without| others(without) + needed <= most);
        let without = fitting.unwrap_or(&self.spare);
        self.grid(theme, false, without, Some(most))
    }

    /// The widths of the columns, the notes aside.
    fn widths(&self, theme: Theme, without: &[usize]) -> Vec<usize> {
        let all = || [&self.head].into_iter().chain(self.rows.iter().map(|row| &row.cells));
        let width = |column: usize| {
            let widths = all().filter_map(|cells| cells.get(column)).map(|cell| theme.width(cell));
            widths.filter(|width| *width <= MAX_CELL).max().unwrap_or(0)
        };
        (0..self.head.len()).filter(|column| !without.contains(column)).map(width).collect()
    }

    /// The head and the rows, the lines of each, with the notes or without, and without some columns. The last cells are
    /// broken where they go beyond `most` columns, and stand beneath their rows where these leave no room for them.
    fn grid(&self, theme: Theme, notes: bool, without: &[usize], most: Option<usize>) -> Vec<Vec<String>> {
        let kept = |cells| {
            let cells: &[String] = cells;
            (0..).zip(cells).filter(|(at, _)| !without.contains(at)).map(|(_, cell)| cell.as_str()).collect()
        };
        let notes = notes && self.rows.iter().any(|row| !row.note.is_empty());
        let mut rows: Vec<(&str, Vec<&str>)> = vec![(self.indent, kept(&self.head))];
        rows.extend(self.rows.iter().map(|row| (row.mark.unwrap_or(self.indent), kept(&row.cells))));
        let widths = self.widths(theme, without);
        let texts = [self.note].into_iter().chain(self.rows.iter().map(|row| row.note.as_str()));
        let line = |((indent, cells), note): (&(&str, Vec<&str>), &str)| {
            let (names, others) = cells.split_last().unwrap_or((&"", &[]));
            let others = others.iter().zip(&widths).map(|(cell, width)| theme.padded(cell, *width) + GAP);
            let start = format!("{indent}{}", others.collect::<String>());
            let lines = match most {
                None if notes => {
                    let names = theme.padded(names, widths.last().copied().unwrap_or(0));
                    vec![start + &names + GAP + note]
                }
                None => vec![start + names],
                Some(most) => with_list(start, names, theme, most),
            };
            lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
        };
        rows.iter().zip(texts).map(line).collect()
    }
}

/// A list in lines of so many columns, behind the start of its row or, where there is no room for it, beneath it.
fn with_list(start: String, list: &str, theme: Theme, columns: usize) -> Vec<String> {
    let room = columns.saturating_sub(theme.width(&start));
    if list.split_inclusive(',').any(|word| theme.width(word) > room) {
        let beneath = listed(list, theme, columns.saturating_sub(BENEATH.len()));
        return [start].into_iter().chain(beneath.into_iter().map(|names| format!("{BENEATH}{names}"))).collect();
    }
    let blanks = " ".repeat(theme.width(&start));
    let mut lines = listed(list, theme, room).into_iter();
    let first = start + &lines.next().unwrap_or_default();
    [first].into_iter().chain(lines.map(|names| format!("{blanks}{names}"))).collect()
}

/// A list in lines of so many columns, broken behind commas.
fn listed(text: &str, theme: Theme, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_inclusive(',') {
        match lines.last_mut().filter(|line| theme.width(line) + theme.width(word) <= columns) {
            Some(line) => *line += word,
            None => lines.push(word.to_owned()),
        }
    }
    lines
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
        assert!(shown(Some(1)).contains("      no\n      space\n"));
    }

    #[test]
    fn a_narrow_terminal_costs_columns_one_by_one_and_breaks_the_names_at_last() {
        let cells = ["web", "now", "-", "web[01-03,05],db[1-2]"].map(str::to_owned).to_vec();
        let row = TableRow { mark: None, cells, note: String::new(), style: Style::Plain };
        let head = ["group", "contact", "done", "names"].map(str::to_owned).to_vec();
        let table = Table { indent: "", head, note: "", spare: vec![1, 2], rows: vec![row] };
        let shown = |columns| -> String {
            let lines = table.lines(Theme::plain(true), Some(columns));
            lines.iter().map(|line| line.render(Theme::plain(true)) + "\n").collect()
        };
        assert_eq!(shown(80), "group  contact  done  names\nweb    now      -     web[01-03,05],db[1-2]\n");
        assert_eq!(shown(35), "group  done  names\nweb    -     web[01-03,05],db[1-2]\n");
        assert_eq!(shown(22), "group  names\nweb    web[01-03,05],\n       db[1-2]\n");
        // The names would be behind the last column of the terminal, or nearly so.
        assert_eq!(shown(16), "group  names\nweb\n      web[01-03,\n      05],\n      db[1-2]\n");
        assert_eq!(shown(11), "group\n      names\nweb\n      web[01-03,\n      05],\n      db[1-2]\n");
    }
}
