//! Letters by e-mail, through the operator's own SMTP server.

use std::time::{Duration, Instant};

use lettre::{
    Message, SmtpTransport, Transport,
    message::{Attachment, Mailbox, MultiPart, SinglePart, header::ContentType},
    transport::smtp::authentication::Credentials,
};
use secrecy::{ExposeSecret, SecretString};

use super::Letter;

/// One answer of the server may take this long.
const ANSWER: Duration = Duration::from_secs(10);

/// How the way to the server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// STARTTLS, and nothing is said before it (port 587).
    Starttls,
    /// From the first byte on (port 465).
    Wrapped,
    /// Not at all: for a server on this machine (port 25).
    Without,
}

/// A mail server and whom to write to.
#[derive(Debug, Clone)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is reached.
    pub tls: MailTls,
    /// Name and password, where it asks for them.
    pub login: Option<(String, SecretString)>,
    /// The sender.
    pub from: String,
    /// Those who get it.
    pub to: Vec<String>,
}

pub(super) fn send(server: &MailServer, letter: &Letter, until: Instant) -> Result<(), String> {
    let message = message(server, letter)?;
    let builder = match server.tls {
        MailTls::Starttls => SmtpTransport::starttls_relay(&server.host),
        MailTls::Wrapped => SmtpTransport::relay(&server.host),
        MailTls::Without => Ok(SmtpTransport::builder_dangerous(&server.host)),
    };
    let left = until.saturating_duration_since(Instant::now());
    let mut builder = builder
        .map_err(|error| error.to_string())?
        .port(server.port)
        .timeout(Some(left.min(ANSWER)));
    if let Some((name, password)) = &server.login {
        let login = Credentials::new(name.clone(), password.expose_secret().to_owned());
        builder = builder.credentials(login);
    }
    builder.build().send(&message).map(drop).map_err(|error| error.to_string())
}

fn message(server: &MailServer, letter: &Letter) -> Result<Message, String> {
    let mailbox = |text: &str| -> Result<Mailbox, String> {
        text.trim().parse().map_err(|error| format!("{text:?} is no address: {error}"))
    };
    let mut builder = Message::builder().from(mailbox(&server.from)?).subject(&letter.title);
    for to in &server.to {
        builder = builder.to(mailbox(to)?);
    }
    let text = SinglePart::plain(letter.plain());
    let built = match &letter.file {
        None => builder.singlepart(text),
        Some((name, bytes)) => {
            let file = Attachment::new(name.clone()).body(bytes.clone(), ContentType::TEXT_HTML);
            builder.multipart(MultiPart::mixed().singlepart(text).singlepart(file))
        }
    };
    built.map_err(|error| error.to_string())
}
