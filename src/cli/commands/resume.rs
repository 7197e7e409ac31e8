//! `hoist resume`.

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Continue a deployment that was interrupted.
    #[argh(subcommand, name = "resume", help_triggers("-h", "--help"))]
    pub struct Args {
    } with [yes, step, output, strict, timings, wait, settings]
}

/// Runs the command.
pub fn run(mut args: Args) -> Result<ExitCode, Refused> {
    let console = args.define_flags(&[]).console("resume")?.knowing_steps(&args.step)?;
    console.report_end(resume(&args, &console))
}

fn resume(args: &Args, console: &Console) -> Result<ExitCode, Refused> {
    operation::resume(&args.options_and_wait()?, console)
}
