//! How a step ends on one host: the one type for it, from the process on the target to the row of the summary.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Holder, Revision};

/// How one step ended on one host. Every host that a step was meant for gets exactly one.
pub type Outcome = Result<(), Fault>;

/// Why a step did not end well.
///
/// The target itself says the first six. The deployer adds what only it can know: how the remote process ended, and
/// what became of the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Fault {
    /// The work failed; `reason` is one lower-case fragment that names the file, command or key.
    Failed {
        reason: String,
        /// The exit status of the remote process, where its failure is what is told of (255 is one like any other).
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "real_status")]
        status: Option<i32>,
    },
    /// A rollback brought the old revision back, and checks of that revision's own fail; `reason` names them.
    ChecksFailed { reason: String },
    /// Somebody else has deployed another revision there since the run began: nothing was done.
    MovedOn { to: Revision },
    /// The step, or something that it ran, passed its time limit, in seconds.
    TimedOut { seconds: u64 },
    /// Another run holds the target.
    Locked { by: Box<Holder> },
    /// The target's git cache lacks objects that it should have; a fetch that sends everything repairs it.
    CacheBroken { reason: String },
    /// The remote process died by a signal, `KILL` say.
    Killed { signal: String },
    /// No session could be had, so nothing was done: connection, host key or authentication; `reason` says which.
    Unreachable { reason: String },
    /// The session was lost in the middle of the step and could not be had again: what the host did is not known.
    Lost { reason: String },
}

impl Fault {
    /// A plain failure.
    pub fn failed(reason: impl Into<String>) -> Fault {
        Fault::Failed { reason: reason.into(), status: None }
    }

    /// Whether nobody was there to say how the step ended.
    pub fn is_out_of_reach(&self) -> bool {
        matches!(self, Fault::Unreachable { .. } | Fault::Lost { .. })
    }

    /// The fault as it may come from a target: what became of its process and of the connection is not for it to say.
    pub fn from_target(self) -> Fault {
        match self {
            Fault::Killed { .. } | Fault::Unreachable { .. } | Fault::Lost { .. } => {
                Fault::failed(format!("the target gave an invalid answer: {self}"))
            }
            other => other,
        }
    }

    /// The fault in words beside one that says already that the host is unreachable.
    pub fn beside_unreachable(&self) -> String {
        match self {
            Fault::Unreachable { reason } => reason.clone(),
            other => other.to_string(),
        }
    }

    /// The fault as a target tells of it in a line of its own.
    pub fn reason(&self) -> String {
        match self {
            Fault::Failed { reason, .. } | Fault::CacheBroken { reason } | Fault::ChecksFailed { reason } => {
                reason.clone()
            }
            Fault::MovedOn { to } => format!("this host now runs {} of another deployment", to.short()),
            other => other.to_string(),
        }
    }
}

/// As the deployer tells of it, beside the host's name.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Hoist's own process on a target ends with 1 whenever it has said why.
            Fault::Failed { reason, status: None | Some(1) } => f.write_str(reason),
            Fault::Failed { reason, status: Some(status) } => {
                let own = format!("exit status {status}");
                if reason.starts_with(&own) { f.write_str(reason) } else { write!(f, "{reason} ({own})") }
            }
            Fault::ChecksFailed { reason } => write!(f, "the old revision is live again, but {reason}"),
            Fault::MovedOn { to } => write!(f, "now runs {} of another deployment: left unchanged", to.short()),
            Fault::TimedOut { seconds } => write!(f, "timed out after {seconds} s"),
            Fault::Locked { by } => write!(f, "locked by {by}"),
            Fault::CacheBroken { reason } => write!(f, "the git cache of the target is broken: {reason}"),
            Fault::Killed { signal } => write!(f, "killed by signal {signal}"),
            Fault::Unreachable { reason } => write!(f, "unreachable: {reason}"),
            Fault::Lost { reason } => write!(f, "connection lost: {reason}"),
        }
    }
}

/// Earlier builds wrote 0 where there was no status.
fn real_status<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    Ok(Option::deserialize(deserializer)?.filter(|status| *status != 0))
}

