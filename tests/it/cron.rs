//! Cron: the block in a private crontab, and the wrappers in the environment that cron gives them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{Home, Run};

/// A `crontab` that keeps its text in a file of the home, and refuses what Debian's refuses.
const FAKE_CRONTAB: &str = r#"#!/bin/sh
file=$(dirname "$0")/../crontab
case $1 in
  -l) [ -e "$file" ] || { echo "no crontab for tester" >&2; exit 1; }; cat "$file" ;;
  -r) rm -f "$file" ;;
  -) cat >"$file.new"
     [ -z "$(tail -c 1 "$file.new")" ] || { echo "missing newline before EOF" >&2; exit 1; }
     mv "$file.new" "$file" ;;
  *) echo "usage" >&2; exit 1 ;;
esac
"#;

fn executable(home: &Home, name: &str, text: &str) -> PathBuf {
    home.write(name, text);
    let path = home.path().join(name);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

/// A home whose name needs quoting, with a crontab of its own.
fn home_with_crontab() -> (Home, PathBuf) {
    let mut home = Home::empty();
    fs::create_dir(home.path().join("bin")).expect("made");
    executable(&home, "bin/crontab", FAKE_CRONTAB);
    home.set("PATH", format!("{}:/usr/bin:/bin", home.path().join("bin").display()));
    let fx = home.path().join("f x 50%");
    home.ok(&["init", "--no-database", fx.to_str().expect("text")]);
    home.set("AIFX_HOME", fx.to_str().expect("text"));
    (home, fx)
}

#[test]
fn the_block_comes_and_goes_and_the_rest_stays_byte_for_byte() {
    let (home, fx) = home_with_crontab();
    let before = b"MAILTO=me\n# caf\xe9\n*/5 * * * * date +\\%F\n\n";
    let crontab = home.path().join("crontab");
    let read = || fs::read(&crontab).expect("there");
    home.write("crontab", "");
    fs::File::create(&crontab)
        .and_then(|mut file| std::io::Write::write_all(&mut file, before))
        .expect("written");

    let shown = home.json(&["cron", "show"]);
    assert_eq!(shown["schema"], "aifx.cron-show/1");
    let block = shown["block"].as_str().expect("text").to_owned();
    assert_eq!(home.ok(&["cron", "show"]).stdout, block);

    let dry = home.json(&["cron", "install", "--dry-run"]);
    assert_eq!((&dry["changed"], &dry["dry_run"]), (&true.into(), &true.into()));
    assert_eq!(read(), before);
    assert!(!fx.join("cron").exists());
    assert_eq!(home.run(&["cron", "check"]).status, 3);

    let installed = home.json(&["cron", "install"]);
    assert_eq!(installed["schema"], "aifx.cron-install/1");
    assert_eq!(installed["written"].as_array().expect("a list").len(), 8);
    assert_eq!(read(), [before, block.as_bytes()].concat());
    for line in block.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.contains("/f x 50\\%/cron/"), "{line}");
    }

    let again = home.json(&["cron", "install"]);
    assert_eq!((&again["changed"], &again["written"]), (&false.into(), &serde_json::json!([])));
    assert_eq!(read(), [before, block.as_bytes()].concat());

    // All but the daemon is in order, whatever the machine runs.
    let run = home.run(&["cron", "check", "--json"]);
    let checks = run.document();
    assert_eq!(run.status, if checks["ok"] == true { 0 } else { 3 });
    for check in checks["checks"].as_array().expect("a list") {
        assert!(check["name"] == "daemon" || check["status"] == "ok", "{check}");
    }

    // The form for clocks that are not UTC takes the same place, and counts as current.
    home.ok(&["cron", "install", "--guard"]);
    assert!(String::from_utf8_lossy(&read()).contains("--utc-weekday 0 --utc-hour 01"));
    assert_eq!(home.run(&["cron", "check", "--json"]).document()["checks"][0]["status"], "ok");

    // A broken configuration does not keep the block.
    fs::remove_file(fx.join("aifx.yaml")).expect("there");
    assert_eq!(home.json(&["cron", "remove"])["removed"], true);
    assert_eq!(read(), before);
    assert_eq!(home.json(&["cron", "remove"])["removed"], false);
}

#[test]
fn a_user_without_crontab_gets_one_and_has_none_again() {
    let (home, _) = home_with_crontab();
    let crontab = home.path().join("crontab");
    home.ok(&["cron", "install"]);
    assert!(crontab.exists());
    home.ok(&["cron", "remove"]);
    assert!(!crontab.exists());
}

