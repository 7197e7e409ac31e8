//! `hoist rollback`.

use crate::cli::out::answer_json;
use crate::cli::render::rollback as render;
use crate::operation::Back;
use crate::report::Format;

use super::{Console, ExitCode, Refused, command, operation};

command! {
    /// Undo an unfinished deployment, or return every target to the previous revision.
    #[argh(subcommand, name = "rollback", help_triggers("-h", "--help"))]
    pub struct Args {
        options {
            /// the revision to go back to, which targets must still have (default: the previous one)
            to: "revision",
        }
        switches {
            /// take all hosts of a group back at once, without regard to max_unavailable and subgroups
            at_once,
            /// list the revisions that the targets keep
            list,
            /// show the current and the earlier revision; changes nothing
            dry_run,
        }
    } with [limit, yes, step, output, strict, timings, wait, settings] then {
        /// the revision to go back to, as with --to
        #[argh(positional)]
        pub revision: Option<String>,
    }
}

/// Runs the command.
pub fn run(mut args: Args) -> Result<ExitCode, Refused> {
    let console =
        args.define_flags(&[(args.at_once, "rollback_pace:at_once")]).console("rollback")?.knowing_steps(&args.step)?;
    console.report_end(rollback(args, &console))
}

fn rollback(args: Args, console: &Console) -> Result<ExitCode, Refused> {
    let (options, limit_hosts) = (args.options_and_wait()?, args.limit()?);
    let to = match (args.to, args.revision) {
        (Some(_), Some(_)) => {
            return Err(Refused::Usage(
                "the revision is given twice, with --to and as an argument: use one of them".into(),
            ));
        }
        (to, revision) => to.or(revision),
    };
    let back = Back { to, limit_hosts };
    if args.list {
        if back.to.is_some() || args.dry_run || args.at_once {
            return Err(Refused::Usage("--list cannot be combined with a revision, --dry-run or --at-once".into()));
        }
        let kept = operation::kept(&options, back.limit_hosts.as_deref(), console)?;
        match args.format {
            Format::Json => drop(answer_json(&render::ListAnswer::of(&kept))?),
            _ => drop(render::list(&kept).answer()),
        }
        return Ok(if kept.unreachable.is_empty() { ExitCode::Success } else { ExitCode::Failed });
    }
    if args.dry_run {
        let preview = operation::rollback_preview(&options, &back, console)?;
        match args.format {
            Format::Json => drop(answer_json(&render::PreviewAnswer::of(&preview))?),
            _ => drop(render::preview(&preview).answer()),
        }
        return Ok(if preview.is_open() { ExitCode::Success } else { ExitCode::Failed });
    }
    operation::rollback(&options, &back, console)
}
