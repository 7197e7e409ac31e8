//! Text with variables in it: `{{ revision }}`, `{{ group }}`, `{{ new_hosts }}`.
//!
//! Values are escaped for their context. In a URL they are percent-encoded. In a query a list of hosts becomes a
//! regular expression that matches exactly these hosts, without quotes and backslashes.

use std::fmt::Write;

use crate::named::named;
use crate::placeholders::Placeholders;
use crate::targets::Target;

/// The subject of a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    pub revision: String,
    /// The revision that most hosts ran before; empty if not known.
    pub previous_revision: String,
    /// Empty before the first host and before finalize.
    pub group: String,
    pub hosts: HostsByRevision,
}

/// The hosts of a group, or of all groups, by their live revision. A host that is changing is in no list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostsByRevision {
    /// Hosts on the new revision.
    pub new: Vec<Target>,
    /// Hosts of the group on the old revision.
    pub old: Vec<Target>,
    /// Hosts of other groups on the old revision.
    pub elsewhere: Vec<Target>,
}

named! {
    /// The variables that can be used between the braces.
    enum Variable: "variable" {
        Revision = "revision", PreviousRevision = "previous_revision",
        Group = "group", NewHosts = "new_hosts", OldHosts = "old_hosts",
    }
}

/// A text with variables.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Placeholders<Variable>);

impl std::str::FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Placeholders::parse(text, str::parse).map(Template)
    }
}

impl Template {
    /// The fixed text, with the variables left out.
    pub fn fixed(&self) -> String {
        self.0.fixed()
    }

    /// Whether it depends on the group or on the progress of the deployment.
    pub fn is_of_hosts(&self) -> bool {
        let of_hosts = [Variable::Group, Variable::NewHosts, Variable::OldHosts];
        self.0.variables().any(|variable| of_hosts.contains(variable))
    }

    /// The text as a URL. Hosts are separated by commas.
    pub fn in_url(&self, subject: &Subject) -> String {
        self.0.fill(|variable| {
            percent_encoded(&match *variable {
                Variable::NewHosts => names(&subject.hosts.new).join(","),
                Variable::OldHosts => names(&subject.hosts.old).join(","),
                single => value(single, subject).to_owned(),
            })
        })
    }

    /// The text as a query or matcher. Hosts become a regular expression in parentheses.
    pub fn in_query(&self, subject: &Subject) -> String {
        self.0.fill(|variable| match *variable {
            Variable::NewHosts => alternation(&names(&subject.hosts.new)),
            Variable::OldHosts => alternation(&names(&subject.hosts.old)),
            // Revisions and group names have none of these characters. Escaping them keeps any value within its quotes.
            single => value(single, subject).chars().filter(|c| !"\"'`\\".contains(*c) && !c.is_control()).collect(),
        })
    }
}

impl Subject {
    /// The variables for the environment of a command, with the prefix `HOIST_`. Hosts are separated by spaces.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("REVISION", self.revision.clone()),
            ("PREVIOUS_REVISION", self.previous_revision.clone()),
            ("GROUP", self.group.clone()),
            ("NEW_HOSTS", names(&self.hosts.new).join(" ")),
            ("OLD_HOSTS", names(&self.hosts.old).join(" ")),
        ]
    }
}

/// The value of a variable that is not a list.
fn value(variable: Variable, subject: &Subject) -> &str {
    match variable {
        Variable::Revision => &subject.revision,
        Variable::PreviousRevision => &subject.previous_revision,
        Variable::Group => &subject.group,
        Variable::NewHosts | Variable::OldHosts => "",
    }
}

fn names(hosts: &[Target]) -> Vec<&str> {
    hosts.iter().map(|host| host.host.as_str()).collect()
}

/// An RE2 regular expression that matches exactly these names. Each special character is in a character class, which
/// needs no backslash and so has the same meaning in every kind of quotes.
fn alternation(names: &[&str]) -> String {
    if names.is_empty() {
        // It never matches, not even an empty label.
        return "(?:$.)".to_owned();
    }
    let escaped = names.iter().map(|name| {
        name.chars().fold(String::new(), |text, c| match c {
            _ if c.is_ascii_alphanumeric() || "-_:".contains(c) => text + &c.to_string(),
            '"' | '\'' | '`' | '\\' | '^' | ']' => text + ".",
            c => text + &format!("[{c}]"),
        })
    });
    format!("(?:{})", escaped.collect::<Vec<_>>().join("|"))
}

/// Every byte that is not unreserved (RFC 3986) as `%XX`.
pub(super) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        let hosts = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        Subject {
            revision: "4f2a".into(),
            previous_revision: "9c1b".into(),
            group: "canary".into(),
            hosts: HostsByRevision {
                new: hosts(&["deploy@web01.example.org:2222", "2001:db8::1"]),
                old: hosts(&["web02"]),
                elsewhere: Vec::new(),
            },
        }
    }

    fn query(text: &str) -> String {
        text.parse::<Template>().unwrap().in_query(&subject())
    }

    #[test]
    fn hosts_are_a_regular_expression_in_a_query_and_a_list_in_an_address() {
        assert_eq!(
            query("up{instance=~\"{{ new_hosts }}:9100\", rev=\"{{revision}}\"}"),
            "up{instance=~\"(?:web01[.]example[.]org|2001:db8::1):9100\", rev=\"4f2a\"}"
        );
        let url: Template = "http://h/{{ group }}?old={{ old_hosts }}&new={{ new_hosts }}".parse().unwrap();
        assert_eq!(url.in_url(&subject()), "http://h/canary?old=web02&new=web01.example.org%2C2001%3Adb8%3A%3A1");
        let nobody = Subject::default();
        assert_eq!("{{ old_hosts }}".parse::<Template>().unwrap().in_query(&nobody), "(?:$.)");
        assert_eq!(subject().environment()[3], ("NEW_HOSTS", "web01.example.org 2001:db8::1".to_owned()));
    }

    #[test]
    fn no_value_leaves_its_quotes_or_its_place_in_an_address() {
        let group = "a\" or 1 or \"`'\\\n&x=/../#?".to_owned();
        let subject = Subject { group, ..subject() };
        let template: Template = "x{g=\"{{ group }}\"}".parse().unwrap();
        assert_eq!(template.in_query(&subject), "x{g=\"a or 1 or &x=/../#?\"}");
        let encoded = template.in_url(&subject);
        assert!(encoded.chars().all(|c| c.is_ascii_alphanumeric() || "x{g=\"}%._-~".contains(c)), "{encoded}");
        assert_eq!(alternation(&["a\"b`c\\d.e|f)g"]), "(?:a.b.c.d[.]e[|]f[)]g)");
    }

    #[test]
    fn an_unknown_variable_is_named_and_braces_of_a_query_are_left_alone() {
        assert_eq!(query("sum(rate(x{job='a'}[1m])) by (le) > {}"), "sum(rate(x{job='a'}[1m])) by (le) > {}");
        let error = "{{ new_host }}".parse::<Template>().unwrap_err();
        assert_eq!(error, "unknown variable \"new_host\": did you mean \"new_hosts\"?");
        assert!("{{ group".parse::<Template>().unwrap_err().contains("not closed"));
    }
}
