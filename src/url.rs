//! Addresses that may hold a name and a password, and how the password stays out of sight.

/// The address without a password, to be stored and fetched from: without the name too, unless that is needed and no
/// secret, as over ssh.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host = rest.find('/').unwrap_or(rest.len());
    match rest[..host].rsplit_once('@') {
        Some((user, _)) if !user.contains(':') && !scheme.starts_with("http") => url.to_owned(),
        Some((user, _)) => format!("{scheme}://{}", &rest[user.len() + 1..]),
        None => url.to_owned(),
    }
}

/// Where an address leads, to be shown and kept: without names and passwords, and without the query and the fragment, in
/// which object stores have signatures.
pub fn place(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    without_password(&url[..end])
}

/// What stands for a name and a password that are not shown.
const HIDDEN: &str = "…";

/// Keys of the configuration whose values are addresses, with or without `scheme://`.
pub const ADDRESS_KEYS: [&str; 2] = ["git_server", "http_proxy"];

/// The address as it may be shown: without what stands ahead of its last `@`, if that is more than a name. By http the
/// name alone may be a token.
pub fn masked(address: &str) -> String {
    match credentials(address) {
        Some((start, end)) => format!("{}{HIDDEN}{}", &address[..start], &address[end..]),
        None => address.to_owned(),
    }
}

/// As [`masked`], of the value of `key:value` or `key=value`; in a value that is no address, of each address in it.
pub fn masked_define(define: &str) -> String {
    let Some((key, value)) = key_and_value(define) else { return define.to_owned() };
    let shown = if ADDRESS_KEYS.contains(&key.as_str()) { masked(value) } else { masked_words(value) };
    format!("{}{shown}", &define[..define.len() - value.len()])
}

/// Whether a part of a definition's value was taken out by [`masked_define`].
pub fn is_masked(define: &str) -> bool {
    key_and_value(define).is_some_and(|(_, value)| value.contains(&format!("{HIDDEN}@")))
}

/// A masked definition, with the words in place of which a name and a password are to be written.
pub fn to_fill_in(define: &str) -> String {
    define.replacen(&format!("{HIDDEN}@"), "USER:PASSWORD@", 1)
}

/// The key of `key:value` or `key=value`, in lower case, and the value.
pub fn key_and_value(define: &str) -> Option<(String, &str)> {
    let (key, value) = define.split_once([':', '='])?;
    Some((key.trim().to_lowercase(), value))
}

/// The text with each address in it masked. A password in it is as addresses allow it, without `/`.
fn masked_words(text: &str) -> String {
    let ends = |c: char| c.is_whitespace() || "'\"`,;|<>()".contains(c);
    let address = |word: &str| {
        let start = word.find("://").map_or(0, |at| at + 3);
        let authority = word[start..].split(['/', '?', '#']).next().unwrap_or_default();
        let Some((user, _)) = authority.rsplit_once('@') else { return word.to_owned() };
        // Without a scheme it may as well be a list of hosts with their ports.
        if start == 0 && user.contains('@') { word.to_owned() } else { masked(word) }
    };
    text.split_inclusive(ends)
        .map(|piece| {
            let word = piece.trim_end_matches(ends);
            address(word) + &piece[word.len()..]
        })
        .collect()
}

/// The text without the name and the password of an address that stands in it: programs quote what they were given.
pub fn mask_in(text: &str, address: &str) -> String {
    match credentials(address) {
        Some((start, end)) => text.replace(&address[start..end], HIDDEN),
        None => text.to_owned(),
    }
}

/// Where a name with a password, or a token, stands in an address.
fn credentials(address: &str) -> Option<(usize, usize)> {
    let start = address.find("://").map_or(0, |at| at + 3);
    let rest = &address[start..];
    let with_password = rest.rfind('@').filter(|end| rest[..*end].contains(':'));
    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let token = || rest[..host].rfind('@').filter(|end| *end > 0 && address.starts_with("http"));
    let end = with_password.or_else(|| token().filter(|_| start > 0))?;
    Some((start, start + end))
}

