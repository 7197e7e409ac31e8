//! A command under way, and how it ended.

use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::scene::{Look, Scene};

/// A command takes no longer, on a busy machine and with all its time limits.
const PATIENCE: Duration = Duration::from_secs(180);

/// A command under way.
pub struct Running {
    pub child: Child,
    pub before: Vec<Look>,
    pub out: PathBuf,
    pub err: PathBuf,
}

impl Running {
    /// Waits for the end; the invariants have to hold then.
    #[track_caller]
    pub fn end(self, scene: &Scene) -> Summary {
        let before = self.before.clone();
        let summary = self.wait();
        scene.check(&summary, &before);
        summary
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(mut self) -> Summary {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > until {
                self.child.kill().unwrap();
                panic!("the command hangs: {}", std::fs::read_to_string(&self.out).unwrap());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let out = std::fs::read_to_string(&self.out).unwrap();
        Summary::of(status.code(), &out, std::fs::read_to_string(&self.err).unwrap())
    }

    /// Kills the deployer at once.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// How a command ended.
pub struct Summary {
    pub status: Option<i32>,
    pub verdict: String,
    /// Of the `ended` event; `None` when there was none.
    pub rows: Option<Vec<Value>>,
    /// What was to be deployed.
    pub revision: Option<String>,
    /// Everything else that was said.
    pub said: String,
}

impl std::fmt::Debug for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {:?}, {}\n{}", self.status, self.verdict, self.said)
    }
}

impl Summary {
    pub fn of(status: Option<i32>, out: &str, err: String) -> Summary {
        let events: Vec<Value> = out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let of = |name: &str| events.iter().rfind(|event| event["event"] == name);
        let ended = of("ended");
        assert!(!err.contains("panicked"), "{err}");
        if let Some(ended) = ended {
            assert_eq!(
                ended["status"].as_i64().map(|it| it as i32),
                status,
                "the event says otherwise than the status"
            );
        }
        Summary {
            status,
            verdict: ended.map_or_else(String::new, |ended| ended["verdict"].as_str().unwrap().to_owned()),
            rows: ended.map(|ended| ended["rows"].as_array().unwrap().clone()),
            revision: of("started").map(|event| event["revision"].as_str().unwrap().to_owned()),
            said: err + out,
        }
    }

    #[track_caller]
    pub fn ends(self, status: i32) -> Summary {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Summary {
        assert!(self.said.contains(text), "{text:?} is not in {self:#?}");
        self
    }

    /// The state of the n-th target.
    pub fn state(&self, n: usize) -> &str {
        self.rows.as_ref().unwrap()[n]["state"].as_str().unwrap()
    }

    /// Why the n-th target is not as it should be.
    pub fn reason(&self, n: usize) -> &str {
        self.rows.as_ref().unwrap()[n]["reason"].as_str().unwrap_or_default()
    }
}
