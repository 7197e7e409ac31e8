//! `hoist config`: every effective value and where it came from.

use crate::cli::out::{Page, answer_json, answer_line, complain_line};
use crate::cli::show::Format;
use crate::config;
use crate::config::{Explained, UNSET};
use crate::wire::Level;

use super::{ExitCode, Refused, command, operation};

command! {
    /// Show every setting, and the file, line and section that set it.
    #[argh(subcommand, name = "config", help_triggers("-h", "--help"))]
    pub struct Args {
        /// text, or json: one object per key
        #[argh(option, arg_name = "format", default = "Format::Text")]
        pub format: Format,
    } with [settings] then {
        /// print only the value of this key
        #[argh(positional)]
        pub key: Option<String>,
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Refused> {
    let config = operation::load(&args.options()?)?;
    for (level, note) in &config.notes {
        if *level > Level::Debug {
            complain_line(&format!("hoist config: warning: {note}"));
        }
    }
    let mut values = config.explain();
    if let Some(name) = &args.key {
        let name = name.to_lowercase();
        let Some(found) = config.explain_key(&name) else {
            let meant = config::keys::nearest(&name, &config.settings.server_groups);
            let all = || format!("; `{}` shows all keys", config.invocation.command("config"));
            let hint = meant.map_or_else(all, |near| format!(": did you mean {near:?}?"));
            return Err(Refused::new(format!("unknown key {name:?}{hint}")));
        };
        if args.format == Format::Text {
            let Some(value) = &found.value else {
                complain_line(&format!("hoist config: {name} is not set"));
                return Ok(ExitCode::Failed);
            };
            answer_line(value);
            return Ok(ExitCode::Success);
        }
        values = vec![found];
    }
    let mut page = Page::default();
    let keys = values.iter().map(|it| it.key.len()).max().unwrap_or(0);
    let shown = |it: &Explained| it.value.clone().unwrap_or_else(|| UNSET.to_owned());
    let width = values.iter().map(|it| shown(it).len()).filter(|length| *length <= 40).max().unwrap_or(0);
    for it in &values {
        match args.format {
            Format::Text => page.line(format!("{:keys$}  {:width$}  {}", it.key, shown(it), it.origin)),
            Format::Json => drop(answer_json(it)?),
        }
    }
    page.answer();
    Ok(ExitCode::Success)
}
