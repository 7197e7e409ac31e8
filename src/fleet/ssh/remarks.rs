//! Remarks about the connection to one host.

use super::route::Route;

impl Route {
    /// A remark for the operator about the connection to this host.
    pub(super) fn warn(&self, message: &str) {
        self.network.remarks.warn(self.target.as_ref(), self.of_this_host(message));
    }

    /// Details for debugging.
    pub(super) fn debug(&self, message: &str) {
        self.network.remarks.debug(self.target.as_ref(), self.of_this_host(message));
    }

    /// Receives the standard error of its `ProxyCommand`.
    pub(super) fn listener(&self) -> impl Fn(&str) + Send + 'static {
        let (remarks, target, head) =
            (self.network.remarks.clone(), self.target.clone(), self.of_this_host("ProxyCommand: "));
        move |said| remarks.debug(target.as_ref(), format!("{head}{said}"))
    }

    /// A jump host is named in the message itself.
    fn of_this_host(&self, message: &str) -> String {
        match &self.target {
            Some(_) => message.to_owned(),
            None => format!("jump host {}: {message}", self.name),
        }
    }
}
