//! Which targets a command is limited to.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use super::Target;
use super::names::is_name_character;
use super::term::Term;
use crate::text::meant_or_known;

/// Terms separated by commas or white space: names; globs with `*`, `?`, and a shell's character classes `web[12]`;
/// ranges `web[01:20].example.org`, which have a colon; `all`; what else Scap takes, which is a regular expression for
/// the whole name, `web(1|2)`. `!term` leaves out. A pattern, or the rest of one, that begins with `~` or `!~` is one
/// regular expression for the beginning of the name. `@group` stands for the hosts of a group, and so does the group's
/// bare name where no host has it. `&term` keeps only hosts that match this term besides.
///
/// A host matches when any plain term matches, or there is none, every `&` term does, and no negated one does. Letter
/// case does not matter.
#[derive(Debug, Clone)]
pub struct HostPattern {
    text: String,
    wanted: Vec<Term>,
    unwanted: Vec<Term>,
    required: Vec<Term>,
}

/// The text of a pattern for what `--limit-hosts` and `--groups` (names separated by commas) say together.
///
/// # Errors
/// `groups` names none, or something that can be no group's name.
pub fn limit_to(hosts: Option<&str>, groups: Option<&str>) -> Result<Option<String>, String> {
    let Some(groups) = groups else { return Ok(hosts.map(str::to_owned)) };
    let names: Vec<&str> = groups.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(format!("--groups: {groups:?} names no group"));
    }
    if let Some(bad) = names.iter().find(|name| !name.chars().all(is_name_character)) {
        return Err(format!("--groups: {bad:?} is not the name of a group"));
    }
    let groups = names.join("|");
    Ok(Some(match hosts {
        None => format!("@{groups}"),
        // In front: an expression goes on to the end.
        Some(hosts) => format!("&@{groups},{hosts}"),
    }))
}

impl HostPattern {
    /// Whether a target of a group matches; its user and port do not count.
    pub fn matches(&self, group: &str, target: &Target) -> bool {
        let hit = |term: &Term| term.matches(group, target);
        (self.wanted.is_empty() || self.wanted.iter().any(hit))
            && self.required.iter().all(hit)
            && !self.unwanted.iter().any(hit)
    }

    /// Takes names of groups for groups, where no target has such a name. Gives the names that both have: they stand for
    /// the target.
    ///
    /// # Errors
    /// An `@group` that there is not.
    pub fn know(&mut self, groups: &[String], targets: &[Target]) -> Result<Vec<String>, String> {
        let mut both = Vec::new();
        for term in self.terms_mut() {
            if let Term::Groups(named) = term {
                let known = |name: &String| groups.iter().any(|group| group.eq_ignore_ascii_case(name));
                if let Some(stranger) = named.iter().find(|name| !known(name)) {
                    return Err(unknown_group(stranger, groups));
                }
                continue;
            }
            let [name] = term.names().try_into().unwrap_or_default();
            let Some(group) = groups.iter().find(|group| group.eq_ignore_ascii_case(&name)) else { continue };
            match targets.iter().any(|target| target.host == name) {
                true => both.push(group.clone()),
                false => *term = Term::Groups(vec![group.clone()]),
            }
        }
        Ok(both)
    }

    /// Whether the pattern speaks of groups, so that others are left out on purpose.
    pub fn names_groups(&self) -> bool {
        self.wanted.iter().chain(&self.required).any(|term| matches!(term, Term::Groups(_)))
    }

    fn terms_mut(&mut self) -> impl Iterator<Item = &mut Term> {
        self.wanted.iter_mut().chain(&mut self.unwanted).chain(&mut self.required)
    }

    /// The plain names and the names in ranges, of every kind of term, that are no target's: slips of the finger, as a
    /// rule.
    pub fn unmatched(&self, targets: &[Target]) -> Vec<String> {
        let known: HashSet<&str> = targets.iter().map(|target| target.host.as_str()).collect();
        let mut seen = HashSet::new();
        let names = |term: &Term| match term {
            Term::Target(target) if !targets.contains(target) => vec![target.to_string()],
            term => term.names().into_iter().filter(|name| !known.contains(name.as_str())).collect(),
        };
        let terms = self.wanted.iter().chain(&self.unwanted).chain(&self.required);
        terms.flat_map(names).filter(|name| seen.insert(name.clone())).collect()
    }
}

