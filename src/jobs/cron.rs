//! `cron`: the block of a home in the user's crontab, and the wrappers that it starts.
//!
//! [`JOBS`] is the one table of what runs when; a job whose command this program does not have is left out. The wrappers
//! are part of the program (`cron/` of the source) and are written to the home, so that a deployed binary needs nothing
//! else. What a crontab looks like is in [`crontab`]; here it is fetched and stored.

pub mod crontab;

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::Context;
use serde::Serialize;

use self::crontab::{Block, Clock, Schedule};
use super::doctor::{Check, Health};
use crate::{
    artifact,
    fault::{Exit, Fault},
    lineage::LineName,
};

/// A job of the schedule; its wrapper is `cron/NAME.sh`.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// The subcommand, and the name of the wrapper.
    pub name: &'static str,
    /// When it runs.
    pub schedule: Schedule,
    /// How long it waits for another run on the line: on a Sunday the 1st three of them meet.
    pub wait_s: Option<u32>,
    wrapper: &'static str,
}

macro_rules! job {
    ($name:literal, $schedule:expr, $wait_s:expr) => {
        Job {
            name: $name,
            schedule: $schedule,
            wait_s: $wait_s,
            wrapper: include_str!(concat!("../../cron/", $name, ".sh")),
        }
    };
}

/// What runs when, in the order of the block.
pub const JOBS: [Job; 7] = [
    job!("collect", Schedule::Often("*/15", "*"), None),
    job!("predict", Schedule::Often("2-59/15", "*"), None),
    job!("outcomes", Schedule::Often("*", "*"), None),
    job!("monitor", Schedule::Often("20", "*"), None),
    job!("train-daily", Schedule::Daily(1), Some(1800)),
    job!("train-weekly", Schedule::Weekly(0, 1), Some(1800)),
    job!("evaluate-monthly", Schedule::Monthly(1, 0), Some(1800)),
];

const COMMON: &str = include_str!("../../cron/common.sh");

/// What the command line of this program knows about a job.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// It takes `--line`.
    pub line: bool,
    /// It takes `--wait`.
    pub wait: bool,
}

/// Everything that the block depends on.
pub struct Plan<'a> {
    /// The home directory.
    pub home: &'a Path,
    /// The program that the wrappers start.
    pub aifx: &'a Path,
    /// The configured lines.
    pub lines: &'a [LineName],
    /// What this program knows about a job; `None` where it has no such command.
    pub known: &'a dyn Fn(&str) -> Option<Known>,
    /// What the hours of the crontab mean.
    pub clock: Clock,
}

/// The block as it would be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShowReport {
    /// The home.
    pub home: PathBuf,
    /// Names of the jobs in the block.
    pub jobs: Vec<&'static str>,
    /// The text.
    pub block: String,
}

/// What an installation did, or with `--dry-run` would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstallReport {
    /// The home.
    pub home: PathBuf,
    /// Names of the jobs in the block.
    pub jobs: Vec<&'static str>,
    /// The text.
    pub block: String,
    /// Files of the home that were written.
    pub written: Vec<String>,
    /// Whether the crontab was not so already.
    pub changed: bool,
    /// Nothing was done.
    pub dry_run: bool,
}

/// What a removal did, or with `--dry-run` would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoveReport {
    /// The home.
    pub home: PathBuf,
    /// Whether there was a block.
    pub removed: bool,
    /// Nothing was done.
    pub dry_run: bool,
}

/// How it stands with cron.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The home.
    pub home: PathBuf,
    /// Whether nothing failed.
    pub ok: bool,
    /// What was looked at.
    pub checks: Vec<Check>,
}

