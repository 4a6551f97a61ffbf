//! The file lock of a line: freed by the kernel when its holder dies, whatever it dies of.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::unix::fs::MetadataExt,
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::{DateTime, SecondsFormat};
use rustix::{
    fs::{FlockOperation, flock},
    io::{Errno, retry_on_intr},
};
use serde::{Deserialize, Serialize};

use super::process;
use crate::{artifact::LineDir, fault::Fault, lineage::LineName};

const FILE: &str = ".lock";
const POLL: Duration = Duration::from_millis(50);

/// Who holds a lock, written into it for those who wait; the lock itself is the kernel's.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    command: String,
    pid: i32,
    host: String,
}

/// Takes the lock and says when that was, by the file system's clock (seconds since 1970).
pub(super) fn acquire(dir: &LineDir, wait: Duration, command: &str) -> anyhow::Result<(File, i64)> {
    let mut file = dir.open_own_file(FILE)?;
    let deadline = Instant::now() + wait;
    loop {
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(POLL.min(deadline.saturating_duration_since(Instant::now())));
            }
            Err(Errno::WOULDBLOCK) => return Err(held(&mut file, dir.line())),
            Err(errno) => {
                return Err(Fault::resource(std::io::Error::from(errno)))
                    .with_context(|| format!("cannot lock {}", dir.path().join(FILE).display()));
            }
        }
    }
    let at_s = sign(&mut file, command)
        .map_err(Fault::resource)
        .with_context(|| format!("cannot write {}", dir.path().join(FILE).display()))?;
    Ok((file, at_s))
}

fn sign(file: &mut File, command: &str) -> std::io::Result<i64> {
    let me = process::current();
    let holder = Holder { command: command.to_owned(), pid: me.pid, host: me.host };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(serde_json::to_string(&holder)?.as_bytes())?;
    Ok(file.metadata()?.mtime())
}

fn held(file: &mut File, line: &LineName) -> anyhow::Error {
    let since = file
        .metadata()
        .ok()
        .and_then(|metadata| DateTime::from_timestamp(metadata.mtime(), 0))
        .map(|at| format!(" since {}", at.to_rfc3339_opts(SecondsFormat::Secs, true)))
        .unwrap_or_default();
    let mut text = String::new();
    let holder = file
        .rewind()
        .and_then(|()| file.take(4096).read_to_string(&mut text))
        .ok()
        .and_then(|_| serde_json::from_str::<Holder>(&text).ok())
        .map(|Holder { command, pid, host }| format!("{command}, process {pid} on {host},"))
        .unwrap_or_else(|| "another run".into());
    Fault::locked(format!("{holder} holds the lock of {line}{since}"))
        .hint("wait for it, or give --wait SECONDS")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Exit, find};

    #[test]
    fn the_second_holder_is_told_about_the_first() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let line = "fx-direction".parse().expect("a line");
        let dir = LineDir::create(&home.path().join("models"), &line).expect("made");
        let (first, _) = acquire(&dir, Duration::ZERO, "train-weekly").expect("free");
        let error = acquire(&dir, Duration::from_millis(60), "promote").expect_err("held");
        assert_eq!(find(&error).map(Fault::exit), Some(Exit::Locked));
        let me = std::process::id();
        assert!(error.to_string().starts_with(&format!("train-weekly, process {me} on ")));
        drop(first);
        acquire(&dir, Duration::ZERO, "promote").expect("free again");
    }
}
