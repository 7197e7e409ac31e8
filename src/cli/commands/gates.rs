//! `hoist gates`.

use crate::cli::out::answer_json;
use crate::cli::render::gates as render;
use crate::cli::show::{Format, Show};
use crate::cli::values::{duration, flag};
use crate::config;
use crate::gates::SampleVerdict;

use super::{Console, ExitCode, Refused, command, operation};

/// Past deployments that gates are asked about unless `-n` says otherwise.
const ASKED_ABOUT: usize = 10;

command! {
    /// Ask the health gates now, or about past deployments, and deploy nothing.
    #[argh(subcommand, name = "gates", help_triggers("-h", "--help"))]
    pub struct Args {
        /// what the gates would have said during past deployments
        #[argh(switch)]
        pub backtest: bool,

        /// with --backtest: so many deployments (default: 10)
        #[argh(option, short = 'n', arg_name = "number")]
        pub number: Option<String>,

        /// with --backtest: as if each subgroup had soaked so long: 90s, 10m
        #[argh(option, arg_name = "duration")]
        pub soak: Option<String>,
    } with [answer, settings] then {
        /// just these gates
        #[argh(positional)]
        pub gate: Vec<String>,
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let most = flag("--number", &args.number, |text| config::values::number(text, 1))?;
    let soak = flag("--soak", &args.soak, duration)?;
    if !args.backtest && (most.is_some() || soak.is_some()) {
        return Err(Refused::Usage("--number and --soak go with --backtest".into()));
    }
    let (options, console) = (args.options()?, Console::new("gates", Show::answer(args.format), false));
    if args.backtest {
        let past = operation::backtest(&options, &args.gate, most.unwrap_or(ASKED_ABOUT), soak, &console)?;
        match args.format {
            Format::Text => drop(render::backtest(&past).answer()),
            Format::Json => drop(answer_json(&render::BacktestAnswer::of(&past))?),
        }
        return Ok(ExitCode::Success);
    }
    let answers = operation::gates(&options, &args.gate, &console)?;
    match args.format {
        Format::Text => drop(render::text(&answers).answer()),
        Format::Json => drop(answer_json(&render::Answer::of(&answers))?),
    }
    Ok(match render::verdict(&answers) {
        SampleVerdict::Pass | SampleVerdict::Skipped => ExitCode::Success,
        SampleVerdict::Fail | SampleVerdict::Inconclusive => ExitCode::Failed,
    })
}
