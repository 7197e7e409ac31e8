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
        let file = std::fs::read(format!("/etc/{}", self.database())).unwrap_or_default();
        if let Some(number) = procfs::number_in(&String::from_utf8_lossy(&file), name) {
            return Ok(number);
        }
        let mut answer = Vec::new();
        let mut sink = |stream, bytes: &[u8]| {
            if stream == Stream::Out && answer.len() < 1 << 16 {
                answer.extend_from_slice(bytes);
            }
        };
        let mut command = process::command("getent");
        command.args(["--", self.database(), name]);
        let asked = process::run(&mut command, Feed::Nothing, until, &mut sink);
        if let Err(error) = &asked {
            log::debug!("cannot run getent: {}", plain(error));
        }
        procfs::number_in(&String::from_utf8_lossy(&answer), name)
            .ok_or_else(|| format!("the {} {name} does not exist on this host", self.one()))
    }
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
