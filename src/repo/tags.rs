//! The tags that deployments leave in the repository: `hoist/sync/2026-11-23/0001`.

use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Repo, Submodule};
use crate::wire::{Revision, RunId, StartedBy};

/// How often to try another number when somebody else takes the one that was next.
const TRIES: u32 = 50;

/// Names that fit on one command line with room to spare.
const AT_ONCE: usize = 500;

/// The deployment tags of a repository, of one kind: `hoist`, or `scap` in a repository that is laid out for Scap.
#[derive(Debug, Clone)]
pub struct Tags<'a> {
    repo: &'a Repo,
    kind: &'static str,
}

/// A deployment tag, and what it says of its deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    pub name: String,
    pub revision: Revision,
    /// RFC 3339, in UTC.
    pub when: String,
    /// Whoever deployed; of a tag that somebody made, the tagger.
    pub who: String,
    /// The first line of its message.
    pub message: String,
    /// The run that left it, and the run's environment; `None` of a tag of Scap's or of an earlier build.
    pub run: Option<(String, Option<String>)>,
}

/// The newest deployment tag of those that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestTag {
    pub name: String,
    pub passed_over: PassedOver,
}

/// Whether there are newer tags, and why they were passed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// They are of other environments.
    pub environments: bool,
    /// They name revisions that were not asked for.
    pub revisions: bool,
}

/// The run that leaves a tag: lines of the tag's text, behind the message and the operator.
#[derive(Debug, Clone, Copy, Default)]
pub struct TaggedRun<'a> {
    pub run: &'a str,
    pub environment: Option<&'a str>,
}

/// Stands before the operator.
const BY: &str = "Deployed by ";
/// Stands before the run.
const RUN: &str = "Run ";
/// Stands before the environment.
const ENVIRONMENT: &str = "Environment ";

/// A tag's day and number; in this order they sort by age.
type Serial = (String, u64);

impl<'a> Tags<'a> {
    /// `control`: the name of the control folder. That of Scap goes on with Scap's tags; wherever else the configuration
    /// lies, the tags are Hoist's.
    pub fn new(repo: &'a Repo, control: &str) -> Self {
        Tags { repo, kind: if control == "scap" { "scap" } else { "hoist" } }
    }

    /// The name that the next tag of a day (`2026-11-23`) has: its highest number and one. And how many tags there are.
    fn next_tag(&self, date: &str) -> anyhow::Result<(String, usize)> {
        ensure!(is_date(date), "{date:?} is not a day of the form 2026-11-23");
        let serials = self.serials()?;
        let last = serials.iter().filter(|(day, _)| day == date).map(|(_, number)| *number).max();
        Ok((self.name(&(date.to_owned(), last.unwrap_or(0).saturating_add(1))), serials.len()))
    }

    /// The newest tag of an environment, `None` being that of no name, that names none of these revisions. A tag of
    /// Scap's, of an earlier build or of somebody's own does not tell its environment, and may be of any.
    pub fn newest(&self, environment: Option<&str>, except: &HashSet<Revision>) -> anyhow::Result<Option<NewestTag>> {
        let tagged: HashMap<String, Tagged> = self.all()?.into_iter().map(|tag| (tag.name.clone(), tag)).collect();
        let mut serials = self.serials()?;
        serials.sort();
        let mut passed_over = PassedOver::default();
        for serial in serials.iter().rev() {
            let name = self.name(serial);
            let Some(tag) = tagged.get(&name) else { continue };
            if tag.run.as_ref().is_some_and(|(_, of)| of.as_deref() != environment) {
                passed_over.environments = true;
            } else if except.contains(&tag.revision) {
                passed_over.revisions = true;
            } else {
                return Ok(Some(NewestTag { name, passed_over }));
            }
        }
        Ok(None)
    }

