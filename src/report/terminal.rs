//! The operator's text on a terminal: the same lines, and beneath them a bar that follows the running step.

use std::io::{self, Write};

use indicatif::ProgressDrawTarget;

use super::bar::Bar;
use super::render_options::RenderOptions;
use super::sink::{Form, Sink};
use super::text::Text;
use super::{Event, Reporter, drawn};
use crate::terminal::Styled;

/// The columns of a line's time and the blank behind it.
const TIME: usize = "12:00:00 ".len();

/// Lines, with a live bar while a step runs. Between steps there is no bar, so that a question stands alone.
pub struct Terminal<W> {
    text: Text,
    sink: Sink<W>,
    bar: Bar,
}

impl Terminal<io::Stdout> {
    /// On standard output.
    pub fn new(look: RenderOptions) -> Self {
        Terminal::with(Text::new(look), io::stdout(), Box::new(drawn::on_stdout))
    }
}

impl<W: Write> Terminal<W> {
    fn with(text: Text, writer: W, target: Box<dyn Fn() -> ProgressDrawTarget>) -> Self {
        let look = text.look;
        let bar = Bar::new(look, target);
        Terminal { text, sink: Sink::new(writer, Form::Text(look.theme)), bar }
    }

    fn show(&mut self, lines: &[Styled]) {
        if !lines.is_empty() {
            let (sink, look) = (&mut self.sink, self.text.look);
            let fitted = |line: &Styled| match (look.columns)() {
                Some(columns) => line.clone().wrapped(look.theme, columns, TIME),
                None => vec![line.clone()],
            };
            self.bar.above(|| sink.lines(lines.iter().flat_map(fitted)));
        }
    }
}

impl<W: Write> Reporter for Terminal<W> {
    fn event(&mut self, event: &Event) {
        self.bar.follow(event);
        let lines = self.text.lines(event);
        self.show(&lines);
        self.bar.draw();
    }

    fn flush(&mut self) {
        let held = self.text.held();
        self.show(&held);
    }

    fn replays(&mut self, at: Option<Option<&str>>) {
        self.text.replays(at);
    }

    fn tick(&mut self) {
        self.bar.tick();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, MutexGuard};

    use indicatif::TermLike;

    use super::*;
    use crate::fleet::Step;
    use crate::gates::Pending;
    use crate::report::{Moment, Sample, SampleVerdict, Verbosity};
    use crate::terminal::Theme;
    use crate::wire::{Level, Stage};

    #[derive(Debug, Default)]
    struct State {
        rows: Vec<Vec<char>>,
        row: usize,
        column: usize,
    }

    /// A terminal of so many columns that keeps its rows: as much of one as the bar needs.
    #[derive(Debug, Clone)]
    struct Screen {
        state: Arc<Mutex<State>>,
        columns: u16,
    }

    impl Screen {
        fn new(columns: u16) -> Screen {
            Screen { state: Arc::default(), columns }
        }

        fn state(&self) -> MutexGuard<'_, State> {
            let mut state = self.state.lock().unwrap();
            let rows = state.rows.len().max(state.row + 1);
            state.rows.resize(rows, Vec::new());
            state
        }

        fn put(&self, text: &str) {
            for c in text.chars() {
                let mut state = self.state();
                if c == '\r' {
                    state.column = 0;
                    continue;
                }
                if c == '\n' || state.column == usize::from(self.columns) {
                    (state.row, state.column) = (state.row + 1, 0);
                }
                drop(state);
                if c != '\n' {
                    let mut state = self.state();
                    let (row, column) = (state.row, state.column);
                    let cells = state.rows[row].len().max(column + 1);
                    state.rows[row].resize(cells, ' ');
                    state.rows[row][column] = c;
                    state.column += 1;
                }
            }
        }

