//! One attempt to send one announcement to one receiver.

use crate::gates::Stop;
use crate::gates::command;
use crate::gates::command::CommandLine;

use super::announcement::Announcement;
use super::body::json;
use super::hook::{Action, Hook, Receiver};
use super::variables::{VARIABLES, value};
use super::{mail, scap, sockets, statsd, webhook};

/// Sends the announcement, within the hook's time limit.
///
/// # Errors
/// Why it was not sent, without secrets.
pub fn send(hook: &Hook, announcement: &Announcement) -> Result<(), String> {
    let timeout = hook.timeout;
    match &hook.action {
        Action::Command { command, shell, folder } => {
            let line = CommandLine { line: command, shell: *shell, folder };
            let variables: Vec<(String, String)> =
                VARIABLES.iter().map(|name| (name.to_uppercase(), value(announcement, name))).collect();
            let variables = variables.iter().map(|(name, value)| (name.as_str(), value.clone()));
            let input = (json(announcement) + "\n").into_bytes();
            command::run(line, variables, Some(input), timeout, &Stop::never())?.ended_well()
        }
        Action::Webhook(webhook) => webhook::send(webhook, announcement, timeout),
        Action::Journald { socket } => sockets::datagram(socket, &sockets::journald(announcement)),
        Action::Syslog { to } => match to {
            Receiver::Socket(socket) => sockets::datagram(socket, sockets::syslog(announcement).as_bytes()),
            Receiver::Udp { host, port } => sockets::udp(host, *port, &[sockets::syslog(announcement)]),
        },
        Action::Statsd { host, port, prefix } => sockets::udp(host, *port, &statsd::metrics(announcement, prefix)),
        Action::Mail { to, from, sendmail } => mail::send((to, from.as_deref(), sendmail), announcement, timeout),
        Action::Tcpircbot { host, port } => match scap::irc_line(announcement) {
            Some(line) => sockets::tcp(host, *port, line.as_bytes(), timeout),
            None => Ok(()),
        },
        Action::ScapStatsd { host, port } => sockets::udp(host, *port, &scap::timing(announcement)),
        Action::Udp2log { host, port } => {
            let lines: Vec<String> =
                scap::record(announcement).iter().map(|record| format!("scap {record}\n")).collect();
            sockets::udp(host, *port, &lines)
        }
        Action::ScapSyslog { socket } => match scap::record(announcement) {
            // Facility user, level info; the byte at the end is Python's.
            Some(record) => sockets::datagram(socket, format!("<14>scap: @cee: {record}\0").as_bytes()),
            None => Ok(()),
        },
    }
}
