//! What a hook is.

use std::path::PathBuf;
use std::time::Duration;

use crate::gates::Endpoint;

use super::announcement::{Announcement, EventKind};
use super::body::{Body, ContentType};

/// One hook of `hooks.yaml`, or one that Scap's keys ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    pub name: String,
    /// What it is told; never empty.
    pub on: Vec<EventKind>,
    /// For this group alone. What is about no group it is told all the same.
    pub group: Option<String>,
    /// For one try.
    pub timeout: Duration,
    /// Tries after the first one.
    pub retries: u32,
    /// A deployment does not begin without it.
    pub required: bool,
    pub action: Action,
}

/// Where a local datagram goes, or one by UDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    Socket(PathBuf),
    Udp { host: String, port: u16 },
}

/// A request to a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    pub endpoint: Endpoint,
    /// The file that holds the address, in place of the endpoint's.
    pub url_file: Option<PathBuf>,
    /// POST, PUT or PATCH.
    pub method: &'static str,
    /// `None`: the announcement itself, as JSON.
    pub body: Option<Body>,
    pub content: ContentType,
    pub headers: Vec<(String, String)>,
    /// Headers whose values are in files.
    pub secret_headers: Vec<(String, PathBuf)>,
    /// The key of the signature.
    pub hmac_secret_file: Option<PathBuf>,
    pub signature_header: String,
}

/// How it is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A command on the deploy host.
    Command {
        command: String,
        /// It is `/bin/sh`'s.
        shell: bool,
        /// Where it runs.
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
    /// Scap's line for IRC.
    Tcpircbot {
        host: String,
        port: u16,
    },
    /// Scap's measurement.
    ScapStatsd {
        host: String,
        port: u16,
    },
    /// Scap's record of its announcement, by UDP.
    Udp2log {
        host: String,
        port: u16,
    },
    /// The same for syslog.
    ScapSyslog {
        socket: PathBuf,
    },
}

impl Action {
    /// Its word in the configuration.
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

    /// Where it goes, for people. It holds no secret.
    pub fn place(&self) -> String {
        let udp = |host: &str, port: u16| format!("{host}:{port}");
        match self {
            Action::Command { command, .. } => command.clone(),
            // Its path may be a secret, as Slack's is.
            Action::Webhook(webhook) => match &webhook.url_file {
                Some(file) => format!("the address in {}", file.display()),
                None => crate::gates::client::place(&webhook.endpoint.url.fixed()).to_owned(),
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
    /// Whether it is told this.
    pub fn wants(&self, announcement: &Announcement) -> bool {
        let its_group = match (&self.group, &announcement.group) {
            (Some(own), Some(group)) => own == group,
            _ => true,
        };
        its_group && self.on.contains(&announcement.event)
    }
}