/// Who logs in to a server, as the server's address says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// `scheme://host`, with its port.
    pub server: String,
    pub user: String,
    pub password: String,
}

/// The name and the password in an address by http or https.
pub fn login(url: &str) -> Option<Login> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let (user, host) = rest.split('/').next()?.rsplit_once('@')?;
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let server = format!("{scheme}://{host}");
    let login = Login { server, user: decoded(user)?, password: decoded(password)? };
    let fits = |text: &String| !text.contains(|c: char| c.is_control());
    (fits(&login.user) && fits(&login.password) && fits(&login.server) && !login.server.contains('=')).then_some(login)
}

/// The text that is written with `%40` and the like.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let code = more.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| *first == b'%');
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &more[2..] } else { more };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_of_an_address() {
        for (address, taken) in [("https://u:p@h/x@y", "https://h/x@y"), ("https://token@h/x", "https://h/x")] {
            assert_eq!(without_password(address), taken);
        }
        for same in ["ssh://git@h/x", "git@h:x"] {
            assert_eq!(without_password(same), same);
        }
    }

    #[test]
    fn where_an_address_leads_is_shown_without_all_that_may_be_secret() {
        for url in ["https://h/a.tgz", "https://me:p@h/a.tgz", "https://h/a.tgz?X-Amz-Signature=s#sha256=0"] {
            assert_eq!(place(url), "https://h/a.tgz");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(masked("http://me:s3cret@p:1"), "http://…@p:1");
        assert_eq!(masked("me:s3cret@git/x"), "…@git/x");
        assert_eq!(masked("git@git.example.org:29418"), "git@git.example.org:29418");
        let said = mask_in("cannot reach http://me:s3cret@p:1/x", "http://me:s3cret@p:1");
        assert_eq!(said, "cannot reach http://…@p:1/x");
        assert_eq!(mask_in("as it is", "http://p:1"), "as it is");
    }

    #[test]
    fn a_definition_is_shown_without_passwords_and_what_is_none_stays() {
        for (define, shown) in [
            ("git_server:https://me:s3cret@git/x", "git_server:https://…@git/x"),
            ("Git_Server=me:s3:cr/et@git/x", "Git_Server=…@git/x"),
            ("git_server:https://token@git/x", "git_server:https://…@git/x"),
            ("htp_proxy=me:s3cret@p:1", "htp_proxy=…@p:1"),
            ("drain:curl 'http://me:s3cret@lb/out' http://x:y@z", "drain:curl 'http://…@lb/out' http://…@z"),
        ] {
            assert_eq!(masked_define(define), shown);
            assert!(is_masked(shown) && !is_masked(define), "{define}");
            assert_eq!(masked_define(shown), shown);
        }
        for same in [
            "ssh_user:me@host",
            "git_server:git@git.example.org:29418",
            "proxy_jump:me@a:22,you@b:22",
            "drain:curl http://lb:80/hosts/me@web01",
            "ssh_macs:hmac-sha2-256-etm@openssh.com,umac-128-etm@openssh.com",
        ] {
            assert_eq!(masked_define(same), same);
        }
        assert_eq!(to_fill_in("git_server:…@git/x"), "git_server:USER:PASSWORD@git/x");
    }

    #[test]
    fn who_logs_in_is_read_from_an_address_by_http_alone() {
        let login = login("https://me:p%40%3a%zz@h:8/x@y").unwrap();
        assert_eq!((&*login.server, &*login.user, &*login.password), ("https://h:8", "me", "p@:%zz"));
        assert_eq!(super::login("https://token@h/x").unwrap().user, "token");
        for none in ["ssh://me:p@h/x", "https://h/x@y", "me:p@h", "https://me:p%0a@h/x", "https://me:p@h=x/"] {
            assert_eq!(super::login(none), None, "{none}");
        }
    }
}
