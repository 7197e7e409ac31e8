//! What users and hosts may be called. Names end up as arguments of programs, in file names and in messages: these rules
//! keep all of that safe, so they stand here and nowhere else.

/// Whether names of users and hosts may hold this character.
pub fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-".contains(c)
}

/// Why this cannot be a user's name.
pub fn check_user(user: &str) -> Result<(), &'static str> {
    match user.is_empty() || user.starts_with('-') || !user.chars().all(is_name_character) {
        true => Err("letters, digits, '.', '_' and '-' only"),
        false => Ok(()),
    }
}

/// Why this cannot be a host's name or address.
pub fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("it is empty".into());
    }
    if host.contains(':') {
        return host.parse::<std::net::Ipv6Addr>().map(drop).map_err(|_| "it is not an IPv6 address".into());
    }
    if host.len() > 253 {
        return Err("it is longer than 253 characters".into());
    }
    if let Some(bad) = host.chars().find(|c| !is_name_character(*c)) {
        return Err(format!("{bad:?} is not allowed in a name"));
    }
    if host.starts_with(['-', '.']) || host.contains("..") {
        return Err("it must not begin with '-' or '.', or contain an empty label".into());
    }
    if host.split('.').any(|label| label.len() > 63) {
        return Err("a label of it is longer than 63 characters".into());
    }
    Ok(())
}

/// Refuses a part of a host's name or address that holds a character which is in none.
pub fn check_host_part(part: &str) -> Result<(), String> {
    match part.chars().find(|c| !is_name_character(*c) && *c != ':') {
        Some(bad) => Err(format!("{bad:?} is not allowed in a host name: write the name only, without user and port")),
        None => Ok(()),
    }
}
