use std::time::Duration;

use super::*;
use crate::hooks::{Action, EventKind, Hook, Receiver};

fn with(hooks: &str) -> Repo {
    let repo = Repo::configured("server_groups: canary, default\ndsh_targets: all\n");
    repo.write("hoist/hooks.yaml", hooks);
    repo
}

fn named(hooks: &[Hook]) -> Vec<&str> {
    hooks.iter().map(|hook| hook.name.as_str()).collect()
}

#[test]
fn hooks_keep_the_order_of_the_file_and_have_their_defaults() {
    let repo = with(
        "hooks:\n  zeta:\n    type: webhook\n    on: [started, finished, started]\n    url: https://chat/hooks/abc\n    \
         body: '{\"text\": \"{{ text }}\"}'\n    hmac_secret_file: /etc/hoist/key\n    headers: {X-One: two}\n    \
         header_files: {X-Key: /etc/hoist/key}\n    timeout: 3\n    retries: 2\n    required: true\n    group: canary\n  alpha: {on: halted, \
         command: 'notify me'}\n  log: {type: syslog, on: finished}\n  far: {type: syslog, on: finished, host: log1}\n  numbers: {type: \
         statsd, on: finished, host: 127.0.0.1, prefix: dep}\n  mail: {type: mail, on: finished, to: 'a@b, c@d'}\n  entries: {type: journald, \
         on: unfinished}\n",
    );
    let hooks = repo.config().hooks().unwrap().0;
    assert_eq!(named(&hooks), ["zeta", "alpha", "log", "far", "numbers", "mail", "entries"]);
    let zeta = &hooks[0];
    assert_eq!((zeta.scope.at.as_slice(), zeta.retries), (&[EventKind::Started, EventKind::Finished][..], 2));
    assert!(zeta.required && zeta.scope.group.as_deref() == Some("canary") && zeta.timeout == Duration::from_secs(3));
    assert_eq!(zeta.action.receiver(), "chat");
    let Action::Webhook(webhook) = &zeta.action else { panic!("{zeta:?}") };
    assert_eq!((webhook.method, webhook.signature_header.as_str()), ("POST", "X-Hoist-Signature"));
    assert_eq!((hooks[1].timeout, hooks[1].retries, hooks[1].required), (Duration::from_secs(10), 0, false));
    assert_eq!(hooks[2].action, Action::Syslog { to: Receiver::Socket("/dev/log".into()) });
    assert_eq!(hooks[3].action, Action::Syslog { to: Receiver::Udp { host: "log1".into(), port: 514 } });
    assert_eq!(hooks[4].action.receiver(), "127.0.0.1:8125");
    assert_eq!(hooks[5].action.receiver(), "a@b, c@d");
}

#[test]
fn the_environment_replaces_hooks_and_switches_them_off_and_so_it_does_with_those_of_scaps_keys() {
    let repo = with("hooks:\n  a: {on: started, command: a}\n  b: {on: started, command: b}\n").environment("beta");
    repo.write(
        "hoist/environments/beta/hooks.yaml",
        "hooks: {b: {on: finished, command: c}, a: {}, d: {on: gate, command: d}, statsd: {}}\n",
    );
    repo.global("[global]\ntcpircbot_host: irc\nstatsd_host: stats\nudp2log_host:\nuse_syslog: True\n");
    let hooks = repo.config().hooks().unwrap().0;
    assert_eq!(named(&hooks), ["tcpircbot", "syslog", "b", "d"]);
    assert_eq!(hooks[2].scope.at, [EventKind::Finished]);
    assert_eq!((hooks[0].action.receiver().as_str(), hooks[0].timeout), ("irc:9200", Duration::from_secs(1)));
    let mut config = repo.config();
    config.forgo_hook("tcpircbot");
    assert_eq!(config.forgone_hooks(), ["tcpircbot"]);
}

#[test]
fn a_mistake_is_named_with_its_line_and_what_was_meant() {
    let wrong = [
        ("{command: x}", "names no event: write `on: started, finished`"),
        ("{on: strated, command: x}", "unknown event \"strated\": did you mean \"started\"?"),
        ("{on: started}", "has no command"),
        ("{on: started, comand: x}", "unknown key \"comand\": did you mean \"command\"?"),
        ("{on: started, type: webhok, url: 'http://h'}", "unknown type \"webhok\": did you mean \"webhook\"?"),
        ("{on: started, command: x, url: 'http://h'}", "url has no effect on a hook of type command: remove it"),
        ("{on: finished, command: x, required: true}", "add started to `on`"),
        ("{on: started, command: 'x {{ text }}'}", "variables of a command are in its environment"),
        ("{on: started, command: x, retries: 11}", "bad retries: write a whole number from 0 to 10"),
        ("{on: started, command: x, group: canari}", "unknown group \"canari\""),
        ("{on: started, type: webhook}", "has no address"),
        ("{on: started, type: webhook, url: 'http://h', url_file: /u}", "has both a url and a url_file"),
        ("{on: started, type: webhook, url: 'ftp://h'}", "it does not begin with http:// or https://"),
        ("{on: started, type: webhook, url: 'http://me:pw@h'}", "it contains a user name or a password"),
        (
            "{on: started, type: webhook, url: 'http://h', body: '{{ txt }}'}",
            "unknown variable \"txt\": did you mean \"text\"?",
        ),
        ("{on: started, type: webhook, url: 'http://h', body: '{\"a\": {{ text }}}'}", "would not be JSON"),
        ("{on: started, type: webhook, url: 'http://h', content_type: text}", "has a content_type and no body"),
        ("{on: started, type: webhook, url: 'http://h', method: GET}", "bad method \"GET\": write POST, PUT or PATCH"),
        ("{on: started, type: webhook, url: 'http://h', headers: {'X Y': z}}", "\"X Y\" is not the name of a header"),
        (
            "{on: started, type: webhook, url: 'http://h', headers: {Content-Length: 5}}",
            "the header Content-Length is set by Hoist: remove it",
        ),
        ("{on: started, type: webhook, url: 'http://h', header_files: {X: key}}", "bad header_files"),
        ("{on: started, type: webhook, url: 'http://h', signature_header: X}", "no effect without hmac_secret_file"),
        ("{on: started, type: mail}", "has no receiver"),
        ("{on: started, type: mail, to: 'a b@c'}", "is not an address"),
        ("{on: started, type: statsd}", "has no host"),
        ("{on: started, type: statsd, host: 'a b'}", "\"a b\" is not a host"),
        ("{on: started, type: syslog, port: 514}", "has no host for its port"),
        ("{on: started, type: syslog, host: h, socket: /dev/log}", "has both a socket and a host"),
    ];
    for (hook, why) in wrong {
        let error = chain(with(&format!("hooks:\n  it: {hook}\n")).config().hooks());
        assert!(error.starts_with("hoist/hooks.yaml:2: ") && error.contains(why), "{hook}\n{error}");
    }
    assert!(chain(with("hook: {}\n").config().hooks()).contains("did you mean \"hooks\"?"));
}
