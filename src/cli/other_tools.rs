//! What users of Ansible, Capistrano, kubectl, Scap and git type, and what it is called here.

/// Commands, one or two words; and what to say to them.
const COMMANDS: [(&[&str], &str); 24] = [
    (&["restart", "rollout restart", "deploy:restart"], "`hoist deploy --service-restart` restarts the services"),
    (&["exec", "shell", "ssh", "cmd", "command", "adhoc"], "`hoist run -- COMMAND` runs a command on the hosts"),
    (&["ping"], "`hoist status` asks every host, and `hoist run -- true` logs in to each"),
    (&["logs", "deploy-log", "tail"], "`hoist log` shows the log of a deployment"),
    (
        &["releases", "deployments", "revisions", "rollout history", "changelog"],
        "`hoist history` shows the last deployments",
    ),
    (
        &[
            "apply",
            "release",
            "ship",
            "push",
            "play",
            "playbook",
            "upgrade",
            "update",
            "sync",
            "sync-world",
            "sync-file",
            "scap",
        ],
        "`hoist deploy -r REVISION` deploys a revision",
    ),
    (&["rollout status", "get", "describe", "state", "ps", "top"], "`hoist status` shows what every host runs"),
    (
        &["revert", "undo", "rollout undo", "back", "deploy:rollback", "deploy:revert", "downgrade"],
        "`hoist rollback` returns to the previous revision",
    ),
    (
        &["rollout"],
        "`hoist deploy` deploys, `hoist status` shows what runs, `hoist rollback` returns to the previous \
         revision",
    ),
    (&["continue", "rollout resume", "retry"], "`hoist resume` continues an interrupted deployment"),
    (
        &["abort", "cancel", "pause", "stop", "rollout pause"],
        "Ctrl-C stops a running deployment, and `hoist rollback` undoes an interrupted one",
    ),
    (
        &["diff"],
        "`hoist deploy --dry-run` shows how configuration files would change, `hoist plan` what a deployment would do",
    ),
    (&["dry-run", "simulate", "preview"], "`hoist plan` shows what a deployment would do"),
    (
        &["check", "validate", "lint", "deploy:check", "syntax-check"],
        "`hoist check-config` shows all mistakes in the configuration",
    ),
    (&["inventory", "list-hosts", "targets", "groups", "list", "ls"], "`hoist hosts` shows the groups and their hosts"),
    (&["install", "new", "create", "setup", "deploy:setup"], "`hoist init` writes a first configuration"),
    (&["settings", "show-config", "vars"], "`hoist config` shows every setting and where it came from"),
    (&["freeze", "block"], "`hoist lock` blocks deployments"),
    (
        &["unfreeze", "unblock", "deploy:unlock"],
        "`hoist lock --end` ends the lock on deployments, and `hoist unlock` clears locks on hosts",
    ),
    (&["finalize", "promote", "fetch", "config_deploy"], "`hoist deploy -s STAGE` runs single stages"),
    (&["repair", "heal", "converge"], "`hoist reconcile` brings every host to the revision that it should run"),
    (&["who", "whoami", "audit"], "`hoist history` shows who deployed what"),
    (&["completions", "autocomplete"], "`hoist completion SHELL` prints a completion script"),
    (&["man", "doc", "docs"], "`hoist help COMMAND` shows the flags, and `man hoist` the manual"),
];

