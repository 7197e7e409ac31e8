//! `hooks.yaml`: who is told of deployments, and what the environment makes of it; and who Scap's keys name.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Result;

use crate::gates::Scope;
use crate::hooks::{Action, Announcement, Body, ContentType, EventKind, Hook, Receiver, Webhook};
use crate::problem::Problem;
use crate::yaml::{Node, Value};

use super::checks::seconds;
use super::endpoint::{OF_SERVERS, Texts, at, endpoint, file, keep, missing, unusable};
use super::entries::{Entry, EntryKind, Field, Types, known_of};
use super::gates::fields::{add_words, number, texts};
use super::problems::Problems;
use super::{Config, Note, values};

/// For one try, unless a hook says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So long Scap waits for its tcpircbot.
const SCAPS_TIMEOUT: Duration = Duration::from_secs(1);
const MOST_RETRIES: usize = 10;

/// The keys of every hook.
const OF_EVERY: &[&str] = &["type", "on", "group", "timeout", "retries", "required"];

/// The types, each with the keys that it has beside those of every hook.
const TYPES: &Types = &[
    ("command", [&[], &["command", "shell"]]),
    (
        "webhook",
        [
            OF_SERVERS,
            &[
                "url_file",
                "method",
                "body",
                "content_type",
                "headers",
                "header_files",
                "hmac_secret_file",
                "signature_header",
            ],
        ],
    ),
    ("journald", [&[], &["socket"]]),
    ("syslog", [&[], &["socket", "host", "port"]]),
    ("statsd", [&[], &["host", "port", "prefix"]]),
    ("mail", [&[], &["to", "from", "sendmail"]]),
];

/// What a hook may hold.
static KEYS: LazyLock<Vec<&str>> = LazyLock::new(|| known_of(OF_EVERY, TYPES));

/// The entries of the file.
const HOOKS: EntryKind = EntryKind { list: "hooks", one: "hook" };

/// A hook as far as it has been read.
struct Draft {
    kind: &'static str,
    shell: bool,
    content: ContentType,
    headers: Vec<(String, String)>,
    secret_headers: Vec<(String, PathBuf)>,
    to: Vec<String>,
    port: Option<u16>,
    /// The keys that the type gives a meaning, as they stand.
    text: Texts,
    hook: Hook,
}

impl Config {
    /// The hooks that Scap's keys ask for, then those of the repository's file, then those that only the environment has. One
    /// of the environment replaces the repository's of that name in its place; one without a body, or with an empty one, is
    /// switched off. And remarks.
    ///
    /// # Errors
    /// What is wrong with the first hook that is, with file and line.
    pub fn hooks(&self) -> Result<(Vec<Hook>, Vec<Note>)> {
        Ok(Problems::settled(|problems| self.hooks_into(problems))?)
    }

    /// As [`Config::hooks`], noting what is wrong and going on without it.
    pub(super) fn hooks_into(&self, problems: &mut Problems) -> Vec<Hook> {
        let scaps = self.hooks_of_scap().into_iter().map(|hook| (hook.name.clone(), hook));
        let read =
            |name: &Node, body: &Node, shown: &str, problems: &mut Problems| self.hook(name, body, shown, problems);
        self.merged_entries(&["hooks.yaml", "hooks.yml"], &HOOKS, scaps.collect(), problems, read)
    }

    /// Those that Scap's own keys ask for.
    fn hooks_of_scap(&self) -> Vec<Hook> {
        let settings = &self.settings;
        let hook = |name: &str, action| Hook {
            name: name.to_owned(),
            scope: Scope { at: vec![EventKind::Started, EventKind::Finished], group: None },
            timeout: SCAPS_TIMEOUT,
            retries: 0,
            required: false,
            action,
        };
        let irc = settings.tcpircbot_host.clone();
        let irc = irc.map(|host| hook("tcpircbot", Action::Tcpircbot { host, port: settings.tcpircbot_port }));
        let statsd = settings.statsd_host.clone();
        let statsd = statsd.map(|host| hook("statsd", Action::ScapStatsd { host, port: settings.statsd_port }));
        let log = settings.udp2log_host.clone();
        let log = log.map(|host| hook("udp2log", Action::Udp2log { host, port: settings.udp2log_port }));
        let syslog = Action::ScapSyslog { socket: "/dev/log".into() };
        let syslog = settings.use_syslog.then(|| hook("syslog", syslog));
        [irc, statsd, log, syslog].into_iter().flatten().collect()
    }

