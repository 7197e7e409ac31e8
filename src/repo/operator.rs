//! Who deploys, and from where.

use std::ffi::OsString;

/// The person behind a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    pub user: String,
    /// The deploy host, as the system calls itself.
    pub host: String,
}

/// The operator: who called sudo, else who the session says is logged in, else the name of the process's own user, else
/// that user's number. It is for people to read, and proves nothing.
pub fn operator() -> Operator {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Operator { user: user(|name| std::env::var_os(name), uid, &String::from_utf8_lossy(&passwd)), host }
}

fn user(variable: impl Fn(&str) -> Option<OsString>, uid: u32, passwd: &str) -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| {
        // A name that could be no user's says nothing.
        let text = variable(name)?.into_string().ok()?;
        let fit = |c: char| !c.is_control() && !c.is_whitespace() && !":<>".contains(c);
        (!text.is_empty() && text.len() <= 64 && text.chars().all(fit)).then_some(text)
    });
    named.or_else(|| name_of(uid, passwd)).unwrap_or_else(|| uid.to_string())
}

/// A user's name, or the number of one that `/etc/passwd` does not name.
pub fn user_name(uid: u32) -> String {
    listed(uid, "/etc/passwd")
}

/// A group's name, or the number of one that `/etc/group` does not name.
pub fn group_name(gid: u32) -> String {
    listed(gid, "/etc/group")
}

fn listed(id: u32, file: &str) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    name_of(id, &String::from_utf8_lossy(&text)).unwrap_or_else(|| id.to_string())
}

/// The name of a user or group in the text of a password or group file, which a static program reads by itself.
fn name_of(uid: u32, passwd: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nbroken\n:x:7::\nalice:x:1000:1000::/home/alice:/bin/sh\n";

    fn of(variables: &[(&str, &str)], uid: u32) -> String {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        user(get, uid, PASSWD)
    }

    #[test]
    fn behind_sudo_stands_who_called_it() {
        assert_eq!(of(&[("USER", "root"), ("SUDO_USER", "alice")], 0), "alice");
        assert_eq!(of(&[("USER", "bob"), ("LOGNAME", "carol")], 0), "bob");
        assert_eq!(of(&[("USER", ""), ("LOGNAME", "carol")], 0), "carol");
    }

    #[test]
    fn without_a_session_it_is_the_user_of_the_process() {
        assert_eq!(of(&[], 1000), "alice");
        assert_eq!(of(&[("USER", "a b\nc")], 1000), "alice");
        assert_eq!(of(&[], 4242), "4242");
        assert_eq!(of(&[], 7), "7");
    }

    #[test]
    fn the_host_has_a_name() {
        assert!(!operator().host.is_empty() && !operator().user.is_empty());
    }
}