/// Flags, without their dashes; and what to say to them. The first row whose flag is the command's own counts: a hint never
/// names a flag that the command has not.
const FLAGS: [(&[&str], &str, &str); 24] = [
    (
        &["check", "n", "noop", "diff", "dryrun", "simulate", "just-print", "whatif"],
        "dry-run",
        "--dry-run shows what would change",
    ),
    (
        &["branch", "tag", "commit", "ref", "revision", "sha", "version-tag"],
        "rev",
        "-r REVISION takes any branch, tag or commit",
    ),
    (&["to-revision", "revision", "rev", "r"], "to", "--to REVISION names the revision"),
    (
        &["host", "hosts", "target", "targets", "node", "nodes", "on", "filter", "limit"],
        "limit-hosts",
        "-l HOSTS takes names, groups and globs",
    ),
    (&["group", "role", "roles", "selector"], "groups", "-g GROUPS takes names of groups"),
    (&["tags", "t", "step", "steps", "only"], "stages", "-s STAGES runs single stages"),
    (&["start-at-task", "skip-tags"], "stages", "-s STAGES runs single stages"),
    (
        &["assume-yes", "no-confirm", "non-interactive", "auto-approve", "batch-mode", "no-prompt"],
        "yes",
        "-y answers every question with yes",
    ),
    (&["output", "o", "out"], "format", "--json prints JSON"),
    (
        &["extra-vars", "set", "var", "variable"],
        "define",
        "-D key=value sets a configuration key; the variables of templates are in vars.yaml",
    ),
    (
        &["forks", "parallel", "concurrency", "batch-size", "p", "j"],
        "batch",
        "--batch NUMBER sets the number of hosts at once",
    ),
    (
        &["forks", "parallel", "concurrency", "batch-size", "batch", "p", "j"],
        "define",
        "-D batch_size=NUMBER sets the number of hosts at once",
    ),
    (&["user", "u", "remote-user", "login", "become-user"], "define", "-D ssh_user=USER sets the remote user"),
    (&["port"], "define", "-D ssh_port=PORT sets the port of sshd"),
    (&["private-key", "key", "identity", "i"], "define", "-D identity_file=FILE sets the key to log in with"),
    (&["timeout", "wait"], "define", "-D stage_timeout=5m sets the time limit of a stage on a host"),
    (
        &["failure-limit", "max-fail", "max-failures", "max-fail-percentage"],
        "define",
        "-D failure_limit=LIMIT sets how many hosts may fail",
    ),
    (&["serial"], "group-size", "--group-size SIZES sets how many hosts of a group run the command together"),
    (&["group-size", "serial"], "define", "-D group_size=NUMBER sets how many hosts of a group are deployed together"),
    (
        &["inventory", "inventory-file"],
        "define",
        "-D inventory=PATH names an Ansible inventory, -D dsh_targets=FILE a file that lists hosts",
    ),
    (&["env", "stage", "inventory-group"], "environment", "-e ENVIRONMENT names the environment"),
    (&["rollback", "revert", "undo"], "service-restart", "`hoist rollback` returns to the previous revision"),
    (&["no-checks", "skip-checks", "no-verify"], "break-glass", "-D perform_checks=no deploys without checks"),
    (&["debug", "trace", "vv", "vvv"], "verbose", "-v shows more details"),
];

/// What a command of another tool is called here. `words` is the command line from the command on.
pub fn command(words: &[String]) -> Option<&'static str> {
    let two = words.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ");
    let one = words.first()?.as_str();
    let find = |name: &str| COMMANDS.iter().find(|(names, _)| names.contains(&name)).map(|(_, says)| *says);
    find(&two).or_else(|| find(one))
}

/// What a flag of another tool, without its dashes, is called here, for a command that `has` some flags.
pub fn flag(name: &str, has: impl Fn(&str) -> bool) -> Option<&'static str> {
    let meant = |(names, own, _): &&(&[&str], &str, &str)| names.contains(&name) && has(own);
    FLAGS.iter().find(meant).map(|(_, _, says)| *says)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use argh::ArgsInfo;

    use super::*;
    use crate::cli::Hoist;
    use crate::cli::flags::HELP;

    #[test]
    fn no_word_of_another_tool_is_a_command_here_or_stands_in_two_rows() {
        let own: HashSet<&str> = Hoist::get_args_info().commands.iter().map(|command| command.name).collect();
        let mut seen = HashSet::new();
        for word in COMMANDS.iter().flat_map(|(words, _)| words.iter()) {
            assert!(!own.contains(word) && seen.insert(word), "{word}");
        }
    }

    #[test]
    fn every_command_and_flag_that_a_hint_names_exists() {
        let hoist = Hoist::get_args_info();
        for (_, says) in COMMANDS {
            for line in says.split('`').filter(|part| part.starts_with("hoist ")) {
                let words: Vec<&str> = line.split(' ').collect();
                if words[1] == HELP {
                    continue;
                }
                let command = hoist.commands.iter().find(|command| command.name == words[1]).expect(line);
                for flag in words[2..].iter().take_while(|word| **word != "--").filter(|word| word.starts_with('-')) {
                    let long = |it: &argh::FlagInfo| it.long.trim_start_matches('-') == flag.trim_start_matches('-');
                    let short =
                        |it: &argh::FlagInfo| it.short.map(|letter| format!("-{letter}")).as_deref() == Some(flag);
                    assert!(command.command.flags.iter().any(|it| long(it) || short(it)), "{line}");
                }
            }
        }
        for (_, own, says) in FLAGS {
            let has = |command: &argh::SubCommandInfo| {
                command.command.flags.iter().any(|flag| flag.long.trim_start_matches("-") == own)
            };
            assert!(hoist.commands.iter().any(has), "no command has --{own}: {says}");
        }
    }
}