impl Plan<'_> {
    fn jobs(&self) -> impl Iterator<Item = (&'static Job, Known)> {
        JOBS.iter().filter_map(|job| Some((job, (self.known)(job.name)?)))
    }

    fn block(&self) -> anyhow::Result<Block> {
        let home = shown(self.home)?;
        let aifx = shown(self.aifx)?;
        let mut lines = vec![
            "# Written by `aifx cron install`; `aifx cron remove` takes it out. Hours are UTC."
                .into(),
        ];
        for (job, known) in self.jobs() {
            let wrapper = format!("{home}/cron/{}.sh", job.name);
            let wait = job.wait_s.filter(|_| known.wait).map(|seconds| seconds.to_string());
            let several = known.line && self.lines.len() > 1;
            let names: Vec<Option<&LineName>> =
                if several { self.lines.iter().map(Some).collect() } else { vec![None] };
            for name in names {
                let mut arguments = vec!["--aifx", aifx];
                if let Some(name) = name {
                    arguments.extend(["--line", name.as_str()]);
                }
                if let Some(wait) = &wait {
                    arguments.extend(["--", "--wait", wait]);
                }
                lines.push(crontab::entry(job.schedule, self.clock, &wrapper, &arguments));
            }
        }
        Ok(Block::new(home, &lines))
    }

    /// The block, and nothing done.
    ///
    /// # Errors
    /// Exit 3 when a path cannot stand in a crontab.
    pub fn show(&self) -> anyhow::Result<ShowReport> {
        let jobs = self.jobs().map(|(job, _)| job.name).collect();
        Ok(ShowReport { home: self.home.to_owned(), jobs, block: self.block()?.text() })
    }

    /// Writes the wrappers to the home and the block into the user's crontab.
    ///
    /// # Errors
    /// Exit 3 when there is no crontab to write to or its marks are damaged, exit 9 when the disk refuses.
    pub fn install(&self, dry_run: bool) -> anyhow::Result<InstallReport> {
        let ShowReport { home, jobs, block: text } = self.show()?;
        let before = read_crontab()?;
        let after = self.block()?.install(&before).map_err(damaged)?;
        let written = write_wrappers(self.home, dry_run)?;
        let changed = after != before;
        if changed && !dry_run {
            write_crontab(&after)?;
        }
        Ok(InstallReport { home, jobs, block: text, written, changed, dry_run })
    }

    /// Writes the wrappers alone, for another scheduler than cron; no crontab program is needed.
    ///
    /// # Errors
    /// Exit 9 when the disk refuses.
    pub fn install_wrappers(&self, dry_run: bool) -> anyhow::Result<InstallReport> {
        let ShowReport { home, jobs, block } = self.show()?;
        let written = write_wrappers(self.home, dry_run)?;
        Ok(InstallReport { home, jobs, block, written, changed: false, dry_run })
    }

    /// Looks at everything that the schedule depends on.
    pub fn check(&self) -> CheckReport {
        let mut checks = vec![self.check_block(), check_daemon(&daemons())];
        checks.extend([check_wrappers(self.home), check_logs(&self.home.join("logs"))]);
        checks.push(check_owner(self.home));
        let ok = checks.iter().all(|check| check.status != Health::Fail);
        CheckReport { home: self.home.to_owned(), ok, checks }
    }

    fn check_block(&self) -> Check {
        let look = || -> anyhow::Result<Check> {
            let crontab = read_crontab()?;
            let block = self.block()?;
            let Some(installed) = block.installed(&crontab).map_err(damaged)? else {
                return Ok(failed("crontab", "it has no block of this home", "aifx cron install"));
            };
            // The form that looks at UTC every hour is right on every machine.
            let guarded = Plan { clock: Clock::Local, ..*self }.block()?;
            if block.is_written_as(installed) || guarded.is_written_as(installed) {
                let n = self.jobs().count();
                Ok(fine("crontab", format!("the block is there, with {n} jobs")))
            } else {
                Ok(failed(
                    "crontab",
                    "its block is not what this aifx would write",
                    "aifx cron install",
                ))
            }
        };
        look().unwrap_or_else(|error| {
            let hint = crate::fault::find(&error).and_then(Fault::hint_text).map(str::to_owned);
            Check { fix: hint, ..failed("crontab", &format!("{error:#}"), "") }
        })
    }
}

