//! What `hoist check-config` says: of the configuration, and of the revision that it would deploy.

use crate::config;
use crate::config::{Checked, Config, Options};
use crate::deploy;
use crate::problem::Problem;

use super::Refused;
use super::repository::repository;

/// Everything that is wrong in the configuration, and doubtful. Connects nowhere and changes nothing.
///
/// # Errors
/// When there is no repository, or no configuration in it.
pub fn check_config(options: &Options) -> Result<Checked, Refused> {
    let of_revision = |config: &Config| {
        links_out(config).unwrap_or_else(|error| {
            // A deployment says more about it. Here, there may be no commit yet.
            log::debug!("{}: {error:#}", config.settings.git_rev);
            None
        })
    };
    Ok(config::check(options, &|config| of_revision(config).into_iter().collect())?)
}

/// A warning about links of the revision that lead out of `subdir`.
fn links_out(config: &Config) -> anyhow::Result<Option<Problem>> {
    let settings = &config.settings;
    // What a build makes of them is not known.
    let Some(subdir) = settings.subdir.as_ref().filter(|_| settings.build.is_none()) else { return Ok(None) };
    let repo = repository(config)?;
    let source = repo.resolve(&settings.git_rev)?;
    let tree = repo.tree(&source)?.below(subdir);
    let note = deploy::links_out(&repo, &tree, (&source, subdir))?;
    Ok(note.map(|(level, why)| Problem::new(why).about("subdir").remark(level)))
}
