//! Who can change a working tree, or git's own directory in it: that is to say, have git run commands as the remote user.

use std::collections::BTreeMap;
use std::fs;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::procfs;
use crate::text::{quoted, some};

use super::{Look, SHOWN};
use crate::local::os::accounts;
use crate::local::os::sys;
use crate::local::state::hoist_dir;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// The extended attribute with an access control list: acl(5).
const ACCESS_LIST: &[u8] = b"system.posix_acl_access";

/// Who can change a place, beside those who deploy here.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Others {
    Owner(u32),
    Group(u32),
    /// Whoever an access control list names.
    Listed,
    Everybody,
}

/// Looks at the top of each tree, at git's own directory there, and at its configuration.
pub fn look(look: &mut Look) {
    let layout = look.layout;
    let user = geteuid().as_raw();
    let root = fs::symlink_metadata(layout.root()).ok();
    let meant = root.as_ref().map_or(user, Metadata::uid);
    let deployers = [0, user, meant];
    // Who may change the repository's directory may do anything there.
    let shared_with = root.filter(hoist_dir::is_for_a_group).map(|root| root.gid());
    let mut known: BTreeMap<u32, bool> = BTreeMap::new();
    let mut is_theirs = |gid: u32| {
        let is_own = || accounts::is_own_group(gid, &deployers, look.until);
        *known.entry(gid).or_insert_with(is_own)
    };
    let mut found: BTreeMap<Others, Vec<PathBuf>> = BTreeMap::new();
    for tree in layout.folders().into_iter().map(|revision| layout.rev(&revision)) {
        for place in [tree.join(".git"), tree.join(".git/config"), tree.clone()] {
            let Ok(meta) = fs::symlink_metadata(&place) else { continue };
            // In the top, others can then only add files. In git's directory these would count.
            let is_closed = meta.is_symlink() || place == tree && meta.mode() & STICKY != 0;
            let may = |bits: u32| !is_closed && meta.mode() & bits != 0;
            let group_writes = may(GROUP_WRITES) && shared_with != Some(meta.gid());
            // Behind the bits of a group there are those, then, whom an access control list names.
            let is_listed = group_writes && has_access_list(&place);
            let others = [
                (!deployers.contains(&meta.uid())).then(|| Others::Owner(meta.uid())),
                (group_writes && !is_listed && !is_theirs(meta.gid())).then(|| Others::Group(meta.gid())),
                is_listed.then_some(Others::Listed),
                may(OTHERS_WRITE).then_some(Others::Everybody),
            ];
            for others in others.into_iter().flatten() {
                found.entry(others).or_default().push(place.clone());
            }
        }
    }
    for (others, places) in found {
        look.note(false, None, others.message(&places, (user, meant)));
    }
}

fn has_access_list(place: &Path) -> bool {
    sys::attribute_names(place).is_ok_and(|names| names.split(|byte| *byte == 0).any(|name| name == ACCESS_LIST))
}

impl Others {
    /// `meant`: who owns the repository's directory.
    fn message(&self, places: &[PathBuf], (user, meant): (u32, u32)) -> String {
        let names: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        let line =
            |command: &str| names.iter().fold(command.to_owned(), |line, name| format!("{line} {}", quoted(name)));
        let mask = "and use umask 0022 for later ones";
        let (who, cure) = match self {
            Others::Owner(owner) => (
                format!("owned by {}, who", procfs::user_name(*owner)),
                format!("as root, run `{}`", line(&format!("chown -h {}", procfs::user_name(meant)))),
            ),
            Others::Group(group) => (
                format!("writable by group {}, which", procfs::group_name(*group)),
                format!("run `{}`, {mask}", line("chmod g-w")),
            ),
            Others::Listed => (
                "writable by whom its access control list names, who".to_owned(),
                format!(
                    "run `{}`, and `setfacl -k` on the directories that later ones inherit it from",
                    line("setfacl -b")
                ),
            ),
            Others::Everybody => {
                ("writable by all users, who".to_owned(), format!("run `{}`, {mask}", line("chmod o-w")))
            }
        };
        let user = procfs::user_name(user);
        format!("{}: {who} can have git run commands as {user} there; {cure}", some(&names, SHOWN))
    }
}
