//! Signatures of commits and tags, which git checks with `ssh-keygen`.

use std::path::Path;

use anyhow::{Result, bail};

use super::Repo;
use crate::wire::Revision;

impl Repo {
    /// Who signed a commit, or an annotated tag of it, as the file of signers names them. Whatever git's own configuration
    /// says of signatures counts for nothing here.
    ///
    /// # Errors
    /// Neither is signed by somebody whom the file lists, and why not: one fragment.
    pub fn signer(&self, revision: &Revision, allowed: &Path, revoked: Option<&Path>) -> Result<String> {
        let why = match self.verify("verify-commit", revision.as_str(), allowed, revoked) {
            Ok(signer) => return Ok(signer),
            Err(why) => why,
        };
        let points_at = format!("--points-at={revision}");
        let listing = self.text(&[
            "for-each-ref",
            &points_at,
            "--format=%(objecttype) %(objectname) %(refname:short)",
            "refs/tags",
        ])?;
        let mut reasons = vec![format!("commit {}: {why}", revision.short())];
        for line in listing.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some("tag"), Some(object), Some(name)) = (words.next(), words.next(), words.next()) else { continue };
            match self.verify("verify-tag", object, allowed, revoked) {
                Ok(signer) => return Ok(signer),
                Err(why) => reasons.push(format!("tag {name}: {why}")),
            }
        }
        bail!("{}", reasons.join("; "))
    }

    fn verify(&self, what: &str, object: &str, allowed: &Path, revoked: Option<&Path>) -> Result<String, String> {
        let signer = self.verify_with(what, object, allowed, Path::new(""))?;
        let Some(revoked) = revoked else { return Ok(signer) };
        // Git and ssh-keygen do not say so of a key that is revoked.
        self.verify_with(what, object, allowed, revoked)
            .map_err(|_| format!("the key of {signer} is revoked by {}", revoked.display()))
    }

    fn verify_with(&self, what: &str, object: &str, allowed: &Path, revoked: &Path) -> Result<String, String> {
        let set = |key: &str, value: &Path| format!("{key}={}", value.display());
        let mut arguments = vec!["-c".to_owned(), set("gpg.ssh.allowedSignersFile", allowed)];
        // Only signatures of SSH are checked, by one program, and only by keys that the file lists.
        let fixed = ["gpg.ssh.program=ssh-keygen", "gpg.minTrustLevel=fully", "gpg.program=false"];
        let fixed = fixed.into_iter().chain(["gpg.openpgp.program=false", "gpg.x509.program=false"]).map(str::to_owned);
        arguments.extend(fixed.flat_map(|it| ["-c".to_owned(), it]));
        arguments.extend(["-c".to_owned(), set("gpg.ssh.revocationFile", revoked)]);
        arguments.extend([what.to_owned(), "--raw".to_owned(), object.to_owned()]);
        let output = self.command(&arguments).output().map_err(|error| format!("cannot start git: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // `Good "git" signature for alice@example.org with ED25519 key SHA256:…`
        let good = said.lines().find_map(|line| line.strip_prefix("Good \"git\" signature for ")?.split_once(" with "));
        match good {
            Some((signer, _)) if output.status.success() => Ok(signer.to_owned()),
            _ if self.has_foreign_signature(object) => {
                Err("it is signed with GPG or X.509, and only SSH signatures are checked".to_owned())
            }
            _ => Err(why(&said)),
        }
    }

    /// Whether the object has a signature of another kind than SSH's.
    fn has_foreign_signature(&self, object: &str) -> bool {
        let text = self.text(&["cat-file", "-p", object]).unwrap_or_default();
        text.lines().any(|line| {
            let line = line.trim_start_matches("gpgsig ").trim();
            matches!(line, "-----BEGIN PGP SIGNATURE-----" | "-----BEGIN SIGNED MESSAGE-----")
        })
    }
}

/// What git and ssh-keygen say of a signature that does not count.
fn why(said: &str) -> String {
    let line = said
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with("Good ") && !line.starts_with("warning: "));
    match line {
        None => "it is not signed".to_owned(),
        Some(line) if line.contains("no signature found") => "it is not signed".to_owned(),
        Some(line) => line.to_owned(),
    }
}
