//! Alerts: one open row a cause, told to the configured channels once for each cool-down, and once more when it is over.
//!
//! Telling never fails what is told about: a dead channel is a line of text. Not here: channels (`notify`), rows (`db::alerts`).

use crate::{
    config::App,
    db::Db,
    lineage::LineName,
    notify::{self, Delivery, Letter, Mood},
};

/// Raises an alert and tells people where it is time to. Returns what did not arrive, in words.
///
/// # Errors
/// When the database fails.
pub(crate) fn raise(
    app: &App,
    db: &mut Db,
    line: &LineName,
    cause: &str,
    message: &str,
) -> anyhow::Result<Vec<String>> {
    if !db.raise_alert(line, cause, "critical", message, app.as_of)? {
        return Ok(Vec::new());
    }
    let told = tell(app, &format!("aifx: {line} needs you"), message, Mood::Warning);
    if told.iter().any(|one| one.failed.is_none()) {
        db.alert_told(cause)?;
    }
    Ok(failures(&told))
}

/// Closes the alert of a cause that is gone, and tells people who heard of it.
///
/// # Errors
/// When the database fails.
pub(crate) fn resolve(
    app: &App,
    db: &mut Db,
    line: &LineName,
    cause: &str,
) -> anyhow::Result<Vec<String>> {
    if !db.resolve_alert(cause, app.as_of)? {
        return Ok(Vec::new());
    }
    let text = format!("{cause} is over");
    Ok(failures(&tell(app, &format!("aifx: {line} has recovered"), &text, Mood::Good)))
}

fn tell(app: &App, title: &str, text: &str, mood: Mood) -> Vec<Delivery> {
    let letter = Letter {
        title: title.to_owned(),
        text: text.to_owned(),
        fields: vec![("home".to_owned(), app.home.display().to_string())],
        mood,
        file: None,
    };
    match app.channels() {
        Ok(channels) => app.letters.spend(|left| notify::send(&channels, &letter, left)),
        Err(fault) => vec![Delivery { channel: "mail", failed: Some(fault.to_string()) }],
    }
}

fn failures(told: &[Delivery]) -> Vec<String> {
    let text = |one: &Delivery| {
        let why = one.failed.as_ref()?;
        Some(format!("an alert did not go to {}: {why}", one.channel))
    };
    told.iter().filter_map(text).collect()
}