/// Why `name` is no group, and which there are.
fn unknown_group(name: &str, groups: &[String]) -> String {
    match groups {
        [] => format!("unknown group {name:?}: there are no groups here"),
        _ => format!("unknown group {name:?}{}", meant_or_known(name, "groups", groups)),
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text_of = text.trim().to_owned();
        let mut pattern = HostPattern { text: text_of, wanted: Vec::new(), unwanted: Vec::new(), required: Vec::new() };
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches(between_terms);
            if rest.is_empty() {
                break;
            }
            let whole = rest.strip_prefix(['!', '&']).unwrap_or(rest).starts_with('~');
            let length = if whole { rest.len() } else { term_length(rest) };
            let (term, after) = rest.split_at(length);
            rest = after;
            let (terms, body) = match (term.strip_prefix('!'), term.strip_prefix('&')) {
                (Some(body), _) => (&mut pattern.unwanted, body),
                (None, Some(body)) => (&mut pattern.required, body),
                (None, None) => (&mut pattern.wanted, term),
            };
            terms.push(Term::read(body).map_err(|why| format!("bad pattern {term:?}: {why}"))?);
        }
        if pattern.terms_mut().next().is_none() {
            return Err(format!("bad pattern {text:?}: it is empty: write a host's name"));
        }
        Ok(pattern)
    }
}

/// The terms of a list: what stands between commas and white space, where commas inside of brackets are a term's own.
pub(super) fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(between_terms);
        let (term, after) = rest.split_at(term_length(rest));
        rest = after;
        (!term.is_empty()).then_some(term)
    })
}

fn between_terms(c: char) -> bool {
    c == ',' || c.is_whitespace()
}

/// Where the first term ends: commas inside of brackets of any kind are the term's own.
fn term_length(text: &str) -> usize {
    let mut open: usize = 0;
    for (index, c) in text.char_indices() {
        match c {
            '[' | '(' | '{' => open += 1,
            ']' | ')' | '}' => open = open.saturating_sub(1),
            _ if c.is_whitespace() || (c == ',' && open == 0) => return index,
            _ => {}
        }
    }
    text.len()
}