    /// The tags of this kind with the commits that they name, the newest first.
    pub fn revisions(&self) -> anyhow::Result<Vec<(String, Revision)>> {
        let mut serials = self.serials()?;
        serials.sort();
        serials.reverse();
        let of = |serial| {
            let name = self.name(serial);
            self.repo.resolve(&format!("refs/tags/{name}")).map(|revision| (name, revision))
        };
        serials.iter().map(of).collect()
    }

    /// Every tag of this kind, with what it says. Tags that somebody made without a message say what their commit does.
    pub fn all(&self) -> anyhow::Result<Vec<Tagged>> {
        let ours: HashSet<String> = self.serials()?.iter().map(|serial| self.name(serial)).collect();
        let format = "--format=%(refname:lstrip=2)%00%(objectname)%00%(*objectname)%00%(creatordate:unix)%00\
                      %(taggername)%00%(contents:subject)%00%(contents:body)%00";
        let listing = self.repo.text(&["for-each-ref", format, &format!("refs/tags/{}/sync/", self.kind)])?;
        let tagged = |fields: &[&str]| {
            let [name, object, commit, when, tagger, message, body] = <[&str; 7]>::try_from(fields).ok()?;
            let name = name.trim_start().to_owned();
            let revision = if commit.is_empty() { object } else { commit }.parse().ok()?;
            let when = crate::clock::utc_of(when.parse().ok()?)?;
            // The operator's own words, which may be alike, are ahead of it.
            let note = body.rfind(BY).filter(|_| !commit.is_empty()).map_or("", |at| &body[at..]);
            let line = |start: &str| note.lines().find_map(|line| line.strip_prefix(start)).map(str::to_owned);
            let (who, message) = (line(BY).unwrap_or_else(|| tagger.to_owned()), message.to_owned());
            let run = line(RUN).filter(|run| run.parse::<RunId>().is_ok()).map(|run| (run, line(ENVIRONMENT)));
            ours.contains(&name).then_some(Tagged { name, revision, when, who, message, run })
        };
        Ok(listing.split('\0').collect::<Vec<_>>().chunks(7).filter_map(tagged).collect())
    }