/// Takes the block of `home` out of the user's crontab; the wrappers stay.
///
/// # Errors
/// As [`Plan::install`].
pub fn remove(home: &Path, dry_run: bool) -> anyhow::Result<RemoveReport> {
    let before = read_crontab()?;
    let after = Block::new(shown(home)?, &[]).remove(&before).map_err(damaged)?;
    let removed = after != before;
    if removed && !dry_run {
        write_crontab(&after)?;
    }
    Ok(RemoveReport { home: home.to_owned(), removed, dry_run })
}

/// What the machine's clock says: cron counts in the zone of `/etc/localtime`, whatever `TZ` a shell has.
pub fn machine_clock() -> Clock {
    match fs::read("/etc/localtime") {
        Ok(zone) if crontab::is_utc(&zone) => Clock::Utc,
        Err(error) if error.kind() == ErrorKind::NotFound => Clock::Utc,
        _ => Clock::Local,
    }
}

fn shown(path: &Path) -> anyhow::Result<&str> {
    let text = path.to_str();
    let why = text.map_or(Some("it is not UTF-8"), crontab::objection);
    match (text, why) {
        (Some(text), None) => Ok(text),
        (_, why) => Err(anyhow::Error::from(
            Fault::config(why.unwrap_or_default()).hint("move it to a path of plain characters"),
        )
        .context(format!("cannot name {} in a crontab", path.display()))),
    }
}

fn damaged(why: crontab::Damaged) -> anyhow::Error {
    let hint = "look at it with `crontab -e`, and take aifx's own lines out by hand";
    anyhow::Error::from(Fault::config(why).hint(hint)).context("cannot change the crontab")
}

fn wrapper_files() -> impl Iterator<Item = (String, &'static str, u32)> {
    let wrappers = JOBS.iter().map(|job| (format!("{}.sh", job.name), job.wrapper, 0o755));
    std::iter::once(("common.sh".to_owned(), COMMON, 0o644)).chain(wrappers)
}

/// Writes the wrappers that are not as they should be; returns their names.
fn write_wrappers(home: &Path, dry_run: bool) -> anyhow::Result<Vec<String>> {
    let mut written = Vec::new();
    for (name, content, mode) in wrapper_files() {
        let path = home.join("cron").join(&name);
        if wrapper_fault(&path, content, mode).is_none() {
            continue;
        }
        if !dry_run {
            // Ready before it gets its name: cron may start it at any moment.
            let new = path.with_extension("sh.new");
            artifact::write_whole(&new, content.as_bytes())?;
            fs::set_permissions(&new, fs::Permissions::from_mode(mode))
                .and_then(|()| fs::rename(&new, &path))
                .map_err(Fault::resource)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        written.push(format!("cron/{name}"));
    }
    Ok(written)
}

/// What is wrong with a wrapper, if anything is.
fn wrapper_fault(path: &Path, content: &str, mode: u32) -> Option<&'static str> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Some("is missing"),
        Err(_) => return Some("cannot be read"),
        Ok(bytes) if bytes != content.as_bytes() => return Some("is not the one of this aifx"),
        Ok(_) => {}
    }
    let executable = fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o100 != 0);
    (mode & 0o100 != 0 && !executable).then_some("is not executable")
}

fn check_wrappers(home: &Path) -> Check {
    let wrong: Vec<String> = wrapper_files()
        .filter_map(|(name, content, mode)| {
            let why = wrapper_fault(&home.join("cron").join(&name), content, mode)?;
            Some(format!("cron/{name} {why}"))
        })
        .collect();
    if wrong.is_empty() {
        fine("wrappers", format!("{} are there and executable", home.join("cron").display()))
    } else {
        failed("wrappers", &wrong.join(", "), "aifx cron install")
    }
}

