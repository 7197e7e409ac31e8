//! The log of a deployment, kept in the repository's control folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Event, Reporter, json};
use crate::files::no_links;
use crate::files::ownership::Denied;
use crate::files::shared;
use crate::terminal::sanitize_json;
use crate::wire::{Level, RunId};

/// The log file of one run: the lines of the JSON format, all of them, whatever the operator chose to see.
///
/// A log that cannot be written never stops a deployment: there is a warning, and another one at the end that counts what
/// is missing. On a disk that is full for a moment the lines after that moment are written.
pub struct LogFile {
    path: PathBuf,
    file: Option<File>,
    replayed: Option<Option<String>>,
    warning: Option<String>,
    /// Lines that are written at the next flush.
    held: String,
    /// Lines that are not in the file.
    lost: usize,
    /// Half a line may stand at the end of the file.
    torn: bool,
}

impl LogFile {
    /// Where the log of a run stands: `log/hoist-<run>.log` below the control folder.
    pub fn path_of(control: &Path, run: &RunId) -> PathBuf {
        LogFile::folder_of(control).join(format!("hoist-{run}.log"))
    }

    /// Where logs stand: `log/` below the control folder.
    pub fn folder_of(control: &Path) -> PathBuf {
        control.join("log")
    }

    /// Makes the folder of the logs where it is missing.
    pub fn prepare(control: &Path) -> io::Result<()> {
        shared::make_folder(&LogFile::folder_of(control))
    }

    /// Opens the log of a run, to add to it when the run is resumed. `log/` is made where it is missing, with a
    /// `.gitignore` that keeps all of it out of the repository. The file is for its owner and group, less what the umask
    /// takes.
    ///
    /// Of the logs that Hoist left there the newest `keep` stay, this one among them; others' logs are let be.
    pub fn open(control: &Path, run: &RunId, keep: usize) -> LogFile {
        let path = LogFile::path_of(control, run);
        let mut log =
            LogFile { path, file: None, replayed: None, warning: None, held: String::new(), lost: 0, torn: false };
        match open(&log.path) {
            Ok(file) => log.file = Some(file),
            Err(error) => {
                log.give_up(error);
                return log;
            }
        }
        if let Err(error) = prune(&LogFile::folder_of(control), keep, &log.path) {
            log.warning = Some(format!("cannot remove old logs: {error}"));
        }
        log
    }

    fn give_up(&mut self, error: io::Error) {
        let (path, why) = (self.path.display(), Denied::new(&self.path, error));
        self.warning = Some(format!("cannot write the log {path}: {why}; this run continues without it"));
    }

    /// Writes lines, behind whole lines only: all of them or none.
    fn write(&mut self, lines: &str) -> io::Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| !lines.is_empty()) else { return Ok(()) };
        if self.torn {
            file.write_all(b"\n")?;
            self.torn = false;
        }
        let before = file.metadata()?.len();
        file.write_all(lines.as_bytes()).inspect_err(|_| self.torn = file.set_len(before).is_err())
    }
}

fn open(path: &Path) -> io::Result<File> {
    path.parent().map_or(Ok(()), shared::make_folder)?;
    no_links::refuse_link(path)?;
    let is_new = !path.exists();
    let file = no_links::no_link().append(true).create(true).mode(shared::MODE).open(path)?;
    if is_new {
        shared::take_group(path);
    }
    Ok(file)
}

/// Removes our own logs but for the newest `keep`, and never `current`: a run that is resumed late has an old one.
fn prune(folder: &Path, keep: usize, current: &Path) -> io::Result<()> {
    let mut ours: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if is_ours(&path) {
            ours.push(path);
        }
    }
    // Run ids sort by time.
    ours.sort();
    ours.truncate(ours.len().saturating_sub(keep));
    for path in ours.iter().filter(|path| *path != current) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a file is named as the log of a run is: `hoist-20261123T144552.123Z-4711-7d3f.log`.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let run = name.strip_prefix("hoist-").and_then(|rest| rest.strip_suffix(".log"));
    run.is_some_and(|run| {
        let (stamp, rest) = run.split_once('-').unwrap_or_default();
        let dated = stamp.len() == 20 && stamp.as_bytes()[8] == b'T' && stamp.ends_with('Z');
        dated && !rest.is_empty() && run.parse::<RunId>().is_ok()
    })
}

impl Reporter for LogFile {
    fn event(&mut self, event: &Event) {
        if self.file.is_none() {
            return;
        }
        if matches!(event, Event::HostWaiting { .. } | Event::Soaking { .. }) {
            return;
        }
        // Whoever looks at the file with other tools is as safe as with `hoist log`.
        let Some(line) = json::line(event, json::Moment::of(&self.replayed)) else { return };
        self.held += &sanitize_json(line);
        self.held.push('\n');
        if !event.comes_in_batches() {
            self.flush();
        }
        if self.lost > 0 && matches!(event, Event::Ended { .. }) {
            self.warning =
                Some(format!("the log {} is missing {}", self.path.display(), crate::text::counted(self.lost, "line")));
        }
    }

