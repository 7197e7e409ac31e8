//! One target's name and address.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use crate::text::serde_as_text;

use super::Details;
use super::names::{check_host, check_user};

/// A target as its target file writes it: `[user@]host[:port]`, an IPv6 address in brackets when a port follows.
///
/// Names are checked when they are read: letters, digits, `.`, `-`, `_` (and `:` in addresses), never beginning with a
/// `-`. So a name is safe as a word, as a file name and as an argument wherever it goes later.
#[derive(Debug, Clone)]
pub struct Target {
    /// The name or address to connect to, in lower case. Two entries with the same host, user and port are one target.
    pub host: String,
    pub user: Option<String>,
    pub port: Option<u16>,
    /// What an inventory says of it. A target is the same whatever that is.
    pub details: Option<Arc<Details>>,
}

impl PartialEq for Target {
    fn eq(&self, other: &Target) -> bool {
        (&self.host, &self.user, self.port) == (&other.host, &other.user, other.port)
    }
}

impl Eq for Target {}

impl Hash for Target {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.host, &self.user, self.port).hash(state);
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (user, address) = match text.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, text),
        };
        if let Some(user) = user {
            check_user(user).map_err(|why| format!("bad user name {user:?} in {text:?}: {why}"))?;
        }
        let (host, port) = split_port(address)?;
        check_host(host).map_err(|why| format!("bad host name {text:?}: {why}"))?;
        Ok(Target { host: host.to_ascii_lowercase(), user: user.map(str::to_owned), port, details: None })
    }
}

/// Splits `host`, `host:port`, `[v6]`, `[v6]:port` and a bare v6 address.
fn split_port(address: &str) -> Result<(&str, Option<u16>), String> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(format!("bad port {text:?} in {address:?}: a number from 1 to 65535")),
    };
    if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| format!("{address:?} has no closing bracket"))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(format!(
                "{host:?} is not an IPv6 address (a group has a file of its own, which lists its hosts)"
            ));
        }
        return match after.strip_prefix(':') {
            Some(digits) => Ok((host, port(digits)?)),
            None if after.is_empty() => Ok((host, None)),
            None => Err(format!("unexpected {after:?} after the bracket in {address:?}")),
        };
    }
    match address.matches(':').count() {
        0 => Ok((address, None)),
        1 => {
            let (host, digits) = address.split_once(':').expect("one colon was counted");
            Ok((host, port(digits)?))
        }
        _ => Ok((address, None)),
    }
}

impl Target {
    /// The name or address to connect to.
    pub fn address(&self) -> &str {
        self.details.as_ref().and_then(|details| details.address.as_deref()).unwrap_or(&self.host)
    }

    /// The user to log in as, where the target or its inventory says it.
    pub fn login_user(&self) -> Option<&str> {
        self.user.as_deref().or_else(|| self.details.as_ref()?.user.as_deref())
    }

    /// The port to connect to, where the target or its inventory says it.
    pub fn login_port(&self) -> Option<u16> {
        self.port.or_else(|| self.details.as_ref()?.port)
    }

    /// How it is reached, for another target with its name.
    pub fn described(&self) -> Details {
        let details = self.details.as_deref().cloned().unwrap_or_default();
        Details { user: self.user.clone().or(details.user), port: self.port.or(details.port), ..details }
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.details.as_ref()?.labels.get(name).map(String::as_str)
    }

    /// A list of jump hosts, `[user@]host[:port]` separated by commas, the first one to connect to in front; as OpenSSH's
    /// ProxyJump has them, whose `ssh://` and brackets are taken too.
    ///
    /// # Errors
    /// The first one that is none, and why.
    pub fn hops(text: &str) -> Result<Vec<Target>, String> {
        let hop = |text: &str| {
            let text = text.trim();
            let text = text.strip_prefix("ssh://").unwrap_or(text);
            // OpenSSH puts any address into brackets.
            let plain = match (text.find('['), text.find(']')) {
                (Some(open), Some(close)) if open < close && !text[open..close].contains(':') => {
                    text.replace(['[', ']'], "")
                }
                _ => text.to_owned(),
            };
            plain.parse::<Target>()
        };
        text.split(',').map(hop).collect()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

serde_as_text!(Target);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_may_carry_a_user_and_a_port() {
        let target: Target = "deploy@web1.example.org:2222".parse().unwrap();
        assert_eq!(
            (target.host.as_str(), target.user.as_deref(), target.port),
            ("web1.example.org", Some("deploy"), Some(2222))
        );
        assert_eq!(target.to_string(), "deploy@web1.example.org:2222");
        let v6: Target = "[::1]:22".parse().unwrap();
        assert_eq!((v6.host.as_str(), v6.port), ("::1", Some(22)));
        assert_eq!("fe80::1".parse::<Target>().unwrap().to_string(), "fe80::1");
    }

    #[test]
    fn jump_hosts_are_written_as_openssh_writes_them() {
        let hops = |text: &str| Target::hops(text).unwrap().iter().map(Target::to_string).collect::<Vec<_>>();
        assert_eq!(hops("bastion"), ["bastion"]);
        assert_eq!(hops("me@b1:2222, [127.0.0.9]:22,[::1]:22"), ["me@b1:2222", "127.0.0.9:22", "[::1]:22"]);
        assert_eq!(hops("ssh://me@b1:2222"), ["me@b1:2222"]);
        for bad in ["", "a,,b", "a b", "-oProxyCommand=x", "[", "]x["] {
            assert!(Target::hops(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_host_name_is_never_an_option_or_a_shell_word() {
        for bad in [
            "",
            "-oProxyCommand=x",
            "web 1",
            "web;rm",
            "a..b",
            ".a",
            "web$(x)",
            "a@-b",
            "-u@h",
            "@h",
            "h:0",
            "h:99999",
            "h:",
            "[::1",
            "[::1]x",
            "[web]:22",
            "a:b:c",
            "web\n",
            "wéb",
            "a/b",
            "*",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad:?} was taken for a target");
        }
        assert!("a".repeat(254).parse::<Target>().is_err());
    }
}
