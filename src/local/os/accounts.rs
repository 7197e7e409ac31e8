//! The numbers of users and groups, and what this process may give to them.

use std::time::Instant;

use rustix::process::{getegid, geteuid, getgroups};

use crate::local::fault::plain;
use crate::local::os::process;
use crate::local::os::process::{Feed, Stream};
use crate::procfs;

/// The right to give files away (capabilities(7)): its place among the capabilities.
const CAP_CHOWN: u32 = 0;

/// A database of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    Users,
    Groups,
}

impl Names {
    /// `user`
    pub fn one(self) -> &'static str {
        match self {
            Names::Users => "user",
            Names::Groups => "group",
        }
    }

    /// As getent(1) calls it.
    fn database(self) -> &'static str {
        match self {
            Names::Users => "passwd",
            Names::Groups => "group",
        }
    }

    /// The number of a name, which may be a number itself. Names that are not in the system's own file may be known
    /// elsewhere, for example in LDAP: `getent` tells.
    ///
    /// # Errors
    /// There is no such name.
    pub fn number(self, name: &str, until: Instant) -> Result<u32, String> {
        if let Ok(number) = name.parse() {
            return Ok(number);
        }
        procfs::number_in(&self.file(), name)
            .or_else(|| procfs::number_in(&self.ask(name, until), name))
            .ok_or_else(|| format!("the {} {name} does not exist on this host", self.one()))
    }

    /// The system's own file.
    fn file(self) -> String {
        let file = std::fs::read(format!("/etc/{}", self.database())).unwrap_or_default();
        String::from_utf8_lossy(&file).into_owned()
    }

    /// What `getent` answers about a name or a number: nothing where there is no such.
    fn ask(self, key: &str, until: Instant) -> String {
        let mut answer = Vec::new();
        let mut sink = |stream, bytes: &[u8]| {
            if stream == Stream::Out && answer.len() < 1 << 16 {
                answer.extend_from_slice(bytes);
            }
        };
        let mut command = process::command("getent");
        command.args(["--", self.database(), key]);
        let asked = process::run(&mut command, Feed::Nothing, until, &mut sink);
        if let Err(error) = &asked {
            log::debug!("cannot run getent: {}", plain(error));
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// Whether a group is that of one of these users alone: it has the user's name, and nobody else is in it.
pub fn is_own_group(group: u32, users: &[u32], until: Instant) -> bool {
    let (passwd, groups) = (Names::Users.file(), Names::Groups.file());
    let names_of = |passwd: &str, user| procfs::names_in(passwd, user).map(str::to_owned).collect::<Vec<_>>();
    let names: Vec<String> = users
        .iter()
        .flat_map(|user| match names_of(&passwd, *user) {
            found if found.is_empty() => names_of(&Names::Users.ask(&user.to_string(), until), *user),
            found => found,
        })
        .collect();
    is_own(&groups, &passwd, group, &names)
        .or_else(|| is_own(&Names::Groups.ask(&group.to_string(), until), &passwd, group, &names))
        .unwrap_or(false)
}

/// The same by the texts of a group and a password file; `None`: the group is not there.
fn is_own(groups: &str, passwd: &str, group: u32, users: &[String]) -> Option<bool> {
    let is_user = |name: &str| users.iter().any(|user| user == name);
    // `name:password:number:members` and `name:password:number:group:…`
    let fields = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.into_iter().find(|fields| fields.get(2).is_some_and(|number| number.parse() == Ok(group)))?;
    let mut members = found.get(3).into_iter().flat_map(|members| members.split(',')).map(str::trim);
    let mut first_groups = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let is_other =
        |fields: Vec<&str>| fields.get(3).is_some_and(|number| number.parse() == Ok(group)) && !is_user(fields[0]);
    Some(is_user(found[0]) && members.all(|name| name.is_empty() || is_user(name)) && !first_groups.any(is_other))
}

/// Why this process may not give a file of its own to this user, or to this group; `None`: it may.
pub fn may_not_give(owner: Option<u32>, group: Option<u32>) -> Option<String> {
    if has_capability(CAP_CHOWN) {
        return None;
    }
    let user = geteuid().as_raw();
    if owner.is_some_and(|owner| owner != user) {
        return Some(format!(
            "only root may give files to another user, and the remote user is {}",
            procfs::user_name(user)
        ));
    }
    let group = group.filter(|group| *group != getegid().as_raw())?;
    let groups = getgroups().unwrap_or_default();
    let is_member = groups.iter().any(|one| one.as_raw() == group);
    (!is_member).then(|| format!("the remote user {} is not a member of that group", procfs::user_name(user)))
}

fn has_capability(place: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok());
    bits.map_or_else(|| geteuid().is_root(), |bits| bits & (1 << place) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_users_own_if_it_has_the_users_name_and_nobody_else_is_in_it() {
        let passwd =
            "root:x:0:0::/:/bin/sh\ndeploy:x:7:70::/:/bin/sh\nwww:x:8:80::/:/bin/sh\nstaff:x:9:90::/:/bin/sh\n";
        let users = ["root".to_owned(), "deploy".to_owned()];
        let own = |line: &str| is_own(line, passwd, 70, &users);
        assert_eq!(own("deploy:x:70:"), Some(true));
        assert_eq!(own("deploy:x:70:deploy,root"), Some(true));
        assert_eq!(own("deploy:x:70:deploy,www"), Some(false));
        assert_eq!(own("users:x:70:"), Some(false), "others may have it as their first one");
        assert_eq!(own("deploy:x:71:"), None);
        assert_eq!(is_own("deploy:x:80:", passwd, 80, &users), Some(false), "www has it as the first one");
        for line in ["", "deploy", "deploy:x", "deploy:x:", ":::"] {
            assert_eq!(own(line), None, "{line}");
        }
        let aliases = "root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\n";
        let both: Vec<String> = procfs::names_in(aliases, 0).map(str::to_owned).collect();
        assert_eq!(both, ["root", "toor"]);
        assert_eq!(is_own("root:x:0:", aliases, 0, &both), Some(true));
        assert_eq!(is_own("root:x:0:", aliases, 0, &users), Some(false), "toor is none of these users");
    }
}