    fn flush(&mut self) {
        let lines = std::mem::take(&mut self.held);
        if let Err(error) = self.write(&lines) {
            if self.lost == 0 {
                self.give_up(error);
            }
            self.lost += lines.lines().count();
        }
    }

    fn replays(&mut self, at: Option<Option<&str>>) {
        self.replayed = at.map(|at| at.map(str::to_owned));
    }

    fn warning(&mut self) -> Option<Event> {
        self.warning.take().map(|text| Event::note(Level::Warning, text))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::report::{Note, Tee};

    fn run() -> RunId {
        "20261123T144552.123Z-4711-7d3f".parse().unwrap()
    }

    #[test]
    fn the_log_folder_is_made_and_kept_out_of_git() {
        let control = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(control.path(), &run(), 20);
        log.event(&Event::Interrupted);
        log.event(&Event::HostDiff { host: "web1".parse().unwrap(), file: "f".into(), diff: "secret".into() });
        assert_eq!(log.warning(), None);
        let folder = control.path().join("log");
        assert_eq!(fs::read_to_string(folder.join(".gitignore")).unwrap(), "*\n");
        let path = folder.join("hoist-20261123T144552.123Z-4711-7d3f.log");
        assert_eq!(log.path, path);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("\"event\":\"interrupted\"}\n") && text.lines().count() == 1, "{text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0, "it is open to others");
    }

    #[test]
    fn a_log_folder_that_stands_is_left_as_it_is_and_a_resumed_run_adds_to_its_log() {
        let control = tempfile::tempdir().unwrap();
        fs::create_dir(control.path().join("log")).unwrap();
        LogFile::open(control.path(), &run(), 20).event(&Event::Interrupted);
        LogFile::open(control.path(), &run(), 20).event(&Event::Interrupted);
        assert!(!control.path().join("log/.gitignore").exists());
        let text = fs::read_to_string(LogFile::path_of(control.path(), &run())).unwrap();
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn our_newest_logs_are_kept_and_nobody_elses_is_removed() {
        let control = tempfile::tempdir().unwrap();
        let folder = control.path().join("log");
        fs::create_dir(&folder).unwrap();
        let others = ["scap-sync-2016-11-23-0001.log", "hoist-notes.log", "hoist-20261123T144552.123Z.log", "x.txt"];
        let log_of = |number: usize| format!("hoist-202611{number:02}T144552.123Z-4711-7d3f.log");
        for name in others.map(str::to_owned).into_iter().chain((1..=9).map(log_of)) {
            fs::write(folder.join(name), "").unwrap();
        }
        // The run of the 23rd begins; then that of the 1st, which was cut off, is resumed.
        LogFile::open(control.path(), &run(), 3);
        let left = || {
            let names = fs::read_dir(&folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = names.filter(|name| !others.contains(&name.as_str())).collect();
            names.sort();
            names
        };
        assert_eq!(left(), [log_of(8), log_of(9), log_of(23)]);
        let old = "20261101T144552.123Z-4711-7d3f".parse().unwrap();
        let mut log = LogFile::open(control.path(), &old, 3);
        assert_eq!((log.warning(), left().len()), (None, 4), "its own log is never taken from a run");
        assert!(others.iter().all(|name| folder.join(name).exists()));
    }

    /// Remembers what it was told.
    struct Memory(std::rc::Rc<std::cell::RefCell<Vec<Event>>>);

    impl Reporter for Memory {
        fn event(&mut self, event: &Event) {
            self.0.borrow_mut().push(event.clone());
        }
    }

    #[test]
    fn a_full_disk_gives_one_warning_and_then_silence() {
        let control = tempfile::tempdir().unwrap();
        let told = std::rc::Rc::default();
        let mut log = LogFile::open(control.path(), &run(), 20);
        // Every write to this device fails as on a full disk.
        log.file = Some(File::options().append(true).open("/dev/full").unwrap());
        let mut tee = Tee::new(vec![Box::new(Memory(std::rc::Rc::clone(&told))), Box::new(log)]);
        for _ in 0..3 {
            tee.event(&Event::Interrupted);
        }
        let told = told.borrow();
        let [
            Event::Interrupted,
            Event::Note(Note { level: Level::Warning, message, .. }),
            Event::Interrupted,
            Event::Interrupted,
        ] = &told[..]
        else {
            panic!("{told:?}");
        };
        assert!(message.contains("No space left on device") && message.contains("hoist-2026"), "{message}");
    }

    #[test]
    fn a_log_that_cannot_be_made_is_a_warning_too() {
        let mut log = LogFile::open(Path::new("/dev/null/control"), &run(), 20);
        log.event(&Event::Interrupted);
        let Some(Event::Note(Note { message, .. })) = log.warning() else { panic!("no warning") };
        assert!(message.contains("/dev/null/control/log"), "{message}");
        assert_eq!(log.warning(), None);
    }
}
