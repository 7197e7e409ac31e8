//! Why a server refused the login, as far as it tells, as a message for the operator.

/// The reason of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::fleet::ssh) enum Reason {
    /// No key was offered, or none was accepted.
    NoKey,
    /// The server takes no keys from this user.
    NoPublickey,
    /// A key was accepted, but the server also requires these methods.
    MoreWanted { key: String, wanted: Vec<String> },
    /// A key was accepted, but the login was refused.
    NotAllowed { key: String },
    /// A key was accepted, but the connection was closed, twice.
    Closed { key: String },
}

/// Why the login was refused.
#[derive(Debug)]
pub(in crate::fleet::ssh) struct Refusal {
    pub reason: Reason,
    /// The keys that the server refused.
    pub tried: Vec<String>,
    /// Why other keys were not offered.
    pub not_offered: Vec<String>,
    /// What may be wrong with the certificates that it refused.
    pub certificate_problems: Vec<String>,
    /// The authentication methods that the server offers; empty: unknown.
    pub methods: Vec<String>,
    /// The server's message.
    pub said: Vec<String>,
}

impl Refusal {
    /// The message, as one fragment.
    pub fn message(&self, host: &str, user: &str) -> String {
        let besides = |label: &str, texts: &[String]| match texts.is_empty() {
            true => String::new(),
            false => format!("; {label}{}", texts.join("; ")),
        };
        let said: Vec<String> = self.said.iter().map(|text| format!("{text:?}")).collect();
        self.reason_message(host, user) + &besides("", &self.certificate_problems) + &besides("the server says ", &said)
    }

    fn reason_message(&self, host: &str, user: &str) -> String {
        let not_offered = self.not_offered.join("; ");
        let offers = match self.methods.is_empty() {
            true => String::new(),
            false => format!("; the server offers {}", self.methods.join(",")),
        };
        match &self.reason {
            Reason::NoKey if self.tried.is_empty() => format!("cannot log in to {host} as {user}: {not_offered}"),
            Reason::NoKey => {
                let besides = if not_offered.is_empty() { not_offered } else { format!("; not tried: {not_offered}") };
                format!(
                    "every key was refused for user {user} on {host} (tried {}: {}{offers}): add one of them to the \
                     authorized_keys of {user} there, or look in the log of its sshd for the reason{besides}",
                    self.tried.len(),
                    self.tried.join(", ")
                )
            }
            Reason::NoPublickey => format!(
                "{host} does not accept keys of user {user}: it offers only {}; allow publickey there \
                 (PubkeyAuthentication and AuthenticationMethods in its sshd_config)",
                self.methods.join(",")
            ),
            Reason::MoreWanted { key, wanted } => format!(
                "{host} accepted {key} for user {user}, and also requires {} (AuthenticationMethods in its \
                 sshd_config): hoist cannot do that, so allow this user to log in with a key only",
                wanted.join(" or ")
            ),
            Reason::NotAllowed { key } if user == "root" => format!(
                "{host} accepted {key}, but refused to log in root, as sshd does with PermitRootLogin no, or if a \
                 second key is required (AuthenticationMethods){offers}: allow root with a key there, or name another \
                 user as ssh_user"
            ),
            Reason::NotAllowed { key } => format!(
                "{host} accepted {key} for user {user}, but refused the login{offers}: a second key may be required \
                 (AuthenticationMethods in its sshd_config), or the account may be disabled; see the log of its sshd"
            ),
            Reason::Closed { key } => format!(
                "{host} accepted {key} for user {user}, but then closed the connection, as for an account that has \
                 expired or is disabled, or while /etc/nologin exists: see the log of its sshd"
            ),
        }
    }
}