impl fmt::Display for HostPattern {
    /// As it was typed: hosts and groups that were given apart are shown so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.strip_prefix("&@").and_then(|rest| rest.split_once(',')) {
            Some((groups, hosts)) => write!(f, "{hosts} in {}", groups.replace('|', " or ")),
            None => f.write_str(&self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::told_with_term;

    fn matching(pattern: &str, hosts: &[&'static str]) -> Vec<&'static str> {
        let pattern: HostPattern = pattern.parse().unwrap();
        hosts.iter().copied().filter(|host| pattern.matches("web", &host.parse().unwrap())).collect()
    }

    const HOSTS: &[&str] = &["web1", "web2", "web10", "web02", "db1.example.org", "dba", "::1", "10.0.0.7"];

    #[test]
    fn names_and_globs_match_the_whole_name_in_any_letter_case() {
        assert_eq!(matching("web1", HOSTS), ["web1"]);
        assert_eq!(matching("WEB?", HOSTS), ["web1", "web2"]);
        assert_eq!(matching("*.example.org, dba", HOSTS), ["db1.example.org", "dba"]);
        assert_eq!(matching("web", HOSTS), [""; 0]);
        assert_eq!(matching("*b*1*", HOSTS), ["web1", "web10", "db1.example.org"]);
        assert_eq!(matching("::1 10.0.0.*", HOSTS), ["::1", "10.0.0.7"]);
    }

    #[test]
    fn ranges_are_numeric_and_keep_their_zeros() {
        assert_eq!(matching("web[1:10]", HOSTS), ["web1", "web2", "web10"]);
        assert_eq!(matching("web[01:20]", HOSTS), ["web10", "web02"]);
        assert_eq!(matching("db[a:c]", HOSTS), ["dba"]);
        assert_eq!(matching("web[1:2,10:10]", HOSTS), ["web1", "web2", "web10"]);
        assert_eq!(matching("[d:w]?[a:b][1:2]*", HOSTS), ["web1", "web2", "web10"]);
        assert_eq!(matching("10.0.[0:3].[1:9]", HOSTS), ["10.0.0.7"]);
        assert_eq!(matching("x[1:20]0", &["x100", "x10", "x200", "x2000"]), ["x100", "x10", "x200"]);
    }

    #[test]
    fn a_negated_term_leaves_out_whatever_the_others_say() {
        assert_eq!(matching("web*,!web1*", HOSTS), ["web2", "web02"]);
        assert_eq!(matching("!web*", HOSTS), ["db1.example.org", "dba", "::1", "10.0.0.7"]);
        assert_eq!(matching("!web1 web*", HOSTS), ["web2", "web10", "web02"]);
    }

    #[test]
    fn a_regular_expression_goes_on_to_the_end_and_matches_from_the_beginning_of_the_name() {
        assert_eq!(matching("~^web[0-9]{1,1}$", HOSTS), ["web1", "web2"]);
        assert_eq!(matching("~web(1|2)", HOSTS), ["web1", "web2", "web10"]);
        assert_eq!(matching("~eb1", HOSTS), [""; 0]);
        assert_eq!(matching("~x|.*org", HOSTS), ["db1.example.org"]);
        assert_eq!(matching("!~WEB|::", HOSTS), ["db1.example.org", "dba", "10.0.0.7"]);
        assert_eq!(matching("dba,~.*example, ?", HOSTS), ["dba"]);
    }

    #[test]
    fn brackets_without_a_colon_are_a_shells_character_class() {
        let hosts = ["web1.x", "web2.x", "web12.x", "mwa1", "mwb22", "mwc1", "w-1", "w_1"];
        assert_eq!(matching("web[12].x", &hosts), ["web1.x", "web2.x"]);
        assert_eq!(matching("mw[AB]*", &hosts), ["mwa1", "mwb22"]);
        assert_eq!(matching("mw[^a]*", &hosts), ["mwb22", "mwc1"]);
        assert_eq!(matching("mw[^a-b]1", &hosts), ["mwc1"]);
        assert_eq!(matching("w[-a]1,w[_]1", &hosts), ["w-1", "w_1"]);
        assert_eq!(matching("web[1-2].x", &hosts), ["web1.x", "web2.x"]);
        assert_eq!(matching("web[1:12].x", &hosts), ["web1.x", "web2.x", "web12.x"]);
    }

    #[test]
    fn all_stands_for_every_host() {
        assert_eq!(matching("all", HOSTS), HOSTS);
        assert_eq!(matching("all,!web*", HOSTS), ["db1.example.org", "dba", "::1", "10.0.0.7"]);
    }

    #[test]
    fn what_else_scap_takes_is_an_expression_for_the_whole_name() {
        assert_eq!(matching("web(1|2)", HOSTS), ["web1", "web2"]);
        assert_eq!(matching("^web1$", HOSTS), ["web1"]);
        assert_eq!(matching("^db*.(org|net)$", HOSTS), ["db1.example.org"]);
        assert_eq!(matching("web\\d", HOSTS), ["web1", "web2"]);
        assert_eq!(matching("web[0-9]{1,2},dba", HOSTS), ["web1", "web2", "web10", "web02", "dba"]);
        assert_eq!(matching("(web|x)[01:10]", HOSTS), ["web10", "web02"]);
        assert_eq!(matching("web[12]+", HOSTS), ["web1", "web2"]);
        // As there, the ends of the name are not part of the alternatives.
        assert_eq!(matching("web1|dba", HOSTS), ["web1", "web10", "dba"]);
    }

    /// `web1 db1` of what `pattern` matches of two groups, one of which has the name of a host of the other.
    fn of_groups(pattern: &str) -> Result<String, String> {
        let groups = ["web", "db", "Canary"].map(str::to_owned);
        let hosts = [("web", "web1"), ("web", "db"), ("Canary", "web2"), ("db", "db1")];
        let targets = hosts.map(|(_, host)| host.parse::<Target>().unwrap());
        let mut pattern: HostPattern = pattern.parse().unwrap();
        let both = pattern.know(&groups, &targets)?;
        let found = hosts.iter().zip(&targets).filter(|((group, _), target)| pattern.matches(group, target));
        let found: Vec<&str> = found.map(|((_, host), _)| *host).collect();
        Ok(found.join(" ") + &both.iter().map(|name| format!(" (both: {name})")).collect::<String>())
    }

    #[test]
    fn a_group_is_named_by_its_bare_name_unless_a_host_has_it_and_always_with_an_at_sign() {
        let found = |pattern: &str| of_groups(pattern).unwrap();
        assert_eq!(found("canary"), "web2");
        assert_eq!(found("web,db1"), "web1 db db1");
        assert_eq!(found("db"), "db (both: db)");
        assert_eq!(found("@db"), "db1");
        assert_eq!(found("@web|canary"), "web1 db web2");
        assert_eq!(found("!web"), "web2 db1");
        assert_eq!(found("&@web|canary,web*"), "web1 web2");
        assert_eq!(found("web*,&canary"), "web2");
        assert_eq!(found("&@web,~.*1"), "web1");
        assert_eq!(of_groups("@canry").unwrap_err(), "unknown group \"canry\": did you mean \"Canary\"?");
        for bad in ["@", "@a|", "@a b,@", "@a/b"] {
            assert!(bad.parse::<HostPattern>().unwrap_err().contains("group's name follows"), "{bad}");
        }
    }

    #[test]
    fn a_target_with_user_or_port_is_named_as_its_file_writes_it() {
        let targets: Vec<Target> =
            ["root@web1:2222", "web1", "web1:2223", "[::1]:22"].iter().map(|it| it.parse().unwrap()).collect();
        let found = |pattern: &str| {
            let mut pattern: HostPattern = pattern.parse().unwrap();
            pattern.know(&["web1:2223".into()], &targets).unwrap();
            let found = targets.iter().filter(|target| pattern.matches("web", target));
            (found.map(Target::to_string).collect::<Vec<_>>().join(" "), pattern.unmatched(&targets).join(" "))
        };
        let of = |found: &str, unmatched: &str| (found.to_owned(), unmatched.to_owned());
        assert_eq!(found("root@WEB1:2222"), of("root@web1:2222", ""));
        assert_eq!(found("web1:2223,[::1]:22"), of("web1:2223 [::1]:22", ""));
        assert_eq!(found("!root@web1:2222,web1"), of("web1 web1:2223", ""));
        assert_eq!(found("root@web1,web1:2223"), of("web1:2223", "root@web1"));
        assert_eq!(found("web1"), of("root@web1:2222 web1 web1:2223", ""));
    }

    #[test]
    fn the_flags_for_hosts_and_for_groups_together_mean_hosts_in_those_groups() {
        assert_eq!(limit_to(None, None), Ok(None));
        assert_eq!(limit_to(Some("web*"), None), Ok(Some("web*".into())));
        assert_eq!(limit_to(None, Some("canary")), Ok(Some("@canary".into())));
        assert_eq!(limit_to(Some("~web"), Some("a, b")), Ok(Some("&@a|b,~web".into())));
        assert!(limit_to(None, Some(" ,")).unwrap_err().contains("names no group"));
        assert!(limit_to(None, Some("a,!b")).unwrap_err().contains("\"!b\" is not the name"));
    }

    #[test]
    fn a_bad_pattern_is_told_with_its_term_and_the_reason() {
        for (pattern, why) in [
            ("", "empty"),
            (" , ", "empty"),
            ("web[1:", "not closed"),
            ("web[c:a]", "backwards"),
            ("web[01:5]", "different numbers of digits"),
            ("web[1:05]", "different numbers of digits"),
            ("web[]", "contains no character"),
            ("web[!12]", "write [^12]"),
            ("web(1|[!2])", "write [^2]"),
            ("web[01-97]", "with a colon"),
            ("web[1-35]", "with a colon"),
            ("web[1,12]", "with a colon"),
            ("web[8-11]", "with a colon"),
            ("web[9-1]", "runs backwards"),
            ("web(1", "regular expression"),
            ("web(1|[2", "not closed"),
            ("web[1:2:3]", "is not a range"),
            ("web[a:3]", "is not a range"),
            ("web[0:100000]", "100000 names"),
            ("w[1:1000].x[1:1000]", "100000 names"),
            ("w[0:999999999999999999]", "100000 names"),
            ("root@web*", "without user"),
            ("wéb", "not allowed in a host name"),
            ("~web[", "regular expression"),
            ("!~", "empty"),
        ] {
            told_with_term(str::parse::<HostPattern>, &[(pattern, &format!("{pattern:?}"), why)]);
        }
        let of_one_term = [("web1,!", "\"!\"", "nothing follows"), ("a,web[9:1]", "\"web[9:1]\"", "backwards")];
        told_with_term(str::parse::<HostPattern>, &of_one_term);
    }

    #[test]
    fn names_that_are_no_target_are_found_and_globs_are_not_asked() {
        let targets: Vec<Target> = HOSTS.iter().map(|host| host.parse().unwrap()).collect();
        let unmatched = |pattern: &str| pattern.parse::<HostPattern>().unwrap().unmatched(&targets);
        assert_eq!(unmatched("web[1:4],WEB1,nosuch,nosuch,x*,!dbb,~y"), ["web3", "web4", "nosuch", "dbb"]);
        assert!(unmatched("web1").is_empty());
    }

    #[test]
    fn a_pattern_prints_as_it_was_written() {
        assert_eq!(" web[01:20], !db* ".parse::<HostPattern>().unwrap().to_string(), "web[01:20], !db*");
    }
}
