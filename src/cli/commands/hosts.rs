//! `hoist hosts`.

use crate::cli::out::answer_json;
use crate::cli::render::hosts as render;
use crate::cli::show::{Format, Show};

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Show the groups and their hosts, without connecting to any host.
    #[argh(subcommand, name = "hosts", help_triggers("-h", "--help"))]
    pub struct Args {
        /// print only the names of the hosts, one per line
        #[argh(switch)]
        pub names: bool,
    } with [limit, answer, settings]
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let console = Console::new("hosts", Show::answer(args.format), false);
    let list = operation::hosts(&args.options()?, args.limit()?.as_deref(), &console)?;
    match args.format {
        Format::Json if args.names => {
            return Err(Refused::Usage("--names and --format json cannot be combined".into()));
        }
        Format::Json => drop(answer_json(&render::json(&list))?),
        Format::Text if args.names => drop(render::names(&list).answer()),
        Format::Text => drop(render::text(&list).answer()),
    }
    Ok(ExitCode::Success)
}
