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

/// The address as it may be shown: without what stands ahead of its last `@`, if that is more than a name.
pub fn masked(address: &str) -> String {
    match credentials(address) {
        Some((start, end)) => format!("{}…{}", &address[..start], &address[end..]),
        None => address.to_owned(),
    }
}

/// As [`masked`], of the value of `key:value` or `key=value`.
pub fn masked_value(define: &str) -> String {
    match define.find([':', '=']) {
        Some(at) => format!("{}{}", &define[..=at], masked(&define[at + 1..])),
        None => define.to_owned(),
    }
}

/// The text without the name and the password of an address that stands in it: programs quote what they were given.
pub fn mask_in(text: &str, address: &str) -> String {
    match credentials(address) {
        Some((start, end)) => text.replace(&address[start..end], "…"),
        None => text.to_owned(),
    }
}

/// Where a name with a password stands in an address.
fn credentials(address: &str) -> Option<(usize, usize)> {
    let start = address.find("://").map_or(0, |at| at + 3);
    let end = start + address[start..].rfind('@')?;
    address[start..end].contains(':').then_some((start, end))
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
    fn an_address_is_shown_without_its_password() {
        assert_eq!(masked("http://me:s3cret@p:1"), "http://…@p:1");
        assert_eq!(masked("me:s3cret@git/x"), "…@git/x");
        assert_eq!(masked("git@git.example.org:29418"), "git@git.example.org:29418");
        let said = mask_in("cannot reach http://me:s3cret@p:1/x", "http://me:s3cret@p:1");
        assert_eq!(said, "cannot reach http://…@p:1/x");
        assert_eq!(mask_in("as it is", "http://p:1"), "as it is");
    }
}
