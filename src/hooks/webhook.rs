//! Sends an announcement as an HTTP request.

use std::fmt::Write;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::gates::client::{Failure, Outgoing};
use crate::gates::{Subject, client, secret};

use super::announcement::Announcement;
use super::body::json;
use super::hook::Webhook;

/// The length in bytes from which on a path can be a secret.
const SECRET_PATH: usize = 8;

/// Sends the request; any status other than 2xx is a failure.
pub fn send(webhook: &Webhook, announcement: &Announcement, timeout: Duration) -> Result<(), String> {
    let body = match &webhook.body {
        Some(body) => body.fill(announcement, webhook.content),
        None => json(announcement),
    };
    let mut secrets = Vec::new();
    let mut headers = vec![
        ("Content-Type".to_owned(), webhook.content.header().to_owned()),
        ("X-Hoist-Event".to_owned(), announcement.event.to_string()),
        ("X-Hoist-Id".to_owned(), announcement.id.clone()),
    ];
    headers.retain(|(name, _)| !webhook.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)));
    headers.extend(webhook.headers.iter().cloned());
    for (name, file) in &webhook.secret_headers {
        let value = secret::read_for_header(file)?;
        secrets.push(value.clone());
        headers.push((name.clone(), value));
    }
    if let Some(file) = &webhook.hmac_secret_file {
        let key = secret::read(file)?;
        headers.push((webhook.signature_header.clone(), format!("sha256={}", signature(&key, &body)?)));
        secrets.push(key);
    }
    let subject = Subject {
        revision: announcement.about.revision.clone(),
        previous_revision: announcement.about.previous_revision.clone().unwrap_or_default(),
        group: announcement.group.clone().unwrap_or_default(),
        ..Subject::default()
    };
    let url = match &webhook.url_file {
        Some(file) => {
            let url = secret::read(file)?;
            if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
                return Err(format!("{} contains no URL that begins with http:// or https://", file.display()));
            }
            // The secret may be in the path, which a redirect or a message of the server repeats without the rest.
            let path = url.splitn(4, '/').nth(3).filter(|path| path.len() >= SECRET_PATH).map(str::to_owned);
            secrets.extend([Some(url.clone()), path].into_iter().flatten());
            url
        }
        None => webhook.endpoint.url.in_url(&subject),
    };
    let outgoing = Outgoing { method: webhook.method, headers, body: body.into_bytes(), secrets };
    let answer = client::send(&webhook.endpoint, &url, outgoing, timeout).map_err(Failure::into_text)?;
    match answer.status {
        200..300 => Ok(()),
        status => {
            let said = match &answer.redirects_to {
                Some(to) => format!("a redirect to {to}, which is not followed: correct the url"),
                None => answer.excerpt(),
            };
            let said = if said.is_empty() { said } else { format!(": {said}") };
            Err(format!("{} answers with HTTP status {status}{said}", client::authority(&url)))
        }
    }
}

/// The HMAC-SHA256 of the body in hexadecimal.
fn signature(key: &str, body: &str) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|error| error.to_string())?;
    mac.update(body.as_bytes());
    Ok(mac.finalize().into_bytes().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_signed_as_others_sign_theirs() {
        // Expected value from `printf 'Hello, World!' | openssl dgst -sha256 -hmac "It's a Secret to Everybody"`.
        let expected = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature("It's a Secret to Everybody", "Hello, World!").unwrap(), expected);
    }
}
