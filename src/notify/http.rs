//! Letters over HTTP: a Discord webhook (embed and file), and any URL that takes JSON.
//!
//! No redirect is followed: the address is what the operator wrote, not what a server makes of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{Letter, Mood};

/// More of an answer is not read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
/// Discord's limits, in characters: title, description, name and value of a field; fields of an embed.
const TITLE: usize = 256;
const DESCRIPTION: usize = 4096;
const FIELD: usize = 1024;
const FIELDS: usize = 25;

pub(super) fn discord(url: &SecretString, letter: &Letter, until: Instant) -> Result<(), String> {
    let fields: Vec<Value> = letter
        .fields
        .iter()
        .take(FIELDS)
        .map(|(name, value)| json!({"name": cut(name, TITLE), "value": cut(value, FIELD), "inline": true}))
        .collect();
    let document = json!({
        "embeds": [{
            "title": cut(&letter.title, TITLE),
            "description": cut(&letter.text, DESCRIPTION),
            "color": match letter.mood { Mood::Good => 0x2e_8b_57, Mood::Warning => 0xd9_8e_04 },
            "fields": fields,
        }],
        // Whatever a name or a reason says, nobody is called by it.
        "allowed_mentions": {"parse": []},
    });
    match &letter.file {
        None => post(url, "application/json", document.to_string().as_bytes(), until),
        Some((name, bytes)) => {
            let (kind, body) = form(&document.to_string(), name, bytes);
            post(url, &kind, &body, until)
        }
    }
}

pub(super) fn webhook(url: &SecretString, letter: &Letter, until: Instant) -> Result<(), String> {
    let fields: serde_json::Map<String, Value> =
        letter.fields.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let document = json!({
        "schema": "aifx.notice/1",
        "title": letter.title,
        "text": letter.text,
        "mood": letter.mood,
        "fields": fields,
    });
    post(url, "application/json", document.to_string().as_bytes(), until)
}

fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

/// `multipart/form-data` (RFC 7578) of a JSON document and a file, as Discord takes them.
fn form(document: &str, name: &str, bytes: &[u8]) -> (String, Vec<u8>) {
    let boundary = format!("aifx-{}", uuid::Uuid::now_v7().simple());
    let name: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\
         Content-Type: application/json\r\n\r\n{document}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

/// Posts, and once more where the server asks to wait and the time allows it.
fn post(url: &SecretString, kind: &str, body: &[u8], until: Instant) -> Result<(), String> {
    let address = url.expose_secret();
    if !is_allowed(address) {
        return Err("its URL is neither https nor on this machine".to_owned());
    }
    loop {
        let (status, answer) = once(address, kind, body, until)?;
        let wait = match status {
            200..300 => return Ok(()),
            429 => retry_after(&answer),
            300..400 => {
                return Err(format!("it redirects (status {status}), which is not followed"));
            }
            _ => return Err(format!("it answered with status {status}")),
        };
        match wait {
            Some(wait) if Instant::now() + wait < until => thread::sleep(wait),
            Some(wait) => {
                return Err(format!("it asks to wait for {} s (status 429)", wait.as_secs()));
            }
            None => return Err("it asks to wait (status 429)".to_owned()),
        }
    }
}

fn once(address: &str, kind: &str, body: &[u8], until: Instant) -> Result<(u16, String), String> {
    let left = until.saturating_duration_since(Instant::now());
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(left))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("aifx/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut response = agent
        .post(address)
        .header("Content-Type", kind)
        .send(body)
        // The client's words may hold the address, and its path is a password.
        .map_err(|error| without_address(&error.to_string(), address))?;
    let answer = response
        .body_mut()
        .with_config()
        .limit(MAX_ANSWER_BYTES)
        .read_to_string()
        .unwrap_or_default();
    Ok((response.status().as_u16(), answer))
}

fn without_address(text: &str, address: &str) -> String {
    let path = address.split_once("://").map_or(address, |(_, rest)| rest);
    let path = path.split_once('/').map_or("", |(_, path)| path);
    let text = text.replace(address, "its URL");
    if path.is_empty() { text } else { text.replace(path, "***") }
}

/// Encrypted, or never leaving this machine.
fn is_allowed(address: &str) -> bool {
    let Some(rest) = address.strip_prefix("http://") else {
        return address.starts_with("https://");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Seconds, as Discord puts them into the body.
fn retry_after(answer: &str) -> Option<Duration> {
    let document: Value = serde_json::from_str(answer).ok()?;
    let seconds = document.get("retry_after")?.as_f64().filter(|s| (0.0..86_400.0).contains(s))?;
    Some(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_or_local_addresses_are_allowed_and_none_is_ever_shown() {
        for (address, allowed) in [
            ("https://discord.com/api/webhooks/1/token", true),
            ("http://127.0.0.1:8080/hook", true),
            ("http://[::1]:8080/hook", true),
            ("http://localhost/hook", true),
            ("http://169.254.169.254/latest", false),
            ("http://127.0.0.1.example/hook", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(is_allowed(address), allowed, "{address}");
        }
        let address = "https://discord.com/api/webhooks/1/t0ken";
        let shown =
            without_address("io: https://discord.com/api/webhooks/1/t0ken refused", address);
        assert_eq!(shown, "io: its URL refused");
        assert_eq!(without_address("GET /api/webhooks/1/t0ken", address), "GET /***");
    }

    #[test]
    fn long_texts_end_within_discords_limits() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(retry_after(r#"{"retry_after": 0.5}"#), Some(Duration::from_millis(500)));
        assert_eq!(retry_after(r#"{"retry_after": -1}"#), None);
        assert_eq!(retry_after("<html>"), None);
    }
}
