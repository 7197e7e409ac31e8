//! `hoist init`.

use std::io::IsTerminal;

use crate::cli::flags::options;
use crate::cli::out::{Page, complain};
use crate::cli::show::{Format, Show};
use crate::operation::{Answers, Frontend, Refused};
use crate::targets::{Target, parse_list};

use super::{Console, ExitCode, command, operation};

command! {
    /// Write a first configuration, hoist/hoist.cfg, from flags or from answers at the terminal.
    #[argh(subcommand, name = "init", help_triggers("-h", "--help"))]
    pub struct Args {
        options {
            /// the hosts to deploy to: names, and ranges such as web[01:20]; without this flag, hoist asks
            hosts: "hosts",
            /// hosts that are deployed to first, as a group of their own
            canaries: "hosts",
            /// the repository's name on the hosts (default: the name of the directory of the working tree)
            repo: "name",
            /// the user to log in as (default: the same as ssh)
            user: "user",
            /// the service to restart after a revision goes live
            service: "service",
            /// a command that fails on a host whose service does not work
            check: "command",
        }
    } with []
}

/// Runs the command.
pub fn run(mut args: Args) -> Result<ExitCode, Refused> {
    let options = options(None, &[], None)?;
    let console = Console::new("init", Show::answer(Format::Text), false);
    // Ahead of every question.
    let top = operation::unconfigured(&options)?;
    if args.hosts.is_none() {
        if !std::io::stdin().is_terminal() {
            let why = "standard input is not a terminal, so no question can be asked: name the hosts with --hosts";
            return Err(Refused::Usage(why.into()));
        }
        let folder = top.file_name().unwrap_or_default().to_string_lossy();
        ask(&mut args, &folder, &console);
    }
    let list = |flag: &str, text: &Option<String>| -> Result<Vec<Target>, Refused> {
        let list = parse_list(text.as_deref().unwrap_or_default());
        list.map_err(|why| Refused::Usage(format!("{flag}: {why}")))
    };
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let answers = Answers {
        hosts: list("--hosts", &args.hosts)?,
        canaries: list("--canaries", &args.canaries)?,
        repo: given(args.repo),
        user: given(args.user),
        service: given(args.service),
        check: given(args.check),
    };
    let written = operation::new_config(&options, &answers)?;
    let mut page = Page::default();
    page.line(format!("written: {}", written.files.join(", ")));
    page.line("next:");
    page.line("  git add hoist && git commit -m 'Configure Hoist'");
    page.line("  hoist plan");
    page.answer();
    Ok(ExitCode::Success)
}

/// Asks for what no flag says. Just Enter is the default in brackets; a list of hosts is asked for until it is one.
fn ask(args: &mut Args, folder: &str, console: &Console) {
    let line = |given: &mut Option<String>, question: &str| {
        if given.is_none() {
            *given = Some(console.ask_line(question));
        }
    };
    let hosts = |given: &mut Option<String>, question: &str, needed: bool| {
        while given.is_none() {
            let text = console.ask_line(question);
            match parse_list(&text) {
                // An end of input would be asked for ever.
                Ok(hosts) if hosts.is_empty() && needed && std::io::stdin().is_terminal() => {
                    complain("name at least one host, or press Ctrl-C to stop");
                }
                Ok(_) => *given = Some(text),
                Err(why) => complain(&why),
            }
        }
    };
    line(&mut args.repo, &format!("Name of the repository on the hosts [{folder}]:"));
    hosts(&mut args.hosts, "Hosts to deploy to, such as web01 web02 or web[01:20].example.com:", true);
    hosts(&mut args.canaries, "Hosts to deploy to first (canaries) [none]:", false);
    line(&mut args.user, "User to log in as [same as ssh]:");
    line(&mut args.service, "Service to restart after a revision goes live [none]:");
    if args.service.as_deref().is_some_and(|service| !service.is_empty()) {
        line(&mut args.check, "Command that checks the service on a host [none]:");
    }
}