#[test]
fn no_crontab_program_damaged_marks_and_a_backslash_are_exit_3() {
    let (mut home, fx) = home_with_crontab();
    home.write("crontab", &format!("# >>> aifx {} >>>\n", fx.display()));
    home.run(&["cron", "install"]).refuses(3, &["line 1", "without its partner", "crontab -e"]);

    let odd = home.path().join("back\\slash");
    home.ok(&["init", "--no-database", odd.to_str().expect("text")]);
    let run = home.run(&["--home", odd.to_str().expect("text"), "cron", "show"]);
    run.refuses(3, &["backslash"]);

    home.set("PATH", "/nowhere");
    let run = home.json(&["cron", "install", "--wrappers-only"]);
    assert_eq!((&run["changed"], fx.join("cron/common.sh").exists()), (&false.into(), true));
    let run = home.run(&["cron", "install", "--json"]);
    run.refuses(3, &["no `crontab` program", "apt-get install cron"]);
    assert_eq!(run.document()["error"]["exit"], 3);
}

/// The wrapper as cron starts it: an almost empty environment, `/`, no stdin, no umask.
fn under_cron(command: &str) -> Run {
    let script = format!("umask 000; cd /; exec <&-; {command}");
    let output = Command::new("env")
        .args(["-i", "HOME=/", "PATH=/usr/bin:/bin", "SHELL=/bin/sh", "sh", "-c", &script])
        .stdin(Stdio::null())
        .output();
    Run::of(output.expect("env starts"))
}

/// A home with wrappers, and a stub that the wrappers take for aifx.
fn home_with_stub(stub: &str) -> (Home, PathBuf) {
    let (home, fx) = home_with_crontab();
    home.ok(&["cron", "install"]);
    executable(&home, "stub", &format!("#!/bin/sh\n{stub}\n"));
    (home, fx)
}

fn wrapper(home: &Home, fx: &Path, job: &str, rest: &str) -> String {
    let stub = home.path().join("stub");
    format!("'{}/cron/{job}.sh' --aifx '{}' {rest}", fx.display(), stub.display())
}

/// A job's log and all that it says; runs around midnight have two.
fn log_of(fx: &Path, name: &str) -> (PathBuf, String) {
    let mut logs: Vec<PathBuf> = fs::read_dir(fx.join("logs"))
        .expect("logs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
        })
        .collect();
    logs.sort();
    let text = logs.iter().map(|log| fs::read_to_string(log).expect("text")).collect();
    (logs.pop().expect("a log"), text)
}

#[test]
fn a_wrapper_logs_and_passes_the_status_on() {
    let (home, fx) = home_with_stub("echo \"args: $*\"; echo to stderr >&2; umask");
    let run = under_cron(&wrapper(&home, &fx, "train-daily", "-- --wait 1800"));
    assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
    let (path, log) = log_of(&fx, "train-daily-");
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(name.len(), "train-daily-2025-10-21.log".len());
    assert!(log.contains(&format!("args: --home {} train-daily --wait 1800\n", fx.display())));
    assert!(log.contains("to stderr\n0027\n") && log.contains("ended with 0"), "{log}");
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn a_failure_prints_the_tail_of_this_run_alone() {
    let (home, fx) =
        home_with_stub("echo early; for i in $(seq 100 150); do echo line $i; done; exit 6");
    let command = wrapper(&home, &fx, "train-weekly", "--line fx-direction");
    under_cron(&command).refuses(6, &["ended with 6", "line 150"]);
    let run = under_cron(&command);
    assert!(!run.stderr.contains("line 120") && !run.stderr.contains("early"), "{}", run.stderr);
    let (_, log) = log_of(&fx, "train-weekly-fx-direction-");
    assert_eq!(log.matches("early\n").count(), 2);

    let missing = format!("'{}/cron/collect.sh' --aifx /nowhere/aifx", fx.display());
    under_cron(&missing).refuses(127, &["/nowhere/aifx", "not found"]);
    under_cron(&wrapper(&home, &fx, "monitor", "--wrong"))
        .refuses(2, &["unknown argument --wrong"]);
}

/// A database that nothing answers for: aifx ends 5.
fn without_database(home: &Home) {
    home.write("f x 50%/.env", "DATABASE_URL=postgres://x@127.0.0.1:1/x\n");
}

#[test]
fn a_wrapper_runs_the_real_aifx() {
    let (home, fx) = home_with_crontab();
    home.ok(&["cron", "install"]);
    let aifx = env!("CARGO_BIN_EXE_aifx");
    // No database: the exit status of aifx, and its own words, reach cron's mail.
    without_database(&home);
    let run = under_cron(&format!("'{}/cron/train-weekly.sh' --aifx '{aifx}'", fx.display()));
    run.refuses(5, &["error:", "ended with 5"]);
}

#[test]
fn the_utc_guards_let_one_hour_through() {
    let (home, fx) = home_with_stub("echo ran");
    let count = || log_of(&fx, "train-weekly-").1.matches("ran\n").count();
    let now = || Command::new("date").args(["-u", "+%H %d %w"]).output().expect("date").stdout;
    // Around a full hour the first answer may be too old: then again.
    loop {
        let before = now();
        let words = String::from_utf8(before.clone()).expect("text");
        let [hour, day, weekday] = words.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{words}")
        };
        let right = format!("--utc-day {day} --utc-weekday {weekday} --utc-hour {hour}");
        assert_eq!(under_cron(&wrapper(&home, &fx, "train-weekly", &right)).status, 0);
        if now() == before {
            break;
        }
    }
    let ran = count();
    assert!(ran >= 1);
    for wrong in ["--utc-hour 24", "--utc-day 32", "--utc-weekday 7"] {
        let run = under_cron(&wrapper(&home, &fx, "train-weekly", wrong));
        assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
    }
    assert_eq!(count(), ran);
}

