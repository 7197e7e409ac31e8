//! How Hoist treats each option of OpenSSH's configuration, in one table; a test compares hoist.cfg(5) with it.

/// What Hoist does with an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The option is followed.
    Honoured,
    /// The option has no effect on a session that runs commands without a terminal and never asks for a password.
    Ignored,
    /// It would change where or how to connect, which Hoist does not support: an error, unless the value is one of
    /// these, as `ssh -G` prints it.
    Refused(&'static [&'static str]),
    /// The same, unless its list contains this word.
    RefusedWithout(&'static str),
}

use Use::{Honoured, Ignored, Refused, RefusedWithout};

/// An option that is not in the table is refused too: it is newer than the table.
pub const OPTIONS: &[(&str, Use)] = &[
    ("AddressFamily", Honoured),
    ("CertificateFile", Honoured),
    ("Ciphers", Honoured),
    ("ConnectTimeout", Honoured),
    ("GlobalKnownHostsFile", Honoured),
    ("HostKeyAlgorithms", Honoured),
    ("HostKeyAlias", Honoured),
    ("HostName", Honoured),
    ("IdentitiesOnly", Honoured),
    ("IdentityAgent", Honoured),
    ("IdentityFile", Honoured),
    ("KexAlgorithms", Honoured),
    ("KnownHostsCommand", Honoured),
    ("MACs", Honoured),
    ("Port", Honoured),
    ("ProxyCommand", Honoured),
    ("ProxyJump", Honoured),
    ("ServerAliveCountMax", Honoured),
    ("ServerAliveInterval", Honoured),
    ("StrictHostKeyChecking", Honoured),
    ("User", Honoured),
    ("UserKnownHostsFile", Honoured),
    // `ssh -G` has applied these already.
    ("CanonicalDomains", Ignored),
    ("CanonicalizeFallbackLocal", Ignored),
    ("CanonicalizeHostname", Ignored),
    ("CanonicalizeMaxDots", Ignored),
    ("CanonicalizePermittedCNAMEs", Ignored),
    ("IgnoreUnknown", Ignored),
    ("Tag", Ignored),
    ("AddKeysToAgent", Ignored),
    ("BatchMode", Ignored),
    ("CASignatureAlgorithms", Ignored),
    ("ChannelTimeout", Ignored),
    ("CheckHostIP", Ignored),
    ("ClearAllForwardings", Ignored),
    ("Compression", Ignored),
    ("ConnectionAttempts", Ignored),
    ("ControlMaster", Ignored),
    ("ControlPath", Ignored),
    ("ControlPersist", Ignored),
    ("DynamicForward", Ignored),
    ("EnableEscapeCommandline", Ignored),
    ("EnableSSHKeysign", Ignored),
    ("EscapeChar", Ignored),
    ("ExitOnForwardFailure", Ignored),
    ("FingerprintHash", Ignored),
    ("ForkAfterAuthentication", Ignored),
    ("ForwardAgent", Ignored),
    ("ForwardX11", Ignored),
    ("ForwardX11Timeout", Ignored),
    ("ForwardX11Trusted", Ignored),
    ("GatewayPorts", Ignored),
    ("GSSAPIAuthentication", Ignored),
    ("GSSAPIClientIdentity", Ignored),
    ("GSSAPIDelegateCredentials", Ignored),
    ("GSSAPIKexAlgorithms", Ignored),
    ("GSSAPIRenewalForcesRekey", Ignored),
    ("GSSAPIServerIdentity", Ignored),
    ("GSSAPITrustDns", Ignored),
    ("HashKnownHosts", Ignored),
    ("HostbasedAcceptedAlgorithms", Ignored),
    ("IPQoS", Ignored),
    ("KbdInteractiveAuthentication", Ignored),
    ("KbdInteractiveDevices", Ignored),
    ("LocalCommand", Ignored),
    ("LocalForward", Ignored),
    ("LogLevel", Ignored),
    ("LogVerbose", Ignored),
    ("NoHostAuthenticationForLocalhost", Ignored),
    ("NumberOfPasswordPrompts", Ignored),
    ("ObscureKeystrokeTiming", Ignored),
    ("PasswordAuthentication", Ignored),
    ("PermitLocalCommand", Ignored),
    ("PermitRemoteOpen", Ignored),
    ("PubkeyAcceptedAlgorithms", Ignored),
    ("RekeyLimit", Ignored),
    ("RemoteForward", Ignored),
    ("RequestTTY", Ignored),
    ("RequiredRSASize", Ignored),
    ("SendEnv", Ignored),
    ("SetEnv", Ignored),
    ("StdinNull", Ignored),
    ("StreamLocalBindMask", Ignored),
    ("StreamLocalBindUnlink", Ignored),
    ("SyslogFacility", Ignored),
    ("TCPKeepAlive", Ignored),
    ("Tunnel", Ignored),
    ("TunnelDevice", Ignored),
    ("UpdateHostKeys", Ignored),
    ("VersionAddendum", Ignored),
    ("VisualHostKey", Ignored),
    ("WarnWeakCrypto", Ignored),
    ("XAuthLocation", Ignored),
    // Ways to log in or to verify a host key that Hoist does not have. Without them it is stricter, never less strict.
    ("GSSAPIKeyExchange", Ignored),
    ("HostbasedAuthentication", Ignored),
    ("PKCS11Provider", Ignored),
    ("SecurityKeyProvider", Ignored),
    ("VerifyHostKeyDNS", Ignored),
    // Names that older clients print.
    ("ChallengeResponseAuthentication", Ignored),
    ("Cipher", Ignored),
    ("CompressionLevel", Ignored),
    ("HostbasedKeyTypes", Ignored),
    ("Protocol", Ignored),
    ("PubkeyAcceptedKeyTypes", Ignored),
    ("RhostsRSAAuthentication", Ignored),
    ("RSAAuthentication", Ignored),
    ("RSAMinSize", Ignored),
    ("UsePrivilegedPort", Ignored),
    ("UseRoaming", Ignored),
    ("BindAddress", Refused(&[])),
    ("BindInterface", Refused(&[])),
    ("PreferredAuthentications", RefusedWithout("publickey")),
    ("ProxyUseFdpass", Refused(&["no"])),
    ("PubkeyAuthentication", Refused(&["true", "yes", "unbound", "host-bound"])),
    ("RefuseConnection", Refused(&[])),
    ("RemoteCommand", Refused(&["none"])),
    ("RevokedHostKeys", Refused(&["none"])),
    ("SessionType", Refused(&["default"])),
];

