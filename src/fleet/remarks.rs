//! What the operator should know of the work on the hosts and what no host said itself: of connections, keys, and
//! configurations. It waits here until the fleet is next deliver, and travels as a [`HostEvent`].

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::{Flow, HostEvent};
use crate::targets::Target;
use crate::wire::Level;

/// The most remarks of level `Debug` in one run: a `ProxyCommand` may say as much as it likes.
const MOST_DEBUG: usize = 10_000;

/// One remark.
#[derive(Debug, Clone, PartialEq)]
pub struct Remark {
    pub level: Level,
    /// The target that it is about, if it is about one.
    pub host: Option<Target>,
    pub message: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{host}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// The remarks that are queued.
#[derive(Debug, Default)]
pub struct Remarks(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    remarks: Vec<Remark>,
    debug: usize,
}

impl Remarks {
    /// Something that the operator should know.
    pub fn warn(&self, host: Option<&Target>, message: impl Into<String>) {
        self.add(Level::Warning, host, message.into());
    }

    /// Something that helps with troubleshooting.
    pub fn debug(&self, host: Option<&Target>, message: impl Into<String>) {
        self.add(Level::Debug, host, message.into());
    }

    /// Something that stops the run.
    pub fn error(&self, message: impl Into<String>) {
        self.add(Level::Error, None, message.into());
    }

    fn add(&self, level: Level, host: Option<&Target>, mut message: String) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if level == Level::Debug {
            waiting.debug += 1;
            match waiting.debug.checked_sub(MOST_DEBUG) {
                None => {}
                Some(0) => message = format!("there were {MOST_DEBUG} messages of this level: no more are shown"),
                Some(_) => return,
            }
        }
        waiting.remarks.push(Remark { level, host: host.cloned(), message });
    }

    /// Takes all queued remarks.
    pub fn take(&self) -> Vec<Remark> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).remarks)
    }

    /// Makes a call on a fleet and delivers the remarks between its events.
    pub(super) fn deliver(
        &self,
        on: &mut dyn FnMut(Vec<HostEvent>) -> Flow,
        call: impl FnOnce(&mut dyn FnMut(Vec<HostEvent>) -> Flow),
    ) {
        let waiting = || self.take().into_iter().map(HostEvent::Remark).collect::<Vec<_>>();
        call(&mut |events| {
            let mut all = waiting();
            all.extend(events);
            on(all)
        });
        let last = waiting();
        if !last.is_empty() {
            on(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::HostId;

    #[test]
    fn remarks_are_delivered_before_later_events_and_the_last_ones_too() {
        let remarks = Remarks::default();
        remarks.warn(Some(&"web1".parse().unwrap()), "one");
        let mut delivered = Vec::new();
        let mut on = |events: Vec<HostEvent>| {
            delivered.push(events);
            Flow::Continue
        };
        remarks.deliver(&mut on, |on| {
            on(vec![HostEvent::Started(HostId::new(0))]);
            remarks.debug(None, "two");
        });
        let remark = |level, host: Option<&str>, message: &str| {
            let host = host.map(|host| host.parse().unwrap());
            HostEvent::Remark(Remark { level, host, message: message.into() })
        };
        let first = vec![remark(Level::Warning, Some("web1"), "one"), HostEvent::Started(HostId::new(0))];
        assert_eq!(delivered, [first, vec![remark(Level::Debug, None, "two")]]);
    }

    #[test]
    fn remarks_that_never_end_are_cut_off_and_warnings_are_not() {
        let remarks = Remarks::default();
        (0..MOST_DEBUG + 100).for_each(|number| remarks.debug(None, number.to_string()));
        remarks.warn(None, "still delivered");
        let taken = remarks.take();
        assert_eq!(taken.len(), MOST_DEBUG + 1);
        assert!(taken[MOST_DEBUG - 1].message.contains("no more"), "{:?}", taken[MOST_DEBUG - 1]);
        assert_eq!(taken[MOST_DEBUG].message, "still delivered");
    }
}