#[test]
fn metrics_pings_and_old_logs_never_change_the_status() {
    let (home, fx) = home_with_stub("exit ${STUB_STATUS:-0}");
    let textfiles = home.path().join("textfiles");
    fs::create_dir(&textfiles).expect("made");
    // A stand-in for curl that keeps what it was told; the wrappers put the caller's PATH first.
    executable(&home, "bin/curl", "#!/bin/sh\ncat >>\"$(dirname \"$0\")/pings\"; exit 22\n");
    let settings = format!(
        "PATH={}:$PATH\nAIFX_TEXTFILE_DIR={}\nAIFX_PING_URL_TRAIN_DAILY=https://hc.example/uuid\nAIFX_LOG_DAYS=7\n",
        home.path().join("bin").display(),
        textfiles.display(),
    );
    home.write("f x 50%/cron/settings.sh", &settings);
    home.write("f x 50%/logs/train-daily-2001-01-01.log", "old");
    home.write("f x 50%/logs/train-weekly-2001-01-01.log", "another job's");
    for name in ["train-daily", "train-weekly"] {
        let touched = Command::new("touch")
            .args(["-d", "2001-01-01"])
            .arg(fx.join(format!("logs/{name}-2001-01-01.log")))
            .status();
        assert!(touched.expect("touch").success());
    }
    let command = wrapper(&home, &fx, "train-daily", "");
    let run = under_cron(&command);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stderr.contains("ping did not get through"), "{}", run.stderr);
    assert!(!fx.join("logs/train-daily-2001-01-01.log").exists());
    assert!(fx.join("logs/train-weekly-2001-01-01.log").exists());

    let metrics = || {
        let file = fs::read_dir(&textfiles).expect("there").next().expect("one").expect("an entry");
        let mode = file.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "node_exporter is another user");
        fs::read_to_string(file.path()).expect("text")
    };
    let value = |name: &str| {
        let text = metrics();
        let line =
            text.lines().find(|line| line.starts_with(&format!("{name}{{job=\"train-daily\"")));
        line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
    };
    assert_eq!(value("aifx_job_last_exit_status").as_deref(), Some("0"));
    let success = value("aifx_job_last_success_timestamp_seconds");
    assert!(success.is_some() && success == value("aifx_job_last_run_timestamp_seconds"));

    let run = under_cron(&format!("STUB_STATUS=9 {command}"));
    assert_eq!(run.status, 9, "{}", run.stderr);
    assert_eq!(value("aifx_job_last_exit_status").as_deref(), Some("9"));
    assert_eq!(value("aifx_job_last_success_timestamp_seconds"), success);
    assert!(value("aifx_job_duration_seconds").is_some());
    let pings = fs::read_to_string(home.path().join("bin/pings")).expect("pings");
    let paths: Vec<&str> = pings.lines().map(|line| line.trim_start_matches("url = ")).collect();
    assert_eq!(
        paths,
        [
            "\"https://hc.example/uuid/start\"",
            "\"https://hc.example/uuid\"",
            "\"https://hc.example/uuid/start\"",
            "\"https://hc.example/uuid/fail\"",
        ]
    );

    home.write(
        "f x 50%/cron/settings.sh",
        "AIFX_TEXTFILE_DIR=/nowhere\nAIFX_LOG_DAYS=soon\nAIFX_NICE=very\n",
    );
    let run = under_cron(&command);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("/nowhere could not be written"), "{}", run.stderr);
    assert!(run.stderr.contains("AIFX_LOG_DAYS is not a whole number"), "{}", run.stderr);
    assert!(run.stderr.contains("AIFX_NICE is not a whole number"), "{}", run.stderr);
}