fn check_logs(logs: &Path) -> Check {
    use rustix::fs::Access;
    let shown = logs.display();
    if !logs.exists() {
        return failed("logs", &format!("{shown} is missing"), &format!("mkdir {shown}"));
    }
    match rustix::fs::access(logs, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if logs.is_dir() => fine("logs", format!("{shown} is writable")),
        Ok(()) => failed("logs", &format!("{shown} is no folder"), "give it another name"),
        Err(error) => {
            failed("logs", &format!("{shown} is not writable: {error}"), "chown or chmod it")
        }
    }
}

/// Runs of another user leave files behind that the owner cannot write.
fn check_owner(home: &Path) -> Check {
    let me = rustix::process::geteuid().as_raw();
    match fs::metadata(home).map(|meta| meta.uid()) {
        Ok(owner) if owner == me => fine("owner", "the home belongs to the crontab's user".into()),
        Ok(owner) => Check {
            fix: Some(format!("install it as the owner: crontab of user {owner}")),
            status: Health::Warn,
            ..fine("owner", format!("the home belongs to user {owner}, the crontab to user {me}"))
        },
        Err(error) => failed("owner", &error.to_string(), "look at the home"),
    }
}

/// Names of running programs that read crontabs; `None` where the system does not tell.
fn daemons() -> Option<Vec<String>> {
    let names: Vec<String> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect();
    if names.is_empty() {
        return None;
    }
    Some(
        names
            .into_iter()
            .filter(|name| ["cron", "crond", "fcron"].contains(&name.as_str()))
            .collect(),
    )
}

fn check_daemon(running: &Option<Vec<String>>) -> Check {
    match running.as_ref().map(|names| names.first()) {
        Some(Some(name)) => fine("daemon", format!("{name} is running")),
        Some(None) => failed(
            "daemon",
            "no cron is running on this machine",
            "systemctl enable --now cron, or service cron start",
        ),
        None => Check {
            status: Health::Warn,
            ..fine("daemon", "this system does not tell whether cron runs".to_owned())
        },
    }
}

fn fine(name: &str, detail: String) -> Check {
    Check { name: name.to_owned(), status: Health::Ok, detail, fix: None, exit: Exit::Done }
}

fn failed(name: &str, detail: &str, fix: &str) -> Check {
    Check {
        name: name.to_owned(),
        status: Health::Fail,
        detail: detail.to_owned(),
        fix: Some(fix.to_owned()),
        exit: Exit::Config,
    }
}

fn crontab_program(arguments: &[&str], input: Option<&[u8]>) -> anyhow::Result<Output> {
    let run = || -> std::io::Result<Output> {
        let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = Command::new("crontab")
            .args(arguments)
            // "no crontab for NAME" is read below.
            .env("LC_ALL", "C")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
            match pipe.write_all(input) {
                // It refused before it read all: its own words follow.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
                _ => {}
            }
        }
        child.wait_with_output()
    };
    run().map_err(|error| {
        let fault = match error.kind() {
            ErrorKind::NotFound => Fault::config("there is no `crontab` program").hint(
                "install cron (Debian: apt-get install cron), or use the systemd timers in contrib/systemd",
            ),
            _ => Fault::config(error),
        };
        anyhow::Error::from(fault).context("cannot start crontab")
    })
}

fn read_crontab() -> anyhow::Result<Vec<u8>> {
    let output = crontab_program(&["-l"], None)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // Debian and cronie; BusyBox.
    if said.contains("no crontab") || said.contains("No such file") {
        return Ok(Vec::new());
    }
    Err(refused("read", &said))
}

fn write_crontab(text: &[u8]) -> anyhow::Result<()> {
    // An empty crontab and none are the same to cron.
    let output = if text.is_empty() {
        crontab_program(&["-r"], None)?
    } else {
        crontab_program(&["-"], Some(text))?
    };
    if !output.status.success() {
        return Err(refused("write", &String::from_utf8_lossy(&output.stderr)));
    }
    if read_crontab()? != text {
        let why = "it does not hold what was written";
        return Err(anyhow::Error::from(
            Fault::config(why)
                .hint("look at it with `crontab -l`; was it edited at the same time?"),
        )
        .context("cannot write the user's crontab"));
    }
    Ok(())
}