    /// Tags a revision with the next name of the day, annotated with the operator's message and name. Where somebody
    /// else takes that name meanwhile, the one after it. Returns the tag's name, and how many tags of this kind there are
    /// with it.
    ///
    /// The tagger is whom git's own configuration names, else the operator.
    pub fn tag(
        &self,
        date: &str,
        revision: &Revision,
        message: &str,
        operator: &StartedBy,
        of: TaggedRun,
    ) -> anyhow::Result<(String, usize)> {
        let message =
            if message.trim().is_empty() { format!("deploy {}", revision.short()) } else { message.to_owned() };
        let run = if of.run.is_empty() { String::new() } else { format!("{RUN}{}\n", of.run) };
        let environment = of.environment.map(|name| format!("{ENVIRONMENT}{name}\n")).unwrap_or_default();
        let text = format!("{}\n\n{BY}{operator}\n{run}{environment}", message.trim_end());
        let (mut tries, mut nameless) = (0, false);
        loop {
            let (name, others) = self.next_tag(date)?;
            // A signature could ask for a passphrase in the middle of a deployment.
            let arguments = ["tag", "--annotate", "--no-sign", "--cleanup=whitespace", "--file=-"];
            let mut command = self.repo.command(&arguments);
            command.args(["--", &name, revision.as_str()]);
            if nameless {
                self.sign_as(&mut command, operator);
            }
            let Err(error) = self.repo.feed(command, text.as_bytes()) else { return Ok((name, others + 1)) };
            // Only a tag that failed is worth the question whether git knows a name.
            if !nameless && self.repo.run(&["var", "GIT_COMMITTER_IDENT"]).is_err() {
                nameless = true;
                continue;
            }
            tries += 1;
            let said = error.to_string();
            let taken =
                (said.contains("already exists") || said.contains("cannot lock ref")) && !said.contains("denied");
            if !taken || tries == TRIES {
                return Err(error).with_context(|| format!("cannot create the tag {name}"));
            }
            // Whoever is ahead may hold git's own lock of the name for a moment yet.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Removes the oldest tags of this kind until `keep` are left. Returns the names that are gone.
    pub fn prune(&self, keep: usize) -> anyhow::Result<Vec<String>> {
        let mut serials = self.serials()?;
        serials.sort();
        serials.truncate(serials.len().saturating_sub(keep));
        let names: Vec<String> = serials.iter().map(|serial| self.name(serial)).collect();
        for names in names.chunks(AT_ONCE) {
            let mut arguments = vec!["tag", "--delete", "--"];
            arguments.extend(names.iter().map(String::as_str));
            if let Err(error) = self.repo.run(&arguments) {
                // Another deployment may have removed some of them first, which is as good.
                let left: Vec<String> = self.serials()?.iter().map(|serial| self.name(serial)).collect();
                if names.iter().any(|name| left.contains(name)) {
                    return Err(error).context("cannot remove old deployment tags");
                }
            }
        }
        Ok(names)
    }

    /// Brings up to date what git's plain (dumb) HTTP clients read: `info/refs` and the list of packs, of the repository
    /// and of the submodules that targets fetch with it.
    pub fn update_server_info(&self, submodules: &[Submodule]) -> anyhow::Result<()> {
        self.repo.run(&["update-server-info"])?;
        for Submodule { git_dir, .. } in submodules {
            // Not with `-C`: it is about the repository, whatever its working tree has become.
            let mut command = self.repo.command(&["update-server-info"]);
            command.env("GIT_DIR", git_dir);
            self.repo.feed(command, b"").with_context(|| format!("in {}", git_dir.display()))?;
        }
        Ok(())
    }

    fn name(&self, (day, number): &Serial) -> String {
        format!("{}/sync/{day}/{number:04}", self.kind)
    }

    /// All tags of this kind that are named exactly as we name them; others below the prefix are somebody else's.
    fn serials(&self) -> anyhow::Result<Vec<Serial>> {
        let prefix = format!("{}/sync/", self.kind);
        let listing =
            self.repo.text(&["for-each-ref", "--format=%(refname:lstrip=2)", &format!("refs/tags/{prefix}")])?;
        let serials = listing.lines().filter_map(|name| {
            let (day, number) = name.strip_prefix(&prefix)?.split_once('/')?;
            let serial = (is_date(day).then(|| day.to_owned())?, number.parse().ok()?);
            (self.name(&serial) == name).then_some(serial)
        });
        Ok(serials.collect())
    }

    fn sign_as(&self, command: &mut Command, by: &StartedBy) {
        command.env("GIT_COMMITTER_NAME", &by.user).env("GIT_COMMITTER_EMAIL", by.to_string());
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::testing::Scratch;

    const DAY: &str = "2026-11-23";
    const NO_RUN: TaggedRun = TaggedRun { run: "", environment: None };

    fn alice() -> StartedBy {
        StartedBy { user: "alice".into(), deploy_host: "deploy1".into() }
    }

    fn names(scratch: &Scratch) -> Vec<String> {
        scratch.git(&["tag", "--list"]).lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_number_goes_on_within_a_day() {
        let scratch = Scratch::new();
        let head = scratch.commit("a", b"1");
        let tags = Tags::new(&scratch.repo, "hoist");
        assert_eq!(tags.next_tag(DAY).unwrap().0, "hoist/sync/2026-11-23/0001");
        scratch.git(&["tag", "hoist/sync/2026-11-23/0041"]);
        scratch.git(&["tag", "hoist/sync/2026-11-24/0077"]);
        scratch.git(&["tag", "scap/sync/2026-11-23/0099"]);
        scratch.git(&["tag", "hoist/sync/2026-11-23/0500-mine"]);
        let made = tags.tag(DAY, &head, "new page", &alice(), NO_RUN).unwrap();
        assert_eq!(made, ("hoist/sync/2026-11-23/0042".to_owned(), 3), "with those of the other day");
        assert_eq!(Tags::new(&scratch.repo, "scap").next_tag(DAY).unwrap().0, "scap/sync/2026-11-23/0100");
        assert!(tags.next_tag("today").is_err() && tags.next_tag("2026-11-2x").is_err());
    }

    #[test]
    fn the_newest_tag_is_the_environments_own_and_of_no_revision_that_is_left_out() {
        let scratch = Scratch::new();
        let tags = Tags::new(&scratch.repo, "hoist");
        let none = HashSet::new();
        assert_eq!(tags.newest(None, &none).unwrap(), None);
        let [first, second, third] = ["1", "2", "3"].map(|text| scratch.commit("a", text.as_bytes()));
        scratch.git(&["tag", "hoist/sync/2026-11-22/0009", first.as_str()]);
        let tag = |revision, environment| {
            let of = TaggedRun { run: "20261123T144552.123Z-4711-7d3f", environment };
            tags.tag(DAY, revision, "m", &alice(), of).unwrap();
        };
        tag(&second, None);
        tag(&third, Some("beta"));
        let newest = |environment, except: &[&Revision]| {
            let except = except.iter().map(|revision| (*revision).clone()).collect();
            tags.newest(environment, &except).unwrap().map(|tag| {
                let PassedOver { environments, revisions } = tag.passed_over;
                (tag.name["hoist/sync/2026-11-".len()..].to_owned(), environments, revisions)
            })
        };
        assert_eq!(newest(Some("beta"), &[]), Some(("23/0002".into(), false, false)));
        assert_eq!(newest(None, &[]), Some(("23/0001".into(), true, false)));
        assert_eq!(newest(None, &[&second]), Some(("22/0009".into(), true, true)), "it tells of no environment");
        assert_eq!(newest(Some("beta"), &[&third]), Some(("22/0009".into(), true, true)));
        assert_eq!(newest(Some("gamma"), &[&first]), None);
    }

    #[test]
    fn a_tag_carries_the_message_and_the_operator() {
        let scratch = Scratch::new();
        let first = scratch.commit("a", b"1");
        scratch.commit("a", b"2");
        let tags = Tags::new(&scratch.repo, "hoist");
        let (name, _) = tags.tag(DAY, &first, "#42: --delete the \"old\" page\n", &alice(), NO_RUN).unwrap();
        assert_eq!(scratch.git(&["cat-file", "-t", &name]), "tag");
        assert_eq!(scratch.git(&["rev-parse", &format!("{name}^{{commit}}")]), first.as_str());
        let text = scratch.git(&["for-each-ref", "--format=%(contents)", &format!("refs/tags/{name}")]);
        assert_eq!(text, "#42: --delete the \"old\" page\n\nDeployed by alice@deploy1");
        let (name, _) = tags.tag(DAY, &first, "", &alice(), NO_RUN).unwrap();
        let text = scratch.git(&["for-each-ref", "--format=%(subject)", &format!("refs/tags/{name}")]);
        assert_eq!(text, format!("deploy {}", first.short()));
    }

    #[test]
    fn a_tag_tells_of_its_run_whatever_the_message_says() {
        let scratch = Scratch::new();
        let head = scratch.commit("a", b"1");
        let tags = Tags::new(&scratch.repo, "hoist");
        let said = "subject\n\nDeployed by mallory@host\nRun 1\nEnvironment nowhere";
        let of = TaggedRun { run: "20261123T144552.123Z-4711-7d3f", environment: Some("beta") };
        tags.tag(DAY, &head, said, &alice(), of).unwrap();
        tags.tag(DAY, &head, "two", &alice(), NO_RUN).unwrap();
        scratch.git(&["tag", "hoist/sync/2026-11-23/0003"]);
        let told: Vec<_> = tags.all().unwrap().into_iter().map(|it| (it.who, it.message, it.run)).collect();
        let alice = alice().to_string();
        let run = Some((of.run.to_owned(), Some("beta".to_owned())));
        assert_eq!(told[..2], [(alice.clone(), "subject".into(), run), (alice, "two".into(), None)]);
        assert_eq!(told.len(), 3);
    }

    #[test]
    fn a_repository_without_a_user_is_tagged_in_the_operators_name() {
        let scratch = Scratch::new();
        let head = scratch.commit("a", b"1");
        // So git makes up no name of its own, whatever this machine is called.
        scratch.git(&["config", "user.useConfigOnly", "true"]);
        scratch.git(&["config", "user.name", ""]);
        scratch.git(&["config", "user.email", ""]);
        scratch.git(&["config", "tag.gpgSign", "true"]);
        let (name, _) = Tags::new(&scratch.repo, "hoist").tag(DAY, &head, "m", &alice(), NO_RUN).unwrap();
        let tagger =
            scratch.git(&["for-each-ref", "--format=%(taggername) %(taggeremail)", &format!("refs/tags/{name}")]);
        assert_eq!(tagger, "alice <alice@deploy1>");
    }

    #[test]
    fn taggers_that_race_get_a_number_each() {
        let scratch = Scratch::new();
        let head = scratch.commit("a", b"1");
        let mut made: Vec<String> = std::thread::scope(|scope| {
            let tag = || Tags::new(&scratch.repo, "hoist").tag(DAY, &head, "m", &alice(), NO_RUN).unwrap().0;
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(tag)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        made.sort();
        let expected: Vec<String> = (1..=6).map(|n| format!("hoist/sync/{DAY}/{n:04}")).collect();
        assert_eq!(made, expected);
    }

    #[test]
    fn a_name_that_can_never_be_had_is_an_error_and_no_endless_loop() {
        let scratch = Scratch::new();
        let head = scratch.commit("a", b"1");
        scratch.git(&["tag", "hoist/sync/2026-11-23"]);
        let error =
            format!("{:#}", Tags::new(&scratch.repo, "hoist").tag(DAY, &head, "m", &alice(), NO_RUN).unwrap_err());
        assert!(error.contains("hoist/sync/2026-11-23/0001"), "{error}");
    }

    #[test]
    fn only_our_own_oldest_tags_are_removed() {
        let scratch = Scratch::new();
        scratch.commit("a", b"1");
        let others = ["v1", "scap/sync/2020-01-01/0001", "hoist/sync/2020-01-01/keep", "hoist/sync/nightly/0001"];
        for name in ["2026-11-23/0002", "2026-11-23/10000", "2026-11-23/9999", "2025-12-31/0003"] {
            scratch.git(&["tag", &format!("hoist/sync/{name}")]);
        }
        for name in others {
            scratch.git(&["tag", name]);
        }
        let tags = Tags::new(&scratch.repo, "hoist");
        assert_eq!(tags.prune(4).unwrap(), Vec::<String>::new());
        assert_eq!(tags.prune(2).unwrap(), ["hoist/sync/2025-12-31/0003", "hoist/sync/2026-11-23/0002"]);
        let mut left = names(&scratch);
        left.retain(|name| !others.contains(&name.as_str()));
        assert_eq!(left, ["hoist/sync/2026-11-23/10000", "hoist/sync/2026-11-23/9999"]);
        assert_eq!(names(&scratch).len(), 2 + others.len());
    }

    #[test]
    fn plain_http_clients_find_a_new_tag() {
        let scratch = Scratch::new();
        let head = scratch.commit("a", b"1");
        let tags = Tags::new(&scratch.repo, "hoist");
        let (name, _) = tags.tag(DAY, &head, "m", &alice(), NO_RUN).unwrap();
        tags.update_server_info(&[]).unwrap();
        let listed = std::fs::read_to_string(scratch.path().join(".git/info/refs")).unwrap();
        assert!(listed.contains(&format!("refs/tags/{name}")), "{listed}");
    }
}
