//! The type of a hook: what it is told, and how.

use std::path::PathBuf;
use std::time::Duration;

use crate::gates::{Endpoint, Scope};

use super::announcement::{Announcement, EventKind};
use super::body::{Body, ContentType};

/// One hook from `hooks.yaml`, or from Scap's configuration keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    pub name: String,
    /// The events that it is told. With a group, events that are about no group are sent as well.
    pub scope: Scope<EventKind>,
    /// Time limit of one attempt.
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// If it cannot be told, the deployment does not begin.
    pub required: bool,
    pub action: Action,
}

/// Where a datagram is sent: a local socket, or UDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    Socket(PathBuf),
    Udp { host: String, port: u16 },
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    pub endpoint: Endpoint,
    /// A file with the URL, which replaces that of the endpoint.
    pub url_file: Option<PathBuf>,
    /// POST, PUT or PATCH.
    pub method: &'static str,
    /// `None`: the whole announcement as JSON.
    pub body: Option<Body>,
    pub content: ContentType,
    pub headers: Vec<(String, String)>,
    /// Headers whose values are read from files.
    pub secret_headers: Vec<(String, PathBuf)>,
    /// The file with the key for the signature.
    pub hmac_secret_file: Option<PathBuf>,
    pub signature_header: String,
}

/// How the announcement is delivered.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A command on the deploy host.
    Command {
        command: String,
        /// A command line for `/bin/sh`.
        shell: bool,
        /// The working directory.
        folder: PathBuf,
    },
    Webhook(Box<Webhook>),
    Journald {
        socket: PathBuf,
    },
    Syslog {
        to: Receiver,
    },
    Statsd {
        host: String,
        port: u16,
        prefix: String,
    },
    Mail {
        to: Vec<String>,
        from: Option<String>,
        sendmail: PathBuf,
    },
    /// Scap's message for IRC.
    Tcpircbot {
        host: String,
        port: u16,
    },
    /// Scap's metric for statsd.
    ScapStatsd {
        host: String,
        port: u16,
    },
    /// Scap's log record, by UDP.
    Udp2log {
        host: String,
        port: u16,
    },
    /// The same, for syslog.
    ScapSyslog {
        socket: PathBuf,
    },
}

impl Action {
    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Command { .. } => "command",
            Action::Webhook(_) => "webhook",
            Action::Journald { .. } => "journald",
            Action::Syslog { .. } => "syslog",
            Action::Statsd { .. } => "statsd",
            Action::Mail { .. } => "mail",
            Action::Tcpircbot { .. } => "tcpircbot_host",
            Action::ScapStatsd { .. } => "statsd_host",
            Action::Udp2log { .. } => "udp2log_host",
            Action::ScapSyslog { .. } => "use_syslog",
        }
    }

    /// The receiver, for people. It contains no secret.
    pub fn receiver(&self) -> String {
        let udp = |host: &str, port: u16| format!("{host}:{port}");
        match self {
            Action::Command { command, .. } => command.clone(),
            // The path may be a secret, as with Slack.
            Action::Webhook(webhook) => match &webhook.url_file {
                Some(file) => format!("the address in {}", file.display()),
                None => crate::gates::client::authority(&webhook.endpoint.url.fixed()).to_owned(),
            },
            Action::Journald { socket } | Action::ScapSyslog { socket } => socket.display().to_string(),
            Action::Syslog { to: Receiver::Socket(socket) } => socket.display().to_string(),
            Action::Syslog { to: Receiver::Udp { host, port } } => udp(host, *port),
            Action::Mail { to, .. } => to.join(", "),
            Action::Statsd { host, port, .. }
            | Action::Tcpircbot { host, port }
            | Action::ScapStatsd { host, port }
            | Action::Udp2log { host, port } => udp(host, *port),
        }
    }
}

impl Hook {
    /// Whether it is told this announcement.
    pub fn wants(&self, announcement: &Announcement) -> bool {
        self.scope.has(announcement.event, announcement.group.as_deref().unwrap_or_default())
    }
}
