//! `hoist reconcile`.

use crate::cli::out::answer_json;
use crate::cli::render::reconcile as render;
use crate::report::Format;

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Bring every target to the revision that it should run: those that are behind, drifted, or new.
    #[argh(subcommand, name = "reconcile", help_triggers("-h", "--help"))]
    pub struct Args {
        /// show what would be deployed to which hosts; changes nothing
        #[argh(switch)]
        pub dry_run: bool,
    } with [limit, yes, output, strict, timings, wait, settings]
}

/// Runs the command.
pub fn run(mut args: Args) -> Result<ExitCode, Refused> {
    let console = args.define_flags(&[]).console("reconcile")?;
    console.report_end(reconcile(&args, &console))
}

fn reconcile(args: &Args, console: &Console) -> Result<ExitCode, Refused> {
    let (options, limit_hosts) = (args.options_and_wait()?, args.limit()?);
    let limit_hosts = limit_hosts.as_deref();
    if !args.dry_run {
        return operation::reconcile(&options, limit_hosts, console);
    }
    let preview = operation::reconcile_preview(&options, limit_hosts, console)?;
    match args.format {
        Format::Json => drop(answer_json(&render::PreviewAnswer::of(&preview))?),
        _ => drop(render::preview(&preview).answer()),
    }
    if let Some(why) = preview.gone {
        return Err(Refused::new(why));
    }
    Ok(if preview.is_open() { ExitCode::Success } else { ExitCode::Failed })
}
