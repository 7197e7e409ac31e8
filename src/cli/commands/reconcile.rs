//! `hoist reconcile`.

use crate::operation::Reconcile;

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
    let limit_hosts = args.limit()?;
    let chosen = Reconcile { limit_hosts: limit_hosts.as_deref(), dry_run: args.dry_run };
    operation::reconcile(&args.options_and_wait()?, chosen, console)
}
