//! `hoist history`.

use crate::cli::out::answer_json;
use crate::cli::render::history as render;
use crate::cli::show::{Format, Show};
use crate::cli::values::{flag, list, span};
use crate::config;
use crate::operation::Wanted;

use super::{Console, ExitCode, Refused, command, operation};

/// Deployments that are shown unless `-n` or `--since` says otherwise.
const SHOWN: usize = 20;

command! {
    /// Show past deployments: when, who, which revision, how each ended and what failed; or what one host ran, since when.
    #[argh(subcommand, name = "history", help_triggers("-h", "--help"))]
    pub struct Args {
        options {
            /// the number of deployments to show (default: 20, or all with --since)
            number ('n'): "number",
            /// only those that began after this: an age such as 2d, a date, or a date with a time
            since: "time",
            /// only those that began before this; a date includes its day
            until: "time",
            /// only those with these results, separated by commas: ok, failed, or as in the manual, failed-rolled-back
            result: "results",
            /// only those that this user began: alice, or alice@deploy1; may contain * and ?
            operator: "user",
            /// only those that had this host among their targets; may contain * and ?
            host: "host",
        }
        switches {
            /// show where the time of one run's hosts went, if it was measured
            timings,
        }
    } with [answer, settings] then {
        /// show which revisions this host ran, since when; with --timings the id of a run, or the beginning of it
        #[argh(positional, arg_name = "host")]
        pub of: Option<String>,
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let most = flag("--number", &args.number, |text| config::values::number(text, 1))?;
    let span = span(&args.since, &args.until)?;
    let console = Console::new("history", Show::answer(args.format), false);
    let others = [&args.number, &args.result, &args.operator, &args.host];
    let has_others = others.into_iter().any(Option::is_some);
    if args.timings {
        if has_others || args.since.is_some() || args.until.is_some() {
            return Err(Refused::Usage("--timings is of one run: `hoist history --timings RUN`".into()));
        }
        let (run, timings) = operation::run_timings(&args.options()?, args.of.as_deref(), &console)?;
        match args.format {
            Format::Text => drop(render::timings_text(&timings).answer()),
            Format::Json => drop(answer_json(&render::timings_json(&run, &timings))?),
        }
        return Ok(ExitCode::Success);
    }
    if let Some(host) = &args.of {
        if has_others {
            return Err(Refused::Usage(format!(
                "what {host} ran is limited by --since and --until only; `--host {host}` shows the deployments of a host"
            )));
        }
        let timelines = operation::host_history(&args.options()?, host, span, &console)?;
        match args.format {
            Format::Text => drop(render::host_text(&timelines).answer()),
            Format::Json => drop(answer_json(&render::host_json(&timelines))?),
        }
        return Ok(ExitCode::Success);
    }
    let results = list("--result", &args.result)?.unwrap_or_default();
    let filters = args.since.is_some() || args.until.is_some() || !results.is_empty();
    let filters = filters || args.operator.is_some() || args.host.is_some();
    let most = most.or(args.since.is_none().then_some(SHOWN));
    let options = args.options()?;
    let wanted = Wanted { span, results, operator: args.operator, host: args.host };
    let history = operation::history(&options, most, &wanted, &console)?;
    match args.format {
        Format::Text => drop(render::text(&history, filters).answer()),
        Format::Json => drop(answer_json(&render::json(&history))?),
    }
    Ok(ExitCode::Success)
}
