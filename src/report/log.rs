//! The log of a deployment, kept in the repository's control folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Event, Reporter, json};
use crate::clock;
use crate::wire::{Level, RunId};

/// The log file of one run: the lines of the JSON format, all of them, whatever the operator chose to see.
///
/// A log that cannot be written never stops a deployment: there is one warning, and the rest is not written.
pub struct LogFile {
    path: PathBuf,
    file: Option<File>,
    warning: Option<String>,
}

impl LogFile {
    /// Where the log of a run stands: `log/hoist-<run>.log` below the control folder.
    pub fn path_of(control: &Path, run: &RunId) -> PathBuf {
        control.join("log").join(format!("hoist-{run}.log"))
    }

    /// Makes the folder of the logs, `log/` below the control folder, where it is missing.
    pub fn prepare(control: &Path) -> io::Result<()> {
        make_folder(&control.join("log"))
    }

    /// Opens the log of a run, to add to it when the run is resumed. `log/` is made where it is missing, with a
    /// `.gitignore` that keeps all of it out of the repository. The file is readable for its owner and group, less what
    /// the umask takes.
    pub fn open(control: &Path, run: &RunId) -> LogFile {
        let path = LogFile::path_of(control, run);
        let mut log = LogFile { path, file: None, warning: None };
        match open(&log.path) {
            Ok(file) => log.file = Some(file),
            Err(error) => log.give_up(&error),
        }
        log
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn give_up(&mut self, error: &io::Error) {
        self.file = None;
        let path = self.path.display();
        self.warning = Some(format!("cannot write the log {path}: {error}; this run goes on without it"));
    }
}

/// Makes a folder that keeps itself out of the repository.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir(folder)?;
    fs::write(folder.join(".gitignore"), "*\n")
}

fn open(path: &Path) -> io::Result<File> {
    path.parent().map_or(Ok(()), make_folder)?;
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

impl Reporter for LogFile {
    fn event(&mut self, event: &Event) {
        let Some(file) = &mut self.file else { return };
        let Some(mut line) = json::line(event, clock::rfc3339_utc()) else { return };
        line.push('\n');
        if let Err(error) = file.write_all(line.as_bytes()) {
            self.give_up(&error);
        }
    }

    fn warning(&mut self) -> Option<Event> {
        self.warning.take().map(|text| Event::note(Level::Warning, text))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::report::Tee;

    fn run() -> RunId {
        "20261123T144552.123Z-4711-7d3f".parse().unwrap()
    }

    #[test]
    fn the_log_folder_is_made_and_kept_out_of_git() {
        let control = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(control.path(), &run());
        log.event(&Event::Interrupted);
        log.event(&Event::HostDiff { host: "web1".parse().unwrap(), file: "f".into(), diff: "secret".into() });
        assert_eq!(log.warning(), None);
        let folder = control.path().join("log");
        assert_eq!(fs::read_to_string(folder.join(".gitignore")).unwrap(), "*\n");
        let path = folder.join("hoist-20261123T144552.123Z-4711-7d3f.log");
        assert_eq!(log.path(), path);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("\"event\":\"interrupted\"}\n") && text.lines().count() == 1, "{text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0, "it is open to others");
    }

    #[test]
    fn a_log_folder_that_stands_is_left_as_it_is_and_a_resumed_run_adds_to_its_log() {
        let control = tempfile::tempdir().unwrap();
        fs::create_dir(control.path().join("log")).unwrap();
        LogFile::open(control.path(), &run()).event(&Event::Interrupted);
        LogFile::open(control.path(), &run()).event(&Event::Interrupted);
        assert!(!control.path().join("log/.gitignore").exists());
        let text = fs::read_to_string(LogFile::path_of(control.path(), &run())).unwrap();
        assert_eq!(text.lines().count(), 2);
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
        fs::create_dir(control.path().join("log")).unwrap();
        // Every write to this device fails as on a full disk.
        std::os::unix::fs::symlink("/dev/full", LogFile::path_of(control.path(), &run())).unwrap();
        let told = std::rc::Rc::default();
        let log = LogFile::open(control.path(), &run());
        let mut tee = Tee::new(vec![Box::new(Memory(std::rc::Rc::clone(&told))), Box::new(log)]);
        for _ in 0..3 {
            tee.event(&Event::Interrupted);
        }
        let told = told.borrow();
        let [
            Event::Interrupted,
            Event::Note { level: Level::Warning, message },
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
        let mut log = LogFile::open(Path::new("/nonexistent/control"), &run());
        log.event(&Event::Interrupted);
        let Some(Event::Note { message, .. }) = log.warning() else { panic!("no warning") };
        assert!(message.contains("/nonexistent/control/log"), "{message}");
        assert_eq!(log.warning(), None);
    }
}