        fn text(&self) -> String {
            let state = self.state();
            let rows: Vec<String> =
                state.rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned()).collect();
            rows.join("\n").trim_end().to_owned()
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            self.columns
        }
        fn move_cursor_up(&self, n: usize) -> io::Result<()> {
            let mut state = self.state();
            state.row = state.row.saturating_sub(n);
            Ok(())
        }
        fn move_cursor_down(&self, n: usize) -> io::Result<()> {
            self.state().row += n;
            Ok(())
        }
        fn move_cursor_right(&self, n: usize) -> io::Result<()> {
            self.state().column += n;
            Ok(())
        }
        fn move_cursor_left(&self, n: usize) -> io::Result<()> {
            let mut state = self.state();
            state.column = state.column.saturating_sub(n);
            Ok(())
        }
        fn write_line(&self, s: &str) -> io::Result<()> {
            self.put(s);
            self.put("\n");
            Ok(())
        }
        fn write_str(&self, s: &str) -> io::Result<()> {
            self.put(s);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            let mut state = self.state();
            let row = state.row;
            state.rows[row].clear();
            state.column = 0;
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.put(&String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn terminal(screen: &Screen) -> Terminal<Screen> {
        let theme = Theme { colour: false, unicode: false, live: true };
        let look =
            RenderOptions { theme, verbosity: Verbosity::Normal, fold: crate::report::comma_list, columns: || None };
        let drawn = screen.clone();
        let target = move || ProgressDrawTarget::term_like(Box::new(drawn.clone()));
        Terminal::with(Text::at(look, || "12:00:00".into()), screen.clone(), Box::new(target))
    }

    fn started(terminal: &mut Terminal<Screen>, hosts: usize) {
        terminal.event(&Event::StepStarted { step: Step::Run(Stage::Fetch), label: "canary".into(), hosts });
    }

    #[test]
    fn lines_stand_above_the_bar_and_the_bar_goes_with_its_step() {
        let screen = Screen::new(100);
        let mut terminal = terminal(&screen);
        started(&mut terminal, 3);
        assert!(screen.text().starts_with("fetch ----"), "{}", screen.text());
        assert!(screen.text().ends_with("0 ok, 0 failed, 0 running, 3 left"), "{}", screen.text());
        let host: crate::targets::Target = "web1".parse().unwrap();
        terminal.event(&Event::HostStarted { host: host.clone(), step: Step::Run(Stage::Fetch) });
        terminal.event(&Event::note(Level::Info, "a remark"));
        let shown = screen.text();
        let [first, last] = shown.lines().collect::<Vec<_>>()[..] else { panic!("{shown}") };
        assert_eq!(first, "12:00:00 a remark");
        assert!(last.ends_with("0 ok, 0 failed, 1 running, 2 left"), "{last}");
        let (step, seconds) = (Step::Run(Stage::Fetch), 0.1);
        let (tail, timings) = (Vec::new(), None);
        terminal.event(&Event::HostEnded { host, step, outcome: Ok(()), tail, seconds, timings });
        let (label, not_attempted) = ("canary".into(), vec![]);
        terminal.event(&Event::StepEnded { step, label, ok: 1, failed: 0, not_attempted, seconds });
        assert_eq!(screen.text(), "12:00:00 a remark\n12:00:00 fetch (canary): 1 ok, 0 failed");
    }

    #[test]
    fn a_soak_counts_down_beneath_the_lines() {
        let screen = Screen::new(100);
        let mut terminal = terminal(&screen);
        let (group, label) = ("web", "web1");
        let soaking =
            |left| Event::Soaking { group: group.into(), label: label.into(), left_seconds: left, soak_seconds: 90 };
        terminal.event(&Event::SoakStarted { group: group.into(), label: label.into(), seconds: 90 });
        terminal.event(&soaking(61));
        let shown = screen.text();
        let [first, last] = shown.lines().collect::<Vec<_>>()[..] else { panic!("{shown}") };
        assert_eq!(first, "12:00:00 web1: soaking for 1 min 30 s");
        assert!(last.starts_with("soak #") && last.ends_with("1 min 01 s left"), "{last}");
        let mut sample = Sample {
            gate: "errors".into(),
            value: None,
            verdict: SampleVerdict::Inconclusive,
            reason: "h:9090 does not answer".into(),
            attempt: 1,
            observe: false,
            pending: Some(Pending::NoValue),
        };
        let gate = |sample| Event::Gate { moment: Moment::Soak, group: group.into(), label: label.into(), sample };
        terminal.event(&gate(sample.clone()));
        let shown = screen.text();
        assert!(shown.contains("gate errors: inconclusive, h:9090 does not answer; it will be asked again"), "{shown}");
        assert!(shown.ends_with("1 min 01 s left; inconclusive: errors"), "{shown}");
        terminal.event(&gate(sample.clone()));
        assert_eq!(screen.text(), shown);
        (sample.verdict, sample.reason, sample.pending) = (SampleVerdict::Pass, String::new(), None);
        terminal.event(&gate(sample));
        let first = format!("{}\n12:00:00 gate errors: pass", shown.rsplit_once('\n').unwrap().0);
        assert!(screen.text().starts_with(&first) && screen.text().ends_with("1 min 01 s left"), "{}", screen.text());
        terminal.event(&Event::SoakEnded { group: group.into(), label: label.into(), left_seconds: 0 });
        assert_eq!(screen.text(), first);
    }

    #[test]
    fn a_narrow_terminal_keeps_the_bar_to_its_lines() {
        let screen = Screen::new(30);
        let mut terminal = terminal(&screen);
        started(&mut terminal, 3);
        terminal.event(&Event::note(Level::Info, "x"));
        terminal.event(&Event::note(Level::Info, "y"));
        drop(terminal);
        assert_eq!(screen.text(), "12:00:00 x\n12:00:00 y");
    }
}
