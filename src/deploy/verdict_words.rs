//! What a run came to that did not go well, in a few words, derived from the sentence of its verdict: journals have no more.

/// After a run that ended with status 1.
pub fn how_it_failed(text: &str) -> &'static str {
    let says = |words: &str| text.contains(words);
    match () {
        () if says("nothing was touched") => "failed, nothing touched",
        // Earlier builds wrote "back where they were, verified".
        () if says("rolled back and verified") || says(", verified") => "failed, rolled back",
        () if says("left unchanged") && says("got another revision") => "another revision on hosts",
        () if says("no host was changed") => "failed, hosts as before",
        () if says("left unchanged") || says("what it ran before") || says("what they ran before") => {
            "failed, hosts as before"
        }
        () => "failed",
    }
}

/// After a run that ended with status 3.
pub fn what_is_wrong(text: &str) -> &'static str {
    // What a rollback failed to do tells nothing of the hosts.
    let text = text.strip_prefix("not rolled back to ").unwrap_or(text);
    let says = |words: &str| text.contains(words);
    match () {
        () if says("stopped, not undone") => "stopped, not undone",
        () if says("stopped, not rolled back") => "stopped, not rolled back",
        () if says("the fleet is mixed") => "failed, mixed",
        () if says("not rolled back") || says("may not be rolled back") => "rollback incomplete",
        () if says("checks fail") => "rolled back, checks fail",
        // The others have the new revision.
        () if says("fail their checks") => "checks fail on hosts",
        () if says("still drained") || says("last seen drained") => "hosts drained",
        () if says("got another revision") => "another revision on hosts",
        () if says("unknown state") => "hosts in unknown state",
        () if ["step", "undo of step"].iter().any(|it| says(&format!("not known whether {it}"))) => {
            "step in unknown state"
        }
        () if says("was not undone") => "step not undone",
        () if says("every host failed") || says("the only host failed") => "failed on every host",
        () => "failed, see the log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_that_rolled_hosts_back_is_said_to_have_done_so() {
        let back = "not deployed: 2 hosts were rolled back and verified; 1 host was left unchanged";
        assert_eq!(how_it_failed(back), "failed, rolled back");
        let of_old = "not deployed: all 3 hosts touched are back where they were, verified";
        assert_eq!(how_it_failed(of_old), "failed, rolled back");
        for as_before in [
            "not deployed: 2 hosts were left unchanged",
            "not deployed: the only host failed, within the failure limit; it runs what it ran before",
            "not deployed: every host failed, within the failure limits; they run what they ran before",
        ] {
            assert_eq!(how_it_failed(as_before), "failed, hosts as before", "{as_before}");
        }
        let moved = "not deployed: 2 hosts got another revision meanwhile and were left unchanged";
        assert_eq!(how_it_failed(moved), "another revision on hosts");
        assert_eq!(how_it_failed("services restarted on 0 of 2 hosts; no revision was changed"), "failed");
        let untouched = "not deployed: no target can be deployed to; nothing was touched";
        assert_eq!(how_it_failed(untouched), "failed, nothing touched");
    }

    #[test]
    fn a_run_that_the_operator_left_as_it_was_has_not_failed() {
        let declined = "stopped, not rolled back; the fleet is mixed: 1 host was changed";
        assert_eq!(what_is_wrong(declined), "stopped, not rolled back");
        let failed = "not deployed; the fleet is mixed: 1 host was not rolled back";
        assert_eq!(what_is_wrong(failed), "failed, mixed");
        assert_eq!(what_is_wrong("stopped, not undone: 2 hosts were changed"), "stopped, not undone");
    }

    #[test]
    fn a_rollback_whose_hosts_are_all_back_where_it_began_is_not_incomplete() {
        let not = "not rolled back to 1111111111: ";
        let back = "3 hosts were rolled back and verified, but checks fail: web1";
        assert_eq!(what_is_wrong(&format!("{not}{back}")), "rolled back, checks fail");
        assert_eq!(what_is_wrong(&format!("{not}1 host was not rolled back")), "rollback incomplete");
    }
}