    /// The hook; `None` when mistakes were noted.
    fn hook(&self, name: &Node, body: &Node, shown: &str, problems: &mut Problems) -> Result<Option<Hook>, Problem> {
        let label = name.key_text();
        let entry = Entry { file: shown, label: format!("hook {label:?}"), line: name.line, known: &KEYS };
        let mut draft = Draft::new(label);
        if !entry.read(body, self, problems, |field, problems| self.hook_key(&mut draft, field, problems))? {
            return Ok(None);
        }
        entry.has_keys_of(body, draft.kind, TYPES, "a hook")?;
        if draft.hook.scope.at.is_empty() {
            return Err(entry.itself("names no event: write `on: started, finished`, for example"));
        }
        if draft.hook.required && !draft.hook.scope.at.contains(&EventKind::Started) {
            return Err(entry.itself("is required and is not told when a deployment starts: add started to `on`"));
        }
        let action = draft.action(&entry, &self.top)?;
        if let (true, Action::Webhook(webhook)) = (problems.thorough, &action) {
            let headers = webhook.secret_headers.iter().map(|(_, path)| path.clone());
            let needed = headers.chain(webhook.hmac_secret_file.clone()).chain(webhook.url_file.clone());
            problems.extend(unusable(&webhook.endpoint, &entry));
            problems.extend(needed.filter_map(|path| missing(&path, &entry)));
        }
        Ok(Some(Hook { action, ..draft.hook }))
    }

    /// Reads one key of a hook into its draft.
    fn hook_key(&self, draft: &mut Draft, field: &Field, problems: &mut Problems) -> Result<(), Problem> {
        let wrong = |why: String| field.problem(why);
        match field.name() {
            "type" => draft.kind = field.kind(TYPES)?,
            "on" => add_words(field, &mut draft.hook.scope.at)?,
            "group" => draft.hook.scope.group = self.group_key(field, problems)?,
            "timeout" => draft.hook.timeout = seconds(field)?,
            "retries" => draft.hook.retries = number(field, 0, MOST_RETRIES)? as u32,
            "required" => draft.hook.required = field.boolean()?,
            "shell" => draft.shell = field.boolean()?,
            "content_type" => draft.content = field.text()?.parse().map_err(wrong)?,
            "port" => draft.port = Some(number(field, 1, usize::from(u16::MAX))? as u16),
            "headers" => draft.headers = headers(field)?,
            "header_files" => {
                let path = |(name, path): (String, String)| {
                    Ok((name, values::absolute(&path).map_err(|why| wrong(format!("bad header_files: {why}")))?))
                };
                draft.secret_headers = headers(field)?.into_iter().map(path).collect::<Result<_, Problem>>()?;
            }
            "to" => {
                draft.to = texts(field)?.iter().map(|text| text.trim().to_owned()).collect();
                if let Some(bad) = draft.to.iter().find(|address| !is_address(address)) {
                    return Err(wrong(format!("{bad:?} is not an address: write name@example.org")));
                }
            }
            _ => keep(field, &KEYS, &mut draft.text)?,
        }
        Ok(())
    }
}

impl Draft {
    fn new(name: &str) -> Draft {
        let nothing = Action::Command { command: String::new(), shell: false, folder: PathBuf::new() };
        Draft {
            kind: "command",
            shell: false,
            content: ContentType::Json,
            headers: Vec::new(),
            secret_headers: Vec::new(),
            to: Vec::new(),
            port: None,
            text: Texts::new(),
            hook: Hook {
                name: name.to_owned(),
                scope: Scope::default(),
                timeout: TIMEOUT,
                retries: 0,
                required: false,
                action: nothing,
            },
        }
    }

    fn take(&mut self, key: &str) -> Option<(String, usize)> {
        self.text.shift_remove(key)
    }

    /// A file or a socket.
    fn path(&mut self, key: &str, default: &str, entry: &Entry) -> Result<PathBuf, Problem> {
        self.take(key).map_or_else(|| Ok(default.into()), |path| file(path, key, entry))
    }

    /// What its type makes of the keys. Commands run in `folder`.
    fn action(&mut self, entry: &Entry, folder: &std::path::Path) -> Result<Action, Problem> {
        let lacks = |what: &str| entry.itself(&format!("has no {what}"));
        match self.kind {
            "webhook" => self.webhook(entry).map(|webhook| Action::Webhook(Box::new(webhook))),
            "journald" => Ok(Action::Journald { socket: self.path("socket", "/run/systemd/journal/socket", entry)? }),
            "syslog" => {
                let host = self.host(entry)?;
                match (host, self.text.contains_key("socket")) {
                    (Some(_), true) => Err(entry.itself("has both a socket and a host: write one of them")),
                    (Some(host), false) => {
                        Ok(Action::Syslog { to: Receiver::Udp { host, port: self.port.unwrap_or(514) } })
                    }
                    (None, _) if self.port.is_some() => Err(lacks("host for its port: write `host:`")),
                    (None, _) => Ok(Action::Syslog { to: Receiver::Socket(self.path("socket", "/dev/log", entry)?) }),
                }
            }
            "statsd" => {
                let host = self.host(entry)?.ok_or_else(|| lacks("host: write `host:`"))?;
                let prefix = self.take("prefix").map_or_else(|| "hoist".to_owned(), |(prefix, _)| prefix);
                Ok(Action::Statsd { host, port: self.port.unwrap_or(8125), prefix })
            }
            "mail" => {
                if self.to.is_empty() {
                    return Err(lacks("receiver: write `to: name@example.org`"));
                }
                let from = self.take("from");
                if let Some((bad, line)) = from.as_ref().filter(|(from, _)| !is_address(from)) {
                    return Err(at(entry, *line, "from", format!("{bad:?} is not an address: write name@example.org")));
                }
                let sendmail = self.path("sendmail", "/usr/sbin/sendmail", entry)?;
                Ok(Action::Mail { to: std::mem::take(&mut self.to), from: from.map(|(from, _)| from), sendmail })
            }
            _ => {
                let (command, line) =
                    self.take("command").ok_or_else(|| lacks("command: write `command:` and the command"))?;
                if !self.shell && crate::text::words(&command).is_none() {
                    let why = format!("{command:?} has a quote that is not closed: close it, or write `shell: true`");
                    return Err(at(entry, line, "command", why));
                }
                if command.contains("{{") {
                    let why = "variables of a command are in its environment: write $HOIST_TEXT, for example, with";
                    return Err(at(entry, line, "command", format!("{why} `shell: true`")));
                }
                Ok(Action::Command { command, shell: self.shell, folder: folder.to_owned() })
            }
        }
    }