fn refused(what: &str, said: &str) -> anyhow::Error {
    let said = said.trim();
    let why = if said.is_empty() { "crontab failed without a word" } else { said };
    anyhow::Error::from(Fault::config(why).hint("see /etc/cron.allow and /etc/cron.deny"))
        .context(format!("cannot {what} the user's crontab"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(lines: &[&str], known: &dyn Fn(&str) -> Option<Known>) -> String {
        let lines: Vec<LineName> = lines.iter().map(|name| name.parse().expect("a name")).collect();
        let plan = Plan {
            home: Path::new("/srv/fx"),
            aifx: Path::new("/opt/aifx"),
            lines: &lines,
            known,
            clock: Clock::Utc,
        };
        plan.show().expect("plain paths").block
    }

    #[test]
    fn the_whole_schedule_is_that_of_the_design() {
        let every = |_: &str| Some(Known { line: true, wait: true });
        insta::assert_snapshot!(block(&["fx"], &every), @r"
        # >>> aifx /srv/fx >>>
        # Written by `aifx cron install`; `aifx cron remove` takes it out. Hours are UTC.
        */15 * * * * /srv/fx/cron/collect.sh --aifx /opt/aifx
        2-59/15 * * * * /srv/fx/cron/predict.sh --aifx /opt/aifx
        * * * * * /srv/fx/cron/outcomes.sh --aifx /opt/aifx
        20 * * * * /srv/fx/cron/monitor.sh --aifx /opt/aifx
        0 1 * * * /srv/fx/cron/train-daily.sh --aifx /opt/aifx -- --wait 1800
        0 1 * * 0 /srv/fx/cron/train-weekly.sh --aifx /opt/aifx -- --wait 1800
        0 0 1 * * /srv/fx/cron/evaluate-monthly.sh --aifx /opt/aifx -- --wait 1800
        # <<< aifx /srv/fx <<<
        ");
    }

    #[test]
    fn only_commands_that_exist_are_listed_and_each_of_several_lines_has_its_own() {
        let weekly =
            |name: &str| (name == "train-weekly").then_some(Known { line: true, wait: false });
        insta::assert_snapshot!(block(&["one", "two"], &weekly), @r"
        # >>> aifx /srv/fx >>>
        # Written by `aifx cron install`; `aifx cron remove` takes it out. Hours are UTC.
        0 1 * * 0 /srv/fx/cron/train-weekly.sh --aifx /opt/aifx --line one
        0 1 * * 0 /srv/fx/cron/train-weekly.sh --aifx /opt/aifx --line two
        # <<< aifx /srv/fx <<<
        ");
    }

    #[test]
    fn wrappers_are_written_once_and_repaired() {
        let home = tempfile::tempdir().expect("a folder");
        assert_eq!(check_wrappers(home.path()).status, Health::Fail);
        assert_eq!(write_wrappers(home.path(), true).expect("nothing done").len(), 8);
        assert_eq!(write_wrappers(home.path(), false).expect("written").len(), 8);
        assert!(write_wrappers(home.path(), false).expect("as they were").is_empty());
        assert_eq!(check_wrappers(home.path()).status, Health::Ok);
        let daily = home.path().join("cron/train-daily.sh");
        fs::set_permissions(&daily, fs::Permissions::from_mode(0o644)).expect("ours");
        assert!(check_wrappers(home.path()).detail.contains("train-daily.sh is not executable"));
        assert_eq!(write_wrappers(home.path(), false).expect("written"), ["cron/train-daily.sh"]);
    }

    #[test]
    fn a_missing_daemon_fails_and_an_unknown_one_warns() {
        assert_eq!(check_daemon(&Some(vec!["cron".into()])).status, Health::Ok);
        assert_eq!(check_daemon(&Some(Vec::new())).status, Health::Fail);
        assert_eq!(check_daemon(&None).status, Health::Warn);
    }
}
