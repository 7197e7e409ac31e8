//! What `hoist check-config` says: of the configuration, and of the revision that it would deploy.

use crate::config;
use crate::config::{Checked, Config, Options};
use crate::deploy;
use crate::files::no_links;
use crate::problem::Problem;
use crate::report::LogFile;

use super::repository::repository;
use super::{Refused, state_folder};

/// Everything that is wrong in the configuration, and doubtful. Connects nowhere and changes nothing.
///
/// # Errors
/// When there is no repository, or no configuration in it.
pub fn check_config(options: &Options) -> Result<Checked, Refused> {
    let of_revision = |config: &Config| -> Option<Problem> {
        links_out(config).unwrap_or_else(|error| {
            // A deployment says more about it. Here, there may be no commit yet.
            log::debug!("{}: {error:#}", config.settings.git_rev);
            None
        })
    };
    let more = |config: &Config| own_folders(config).into_iter().chain(of_revision(config)).collect();
    Ok(config::check(options, &more)?)
}

/// Links in the places of folders that a deployment writes to.
fn own_folders(config: &Config) -> Vec<Problem> {
    let folders = [state_folder(config), LogFile::folder_of(&config.control)];
    let wrong = folders.into_iter().filter_map(|folder| {
        let error = no_links::refuse_link(&folder).err()?;
        let shown = folder.strip_prefix(&config.top).unwrap_or(&folder).display().to_string();
        Some(Problem::of_file(&shown, error.to_string().replace(&folder.display().to_string(), &shown)))
    });
    wrong.collect()
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