/// Why an option (in any letter case) with this value is refused, if it is; with the option as ssh_config(5) spells it.
pub fn refusal(option: &str, value: &str) -> Option<(String, &'static str)> {
    let found = OPTIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(option));
    let Some((name, usage)) = found else {
        return Some((option.to_owned(), "is an unknown option"));
    };
    let fits = match usage {
        Honoured | Ignored => true,
        Refused(values) => values.contains(&value),
        RefusedWithout(word) => value.split(',').any(|part| part.trim() == *word),
    };
    (!fits).then(|| ((*name).to_owned(), "is not supported by hoist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_would_change_how_a_host_is_reached_is_refused_by_its_name() {
        for (option, value, refused) in [
            ("bindaddress", "10.0.0.1", Some("BindAddress")),
            ("addressfamily", "inet6", None),
            ("preferredauthentications", "gssapi-with-mic,publickey", None),
            ("preferredauthentications", "password,keyboard-interactive", Some("PreferredAuthentications")),
            ("pubkeyauthentication", "false", Some("PubkeyAuthentication")),
            ("gssapiauthentication", "yes", None),
            ("verifyhostkeydns", "yes", None),
            ("pubkeyacceptedkeytypes", "ssh-ed25519", None),
            ("hostname", "10.0.0.1", None),
            ("frobnicate", "yes", Some("frobnicate")),
        ] {
            assert_eq!(refusal(option, value).map(|(name, _)| name).as_deref(), refused, "{option} {value}");
        }
    }
}
