//! Who deploys, and from where.

use std::ffi::OsString;

use crate::wire::StartedBy;

/// The operator: who called sudo, else who the session says is logged in, else the name of the process's own user, else
/// that user's number.
pub fn operator() -> StartedBy {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    let deploy_host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    StartedBy { user: user(|name| std::env::var_os(name), uid, &String::from_utf8_lossy(&passwd)), deploy_host }
}

/// Every name by which the operator may be known: that of [`operator`], the names of the process's user and of whoever
/// logged in to this session, which sudo does not change, and what the environment says.
pub fn operator_names() -> Vec<String> {
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    let passwd = String::from_utf8_lossy(&passwd);
    let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|uid| uid.trim().parse().ok());
    let uids = [Some(rustix::process::getuid().as_raw()), login].into_iter().flatten();
    let mut names: Vec<String> = uids.filter_map(|uid| crate::procfs::name_in(&passwd, uid)).collect();
    names.extend(["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok()));
    names.push(operator().user);
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    names
}

fn user(variable: impl Fn(&str) -> Option<OsString>, uid: u32, passwd: &str) -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| {
        // A name that could be no user's says nothing.
        let text = variable(name)?.into_string().ok()?;
        let fit = |c: char| !c.is_control() && !c.is_whitespace() && !":<>".contains(c);
        (!text.is_empty() && text.len() <= 64 && text.chars().all(fit)).then_some(text)
    });
    named.or_else(|| crate::procfs::name_in(passwd, uid)).unwrap_or_else(|| uid.to_string())
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
        assert!(!operator().deploy_host.is_empty() && !operator().user.is_empty());
    }
}
