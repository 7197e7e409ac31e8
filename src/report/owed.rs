//! Hosts that a run has left without the revision that they should run.

use serde::{Deserialize, Serialize};

use crate::named::named;
use crate::targets::{Target, fold};
use crate::text::counted;
use crate::wire::Revision;

/// A host that does not have the revision that it should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwedHost {
    pub host: Target,
    pub group: String,
    pub revision: Revision,
    pub why: WhyOwed,
}

named! {
    /// Why a host does not have the revision that it should run.
    pub enum WhyOwed {
        /// The run went through without it.
        Missed = "missed",
        MissedEarlier = "missed earlier",
        /// It was never deployed to.
        New = "new",
    }
}

/// One line that names these hosts and the command that helps; `None`: there are none.
pub fn owed_line(owed: &[OwedHost], reconcile: &str) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for why in WhyOwed::ALL {
        let hosts: Vec<&Target> = owed.iter().filter(|owed| owed.why == why).map(|owed| &owed.host).collect();
        if hosts.is_empty() {
            continue;
        }
        let what = match why {
            WhyOwed::Missed => "missed this deployment",
            WhyOwed::MissedEarlier => "missed an earlier deployment",
            WhyOwed::New if hosts.len() == 1 => "is new",
            WhyOwed::New => "are new",
        };
        parts.push(format!("{} {what}", fold(hosts)));
    }
    let (verb, whose) = if owed.len() == 1 { ("needs", "its") } else { ("need", "their") };
    let (count, parts) = (counted(owed.len(), "host"), parts.join(", "));
    // A host that a deployment has missed had a reason, which the table of hosts names: down, drained, locked, ahead.
    let when = if owed.iter().all(|owed| owed.why == WhyOwed::New) { "" } else { " once the cause is fixed" };
    let said = format!("{count} still {verb} {whose} revision: {parts}; `{reconcile}` brings it there{when}");
    (!owed.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owed(hosts: &[(&str, WhyOwed)]) -> Option<String> {
        let one = |(host, why): &(&str, WhyOwed)| OwedHost {
            host: host.parse().unwrap(),
            group: "web".into(),
            revision: "a".repeat(40).parse().unwrap(),
            why: *why,
        };
        owed_line(&hosts.iter().map(one).collect::<Vec<_>>(), "hoist reconcile")
    }

    #[test]
    fn hosts_are_named_with_the_reason_and_the_command() {
        assert_eq!(owed(&[]), None);
        assert_eq!(
            owed(&[("web3", WhyOwed::Missed)]).unwrap(),
            "1 host still needs its revision: web3 missed this deployment; `hoist reconcile` brings it there once \
             the cause is fixed"
        );
        let all = [("web3", WhyOwed::New), ("web1", WhyOwed::Missed), ("web2", WhyOwed::Missed)];
        let line = owed(&[&all[..], &[("db1", WhyOwed::MissedEarlier), ("db2", WhyOwed::New)]].concat()).unwrap();
        assert_eq!(
            line,
            "5 hosts still need their revision: web[1-2] missed this deployment, db1 missed an earlier deployment, \
             db2,web3 are new; `hoist reconcile` brings it there once the cause is fixed"
        );
    }
}