#[test]
fn a_log_that_cannot_be_written_does_not_stop_the_job() {
    let (home, fx) = home_with_stub("echo it ran; exit 3");
    fs::remove_dir(fx.join("logs")).expect("empty");
    home.write("f x 50%/logs", "no folder");
    under_cron(&wrapper(&home, &fx, "train-daily", "")).refuses(3, &["cannot write", "it ran"]);
}

#[test]
fn a_signal_for_the_wrapper_reaches_the_job() {
    // The stub tells when it is ready, and how it was ended.
    let (home, fx) = home_with_stub(
        "trap 'echo stopped; exit 143' TERM\necho ready >\"$(dirname \"$0\")/ready\"\nwhile :; do sleep 0.05; done",
    );
    let ready = home.path().join("ready");
    let made = Command::new("mkfifo").arg(&ready).status().expect("mkfifo");
    assert!(made.success());
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec {}", wrapper(&home, &fx, "train-daily", ""))])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh starts");
    assert_eq!(fs::read_to_string(&ready).expect("the stub's word"), "ready\n");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
    assert!(log_of(&fx, "train-daily-").1.contains("stopped\n"));
}

/// Debian's own cron and crontab in a mount and process namespace, where the machine's crontabs are neither read nor
/// touched; what it mails comes through a pipe. `@reboot` is the schedule that needs no waiting: the entry is otherwise
/// the one of the block, so that quotes and percent signs go through the real daemon.
const REAL_CRON: &str = r#"
set -eu
mount -t tmpfs none /var/spool/cron
mkdir -m 1730 /var/spool/cron/crontabs
chgrp crontab /var/spool/cron/crontabs
mount -t tmpfs none /run
mount -t tmpfs none /etc/cron.d
: >"$TMP/none"
[ ! -e /etc/crontab ] || mount --bind "$TMP/none" /etc/crontab
mkfifo "$TMP/mail"
mkdir "$TMP/sbin"
cp /usr/sbin/cron "$TMP/sbin"
printf '#!/bin/sh\ncat >"%s"\n' "$TMP/mail" >"$TMP/sbin/sendmail"
chmod 755 "$TMP/sbin/sendmail"
mount --bind "$TMP/sbin" /usr/sbin
"$AIFX" cron show | sed -n '/train-weekly/{s/^\([^ ]* \)\{5\}/@reboot /;s/ --utc-[a-z]* [0-9]*//g;p;}' >"$TMP/before"
crontab "$TMP/before"
"$AIFX" cron install --quiet >/dev/null
"$AIFX" cron check >/dev/null && { echo "check found a cron that is not there" >&2; exit 1; }
cron
timeout 60 cat "$TMP/mail"
"$AIFX" cron check
"$AIFX" cron install
"$AIFX" cron remove
crontab -l | cmp - "$TMP/before" && echo "as before"
"#;

#[test]
fn debians_cron_runs_an_entry() {
    let probe = "grep -qi debian /etc/os-release && command -v cron && command -v crontab && \
                 unshare --mount --pid --fork --mount-proc mount -t tmpfs none /run";
    let can = Command::new("sh").args(["-c", probe]).stderr(Stdio::null()).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no Debian cron on this machine, or no right to make namespaces");
        return;
    }
    let (home, fx) = home_with_crontab();
    home.ok(&["cron", "install"]);
    without_database(&home);
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", REAL_CRON])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", home.path())
        .env("TMP", home.path())
        .env("AIFX_HOME", &fx)
        .env("AIFX", env!("CARGO_BIN_EXE_aifx"))
        .stdin(Stdio::null())
        .output();
    let run = Run::of(output.expect("unshare starts"));
    assert_eq!(run.status, 0, "stdout: {}\nstderr: {}", run.stdout, run.stderr);
    let end = format!("the end of {}/logs/train-weekly-", fx.display());
    for said in [
        &end,
        "train-weekly.sh: aifx train-weekly ended with 5",
        "error: ",
        "cron is running",
        "nothing is wrong",
        "has the block already",
        "as before",
    ] {
        assert!(run.stdout.contains(said), "{said}: {}", run.stdout);
    }
    assert!(log_of(&fx, "train-weekly-").1.contains("ended with 5"));
}

#[test]
fn the_wrappers_of_the_source_pass_shellcheck() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = Command::new("sh")
        .args(["-c", "command -v shellcheck >/dev/null || exit 100; shellcheck -x cron/*.sh"])
        .current_dir(source)
        .output()
        .expect("sh starts");
    match run.status.code() {
        Some(100) => eprintln!("skipped: no shellcheck on this machine"),
        status => assert_eq!(status, Some(0), "{}", String::from_utf8_lossy(&run.stdout)),
    }
}
