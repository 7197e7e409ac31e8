//! What hosts that are set up later should run, for them to fetch from the git server: two refs in the repository.

use super::Repo;
use crate::wire::{FLEET_REQUEST, FLEET_REVISION, Revision};

impl Repo {
    /// Makes the refs name this revision and a request for it, and tells git's plain (dumb) HTTP clients.
    pub fn publish(&self, revision: &Revision, request: &[u8]) -> anyhow::Result<()> {
        let blob = self.feed(self.command(&["hash-object", "-w", "--stdin"]), request)?;
        let blob = String::from_utf8_lossy(&blob).trim().to_owned();
        let changes = format!("update {FLEET_REVISION} {revision}\nupdate {FLEET_REQUEST} {blob}\n");
        self.feed(self.command(&["update-ref", "--stdin"]), changes.as_bytes())?;
        self.run(&["update-server-info"])?;
        Ok(())
    }

    /// Removes the refs; false where there were none.
    pub fn unpublish(&self) -> anyhow::Result<bool> {
        if self.text(&["for-each-ref", FLEET_REVISION, FLEET_REQUEST])?.is_empty() {
            return Ok(false);
        }
        let changes = format!("delete {FLEET_REVISION}\ndelete {FLEET_REQUEST}\n");
        self.feed(self.command(&["update-ref", "--stdin"]), changes.as_bytes())?;
        self.run(&["update-server-info"])?;
        Ok(true)
    }
}
