//! Tells people and programs: [`Publisher`] takes events to Redis, [`send`] takes one [`Letter`] to every channel that is configured, at once and within a limit.
//!
//! Invariant: what was decided before is never changed by a dead channel; a letter that did not arrive is a line of the
//! answer, without any secret. Not here: what a letter says (`jobs`), and what is owed after a failure (`db::events`).

mod http;
mod mail;
mod redis;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use secrecy::SecretString;
use serde::Serialize;

pub use self::redis::{Bus, Message, Publisher};
pub use mail::{MailServer, MailTls};

/// All letters of a process together get this long; with what Redis gets it is 15 seconds (RELIABILITY F77).
pub const LIMIT: Duration = Duration::from_secs(10);

/// The time that is left for letters: a run with seven alarms and four dead channels waits no longer than one with one.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Mutex<Duration>>);

impl Default for Budget {
    fn default() -> Budget {
        Budget(Arc::new(Mutex::new(LIMIT)))
    }
}

impl Budget {
    /// Does something that may take as long as it is told, and takes the time that it took off.
    pub fn spend<T>(&self, work: impl FnOnce(Duration) -> T) -> T {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let value = work(*left);
        *left = left.saturating_sub(began.elapsed());
        value
    }
}

/// Where letters go; none by default.
#[derive(Debug, Clone, Default)]
pub struct Channels {
    /// A Discord webhook; its path is its password.
    pub discord: Option<SecretString>,
    /// Any URL that takes a JSON document.
    pub webhook: Option<SecretString>,
    /// E-mail.
    pub mail: Option<MailServer>,
}

/// How a letter is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mood {
    /// All is well.
    Good,
    /// Somebody should look.
    Warning,
}

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub title: String,
    /// A paragraph.
    pub text: String,
    /// Name and value, in order.
    pub fields: Vec<(String, String)>,
    /// How it is meant.
    pub mood: Mood,
    /// A file to go with it: its name and its bytes.
    pub file: Option<(String, Vec<u8>)>,
}

impl Letter {
    /// The letter as plain text.
    fn plain(&self) -> String {
        let mut text = format!("{}\n\n", self.text);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text
    }

    /// Without what a terminal, a header or a chat would take for a command: control characters.
    fn cleaned(&self) -> Letter {
        let clean = |text: &str| -> String {
            text.chars().filter(|c| !c.is_control() || *c == '\n').collect()
        };
        Letter {
            title: clean(&self.title).replace('\n', " "),
            text: clean(&self.text),
            fields: self.fields.iter().map(|(name, value)| (clean(name), clean(value))).collect(),
            mood: self.mood,
            file: self.file.clone(),
        }
    }
}

/// What became of a letter on one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// `discord`, `webhook` or `mail`.
    pub channel: &'static str,
    /// Why it did not arrive; none: it did.
    pub failed: Option<String>,
}

type Send = Box<dyn FnOnce(&Letter, Instant) -> Result<(), String> + std::marker::Send>;

/// Takes the letter to all channels at once; none of them may take longer than `limit`.
pub fn send(channels: &Channels, letter: &Letter, limit: Duration) -> Vec<Delivery> {
    let deadline = Instant::now() + limit;
    let letter = letter.cleaned();
    let mut ways: Vec<(&'static str, Send)> = Vec::new();
    if let Some(url) = channels.discord.clone() {
        ways.push(("discord", Box::new(move |letter, until| http::discord(&url, letter, until))));
    }
    if let Some(url) = channels.webhook.clone() {
        ways.push(("webhook", Box::new(move |letter, until| http::webhook(&url, letter, until))));
    }
    if let Some(server) = channels.mail.clone() {
        ways.push(("mail", Box::new(move |letter, until| mail::send(&server, letter, until))));
    }
    let pending: Vec<_> = ways
        .into_iter()
        .map(|(channel, way)| {
            let (sender, receiver) = mpsc::channel();
            let letter = letter.clone();
            // A peer that dribbles bytes keeps its thread; the process does not wait for it.
            thread::spawn(move || sender.send(way(&letter, deadline)));
            (channel, receiver)
        })
        .collect();
    pending
        .into_iter()
        .map(|(channel, receiver)| {
            let left = deadline.saturating_duration_since(Instant::now());
            let result = receiver.recv_timeout(left).unwrap_or_else(|_| {
                Err(format!("it did not take the letter within {} s", limit.as_secs()))
            });
            Delivery { channel, failed: result.err() }
        })
        .collect()
}