    fn host(&mut self, entry: &Entry) -> Result<Option<String>, Problem> {
        let host = self.take("host");
        host.map(|(host, line)| values::host(host.trim()).map_err(|why| at(entry, line, "host", why))).transpose()
    }

    fn webhook(&mut self, entry: &Entry) -> Result<Webhook, Problem> {
        let url_file = self.take("url_file").map(|path| file(path, "url_file", entry)).transpose()?;
        if url_file.is_some() {
            // It stands for the address that is read when it is needed.
            let stand_in = ("https://url-file.invalid".to_owned(), entry.line);
            if self.text.insert("url", stand_in).is_some() {
                return Err(entry.itself("has both a url and a url_file: write one of them"));
            }
        }
        let endpoint = endpoint(&mut self.text, false, entry)?;
        let method = match self.take("method") {
            None => "POST",
            Some((text, line)) => {
                let known = ["POST", "PUT", "PATCH"].into_iter().find(|method| *method == text);
                let bad = || at(entry, line, "method", format!("bad method {text:?}: write POST, PUT or PATCH"));
                known.ok_or_else(bad)?
            }
        };
        let content = self.content;
        let body = self.take("body").map(|(text, line)| self.body(&text, line, content, entry)).transpose()?;
        if body.is_none() && content != ContentType::Json {
            return Err(entry.itself("has a content_type and no body: write `body:`"));
        }
        let secret = self.take("hmac_secret_file").map(|path| file(path, "hmac_secret_file", entry)).transpose()?;
        let signature_header = match self.take("signature_header") {
            None => "X-Hoist-Signature".to_owned(),
            Some((_, line)) if secret.is_none() => {
                let why = "signature_header has no effect without hmac_secret_file";
                return Err(at(entry, line, "signature_header", why));
            }
            Some((name, line)) => {
                header_name(&name).map_err(|why| at(entry, line, "signature_header", why))?;
                name
            }
        };
        Ok(Webhook {
            endpoint,
            url_file,
            method,
            body,
            content,
            headers: std::mem::take(&mut self.headers),
            secret_headers: std::mem::take(&mut self.secret_headers),
            hmac_secret_file: secret,
            signature_header,
        })
    }

    /// A body that is JSON, where it says so, for each of the events.
    fn body(&self, text: &str, line: usize, content: ContentType, entry: &Entry) -> Result<Body, Problem> {
        let body: Body = text.parse().map_err(|why: String| at(entry, line, "body", why))?;
        for event in self.hook.scope.at.iter().filter(|_| content == ContentType::Json) {
            let sample = Announcement::sample(*event, "app", None, ("op", "deploy1"));
            if let Err(error) = serde_json::from_str::<serde_json::Value>(&body.fill(&sample, content)) {
                let why = format!("the body of {event} would not be JSON ({error}): correct it, or write content_type");
                return Err(at(entry, line, "body", why));
            }
        }
        Ok(body)
    }
}

/// Names and values of headers.
fn headers(field: &Field) -> Result<Vec<(String, String)>, Problem> {
    let Value::Map(pairs) = &field.value.value else {
        return Err(field.problem(format!("{} is {}: write names and values", field.name(), field.value.kind())));
    };
    let one = |(name, value): &(Node, Node)| {
        let (name, value) = (name.key_text(), value.text().unwrap_or_default());
        header_name(name).map_err(|why| field.problem(why))?;
        if value.is_empty() || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(field.problem(format!("the value of {name} is empty, or holds what a header cannot hold")));
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    pairs.iter().map(one).collect()
}

/// Headers that say how a request is sent, which is the client's matter.
const OF_CLIENT: [&str; 7] =
    ["connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"];

/// A token, as RFC 9110 has it, that is not one of the client's.
fn header_name(name: &str) -> Result<(), String> {
    if OF_CLIENT.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("the header {name} is set by Hoist: remove it"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    match !name.is_empty() && name.chars().all(fits) {
        true => Ok(()),
        false => Err(format!("{name:?} is not the name of a header")),
    }
}

fn is_address(text: &str) -> bool {
    let fits = |c: char| !c.is_control() && !c.is_whitespace() && !",;<>".contains(c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(fits)
}
