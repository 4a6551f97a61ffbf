//! Which process a run belongs to, and whether it still lives.

use std::fs;

use rustix::{process, system};

use crate::db::training_log::{Process, RunRow};

/// This process.
pub(super) fn current() -> Process {
    let pid = process::getpid().as_raw_nonzero().get();
    Process {
        host: host(),
        pid,
        boot_id: boot_id(),
        started_ticks: started_ticks(pid).unwrap_or(0),
    }
}

/// Whether a process lives; `None` where that cannot be told from this host.
pub(super) fn is_alive(of: &Process) -> Option<bool> {
    let boot_id = boot_id();
    match (of.host == host(), of.boot_id == boot_id) {
        // Same machine, other boot: nothing survives that.
        (true, false) if !boot_id.is_empty() && !of.boot_id.is_empty() => Some(false),
        (true, _) => Some(started_ticks(of.pid) == Some(of.started_ticks)),
        // A container that was started again has a new name, and its process ids mean nothing here.
        (false, _) => None,
    }
}

/// Whether the process of a run is known to have died.
pub fn is_dead(run: &RunRow) -> bool {
    is_alive(&run.process) == Some(false)
}

/// Who changes something, for the record: the user and the host.
pub fn actor() -> String {
    let uid = process::getuid().as_raw();
    let name = fs::read_to_string("/etc/passwd").ok().and_then(|users| {
        users.lines().find_map(|user| {
            let mut fields = user.split(':');
            let (name, id) = (fields.next()?, fields.nth(1)?);
            (id.parse() == Ok(uid)).then(|| name.to_owned())
        })
    });
    format!("{}@{}", name.unwrap_or_else(|| format!("uid-{uid}")), host())
}

fn host() -> String {
    system::uname().nodename().to_string_lossy().into_owned()
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

fn started_ticks(pid: i32) -> Option<i64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last bracket may hold spaces; after it come state (field 3) to start time (field 22).
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // A zombie has ended; only its parent has not looked yet.
    if fields.first() == Some(&"Z") { None } else { fields.get(19)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_with_another_start_or_boot_does_not() {
        let me = current();
        assert_eq!(is_alive(&me), Some(true));
        let reused = Process { started_ticks: me.started_ticks + 1, ..me.clone() };
        assert_eq!(is_alive(&reused), Some(false));
        let rebooted = Process { boot_id: "another".into(), ..me.clone() };
        assert_eq!(is_alive(&rebooted), Some(false));
        let elsewhere = Process { host: "another".into(), ..me };
        assert_eq!(is_alive(&elsewhere), None);
    }
}
