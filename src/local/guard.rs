//! Whether this host may serve what is live on it, for the units of its services and for load balancers.
//!
//! A host cannot know by itself that it missed a deployment. So after each start it needs to be confirmed by somebody who
//! knows: by a deployment that it takes part in, or by `hoist reconcile`, which finds it in sync or brings it there. The
//! stage that makes a revision live starts its services before that, and is let through.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::clock;
use crate::terminal::{answer_line, complain_line};
use crate::wire::{Revision, Stage};

use super::fault::plain;
use super::os::files;
use super::os::files::Belongs;
use super::someone;
use super::state::confirmed;
use super::state::drained;
use super::state::fitness;
use super::state::going_live;
use super::state::layout::{Layout, Link};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// So long a refusal is looked into again while a stage is at work: in between two of its steps the links do not agree.
const SETTLING: Duration = Duration::from_secs(3);

/// What is asked of the guard.
pub struct Guard<'a> {
    pub repo: &'a str,
    pub deploy_dir: &'a Path,
    /// How long a host that may not serve is waited for.
    pub wait: Option<Duration>,
    /// A confirmation does not count for longer.
    pub max_age: Option<Duration>,
    /// The file that is there while this host may serve.
    pub health_file: Option<&'a Path>,
    /// The person who asks confirms what is live.
    pub confirm: bool,
}

/// Answers with the exit status: 0 if this host may serve, 1 if not.
pub fn guard(asked: &Guard) -> u8 {
    let answer = Layout::new(asked.deploy_dir, asked.repo).map_err(|fault| fault.reason()).and_then(|layout| {
        let answer = if asked.confirm { confirm(&layout) } else { wait_for(asked, &layout) };
        answer.map_err(|why| why + &advice(&layout))
    });
    let kept = asked.health_file.map_or(Ok(()), |path| keep(path, answer.as_deref().ok()));
    match &answer {
        Ok(answer) => answer_line(&format!("{}: {answer}", asked.repo)),
        Err(why) => complain_line(&format!("hoist: {} must not be served by this host: {why}", asked.repo)),
    }
    // Whoever looks at the file goes by what it was before.
    if let Err(why) = &kept {
        complain_line(&format!("hoist: the health file of {} is not as it should be: {why}", asked.repo));
    }
    u8::from(answer.is_err() || kept.is_err())
}

fn wait_for(asked: &Guard, layout: &Layout) -> Result<String, String> {
    let began = Instant::now();
    let mut told = None;
    loop {
        let at_work = fitness::stage_at_work(layout);
        let answer = look(asked, layout, at_work);
        let patience = asked.wait.unwrap_or_default().max(at_work.map_or(Duration::ZERO, |_| SETTLING));
        let Err(why) = &answer else { return answer };
        if began.elapsed() >= patience {
            return answer;
        }
        if asked.wait.is_some() && told.as_ref() != Some(why) {
            complain_line(&format!("hoist: {} is not served yet: {why}; waiting", asked.repo));
            told = Some(why.clone());
        }
        std::thread::sleep(PAUSE);
    }
}

/// One look; `at_work` is the stage that was at work before it.
fn look(asked: &Guard, layout: &Layout, at_work: Option<Stage>) -> Result<String, String> {
    let current = live(layout)?;
    let short = current.short();
    // An undrain may end what a rollback began.
    let marked_back = || going_live::marked(layout).is_some_and(|it| it.is_back);
    let goes_back = at_work == Some(Stage::Rollback) || (at_work == Some(Stage::Undrain) && marked_back());
    let new = at_work.filter(|_| !goes_back);
    if let Some(stage) = new.filter(|_| fitness::is_going_live(layout, &current, new)) {
        return Ok(format!("{stage} starts {short}"));
    }
    if let Some(why) = fitness::trouble(layout) {
        return Err(why);
    }
    // A service may be restarted while nobody is sent to it; a load balancer is another matter.
    if let Some(record) = drained::read(layout).filter(|_| asked.health_file.is_some()) {
        return Err(record.drained.to_string());
    }
    let standing = confirmed::judge(layout, &current, asked.max_age, goes_back)?;
    Ok(format!("{short} may be served; {} confirmed it, {}", standing.by, clock::local_with_zone(&standing.time)))
}

/// What is live; or why that cannot be told, or nothing is.
fn live(layout: &Layout) -> Result<Revision, String> {
    let own = layout.own();
    match fs::read_dir(&own) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let (repo, own) = (layout.repo(), own.display());
            return Err(format!("{own} does not exist: {repo} was never deployed here, or a disk is not mounted"));
        }
        Err(error) => {
            let why = "ask as root or as the remote user of deployments";
            return Err(format!("cannot read {}: {}; {why}", own.display(), plain(&error)));
        }
    }
    layout
        .read(Link::Current)
        .ok_or_else(|| fitness::trouble(layout).unwrap_or_else(|| format!("nothing of {} is live here", layout.repo())))
}

/// The word of a person at this host.
fn confirm(layout: &Layout) -> Result<String, String> {
    let current = live(layout)?;
    match fitness::trouble(layout) {
        Some(why) => Err(why),
        None => {
            let who = someone("guard");
            confirmed::confirm(layout, &who, &current).map_err(|fault| fault.reason())?;
            Ok(format!("{} may be served; {} confirmed it", current.short(), who.user))
        }
    }
}

/// Writes the health file of a host that may serve, or removes it.
fn keep(path: &Path, answer: Option<&str>) -> Result<(), String> {
    let kept = match answer {
        Some(answer) => {
            let for_all = Belongs { mode: 0o644, owner: None, group: None };
            files::write_as(path, format!("{answer}\n").as_bytes(), for_all)
        }
        None => files::remove(path).map(drop),
    };
    kept.map_err(|fault| fault.reason())
}

/// What to do about a host that may not serve.
fn advice(layout: &Layout) -> String {
    let place = confirmed::by(layout).map_or("the deploy host".to_owned(), |by| {
        by.split_once('@').map_or_else(|| by.clone(), |(_, host)| host.to_owned())
    });
    format!("; run `hoist reconcile` on {place}")
}