/// An [`Outcome`] in JSON: one key `outcome`, `ok` or the name of the fault, and the fault's own keys beside it.
pub mod outcome {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::{Map, Value};

    use super::{Fault, Outcome};

    const KEY: &str = "outcome";
    /// The key in what targets of earlier builds have on record.
    const OLD_KEY: &str = "ended";

    pub fn serialize<S: Serializer>(outcome: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
        match outcome {
            Ok(()) => EndedWell { outcome: "ok" }.serialize(serializer),
            Err(fault) => fault.serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Outcome, D::Error> {
        let mut map = Map::deserialize(deserializer)?;
        if let Some(old) = map.remove(OLD_KEY) {
            map.entry(KEY).or_insert(old);
        }
        if map.get(KEY).is_some_and(|word| word == "ok") {
            return Ok(Ok(()));
        }
        serde_json::from_value::<Fault>(Value::Object(map)).map(Err).map_err(D::Error::custom)
    }

    /// What stands for an end without a fault.
    #[derive(Serialize)]
    struct EndedWell {
        outcome: &'static str,
    }

    /// The same where a step may not have ended yet.
    pub mod if_any {
        use super::*;

        #[derive(Serialize, Deserialize)]
        struct Ended(#[serde(with = "super")] Outcome);

        pub fn serialize<S: Serializer>(outcome: &Option<Outcome>, serializer: S) -> Result<S::Ok, S::Error> {
            outcome.clone().map(Ended).serialize(serializer)
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Outcome>, D::Error> {
            Ok(Option::<Ended>::deserialize(deserializer)?.map(|ended| ended.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        host: u32,
        #[serde(flatten, with = "outcome")]
        outcome: Outcome,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Kept {
        #[serde(default, with = "outcome::if_any")]
        outcome: Option<Outcome>,
    }

    #[test]
    fn an_outcome_reads_back_as_it_was_written_beside_other_keys_and_alone() {
        for outcome in [
            Ok(()),
            Err(Fault::failed("no space")),
            Err(Fault::Failed { reason: "check".into(), status: Some(255) }),
            Err(Fault::TimedOut { seconds: 5 }),
            Err(Fault::Lost { reason: "cut".into() }),
        ] {
            let flat = Flat { host: 1, outcome: outcome.clone() };
            let text = serde_json::to_string(&flat).unwrap();
            assert_eq!(serde_json::from_str::<Flat>(&text).unwrap(), flat, "{text}");
            for kept in [Kept { outcome: Some(outcome) }, Kept { outcome: None }] {
                let text = serde_json::to_string(&kept).unwrap();
                assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), kept, "{text}");
            }
        }
        let ok = serde_json::to_string(&Flat { host: 1, outcome: Ok(()) }).unwrap();
        assert_eq!(ok, r#"{"host":1,"outcome":"ok"}"#);
        let failed = serde_json::to_string(&Flat { host: 1, outcome: Err(Fault::failed("x")) }).unwrap();
        assert_eq!(failed, r#"{"host":1,"outcome":"failed","reason":"x"}"#);
    }

    #[test]
    fn what_earlier_builds_wrote_is_read_and_their_status_of_none_is_none() {
        let old = |text: &str| serde_json::from_str::<Flat>(text).unwrap().outcome;
        assert_eq!(old(r#"{"host":1,"outcome":"failed","reason":"x","status":0}"#), Err(Fault::failed("x")));
        let failed = Fault::Failed { reason: "x".into(), status: Some(7) };
        assert_eq!(old(r#"{"host":1,"outcome":"failed","reason":"x","status":7}"#), Err(failed));
        let kept = |text: &str| serde_json::from_str::<Kept>(text).unwrap().outcome;
        assert_eq!(kept(r#"{"outcome":{"ended":"ok"}}"#), Some(Ok(())));
        assert_eq!(kept(r#"{"outcome":{"ended":"failed","reason":"x"}}"#), Some(Err(Fault::failed("x"))));
        assert_eq!(kept(r#"{"outcome":null}"#), None);
        assert!(serde_json::from_str::<Kept>(r#"{"outcome":{"outcome":"strange"}}"#).is_err());
    }
}
