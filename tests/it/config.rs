//! Configuration as a user meets it: mistakes with their place, what beats what, and secrets that never show.

#![allow(clippy::disallowed_methods, reason = "tests make the files that are read")]

use std::{fs, os::unix::fs::PermissionsExt, time::Instant};

use crate::support::{Home, Run};

const PASSWORD: &str = "hunter2canary";
const GOOD: &str = "seed: 7\nlines:\n  fx-direction: {weekly: {epochs: 5}}\n  fx-slow: {}\n";

fn home(config: impl AsRef<[u8]>) -> Home {
    let home = Home::empty();
    fs::write(home.path().join("aifx.yaml"), config).expect("written");
    home
}

fn setting(document: &serde_json::Value, key: &str) -> (serde_json::Value, String) {
    let settings = document["settings"].as_array().expect("a list");
    let found = settings.iter().find(|setting| setting["key"] == key).expect(key);
    (found["value"].clone(), found["from"].as_str().expect("text").to_owned())
}

#[test]
fn every_kind_of_bad_file_is_exit_3_with_its_place() {
    let deep = "a: {".repeat(2000);
    let bomb = "a: &a [1, 1]\nb: &b [*a, *a]\nc: &c [*b, *b]\n";
    let huge = "#".repeat(1024 * 1024 + 1);
    for (config, says) in [
        (
            &b"lines: {fx: {weekly: {epoch: 5}}}\n"[..],
            "aifx.yaml:1:23: unknown key `epoch`; did you mean `epochs`?",
        ),
        (b"seed: seven\n", "aifx.yaml:1:7: seed: string \"seven\" stands where a whole number"),
        (b"seed: 1\nseed: 2\n", "aifx.yaml:2:1: `seed` is given twice"),
        (b"lines:\n\tfx: {}\n", "aifx.yaml:2:1: a tab indents this line"),
        (b"", "the file is empty"),
        (b"seed: 1\n---\nseed: 2\n", "aifx.yaml:2:1: a second document begins here"),
        (b"\xef\xbb\xbfseed: 1\n", "a byte order mark"),
        (b"seed: \xff\n", "aifx.yaml:1:7: this is not UTF-8"),
        (bomb.as_bytes(), "aifx.yaml:1:7: an anchor"),
        (deep.as_bytes(), "nested deeper than"),
        (huge.as_bytes(), "larger than 1024 KiB"),
        (b"database: {url: 'host=h password=x'}\n", "a password does not belong into this file"),
    ] {
        let home = home(config);
        home.run(&["config", "show"]).refuses(3, &[says]);
    }
}

#[test]
fn all_mistakes_are_named_at_once_also_in_json_and_fast() {
    let home = home(
        "threads: -1\nlines:\n  fx:\n    weekly: {epochs: 0, lr: .nan, split: [0.7, 0.2, 0.2]}\n    lookback: 1\n",
    );
    let begun = Instant::now();
    let run = home.run(&["config", "show", "--json"]);
    let seconds = begun.elapsed().as_secs_f64();
    let says = [
        "5 mistakes",
        "aifx.yaml:1:10",
        "aifx.yaml:4:22",
        "add up to 1.1",
        "aifx.yaml:5:15",
        "    5 |     lookback: 1",
    ];
    run.refuses(3, &says);
    let document = run.document();
    assert_eq!(document["error"]["exit"], 3);
    assert!(document["error"]["why"].as_str().is_some_and(|why| why.contains("5 mistakes")));
    // Under 0.1 s of work; the rest is starting a debug build with LibTorch on a busy machine.
    assert!(seconds < 5.0, "{seconds} s");
}

#[test]
fn without_a_home_the_way_to_one_is_named() {
    let home = Home::empty();
    home.run(&["config", "show"]).refuses(3, &["there is no aifx.yaml", "aifx init"]);
    home.run(&["config", "show", "--home", "/nonexistent"]).refuses(3, &["/nonexistent", "--home"]);
}

#[test]
fn the_home_is_found_upwards_by_variable_and_by_flag() {
    let mut outer = home(GOOD);
    let inner = outer.path().join("a/b");
    fs::create_dir_all(&inner).expect("made");
    let mut command = outer.command(&["config", "show", "--json"]);
    let found = Run::of(command.current_dir(&inner).output().expect("aifx starts")).document();
    assert_eq!(setting(&found, "seed"), (7.into(), "aifx.yaml:1".into()));
    assert_eq!(setting(&found, "home").1, "found from the working directory");

    let other = home("seed: 8\n");
    outer.set("AIFX_HOME", other.path().to_str().expect("UTF-8"));
    let by_variable = outer.json(&["config", "show"]);
    assert_eq!(setting(&by_variable, "seed").0, 8);
    assert_eq!(setting(&by_variable, "home").1, "environment AIFX_HOME");
    let by_flag = outer.json(&["config", "show", "--home", "."]);
    assert_eq!(setting(&by_flag, "seed").0, 7);
    assert_eq!(setting(&by_flag, "home").1, "flag --home");
}

#[test]
fn flags_beat_environment_beats_file_beats_default() {
    let mut home = home(GOOD);
    let shown = home.json(&["config", "show", "--as-of", "2018-12-01T00:00:00Z"]);
    assert_eq!(shown["schema"], "aifx.config/1");
    assert_eq!(setting(&shown, "seed"), (7.into(), "aifx.yaml:1".into()));
    assert_eq!(setting(&shown, "threads"), (0.into(), "default".into()));
    let epochs = "lines.fx-direction.weekly.epochs";
    assert_eq!(setting(&shown, epochs), (5.into(), "aifx.yaml:3".into()));
    assert_eq!(setting(&shown, "lines.fx-slow.weekly.epochs"), (50.into(), "default".into()));
    assert_eq!(setting(&shown, "as_of"), ("2018-12-01T00:00:00Z".into(), "flag --as-of".into()));
    home.set("AIFX_SEED", "9");
    let shown = home.json(&["config", "show"]);
    assert_eq!(setting(&shown, "seed"), (9.into(), "environment AIFX_SEED".into()));
    assert_eq!(setting(&shown, "as_of").1, "the clock");
    home.set("AIFX_SEED", "nine");
    home.run(&["config", "show"]).refuses(3, &["AIFX_SEED is `nine`"]);
}

#[test]
fn what_init_writes_is_what_holds_anyway() {
    let fresh = Home::empty();
    let made = fresh.json(&["init", "--no-database"]);
    assert!(made["created"].as_array().is_some_and(|list| list.len() == 6), "{made}");
    let again = fresh.json(&["init", "--no-database"]);
    assert_eq!(
        (again["created"].clone(), again["kept"].clone()),
        (serde_json::json!([]), made["created"].clone())
    );
    let values = |home: &Home| -> Vec<(String, String)> {
        let shown = home.json(&["config", "show"]);
        let settings = shown["settings"].as_array().expect("a list").clone();
        let of = |s: serde_json::Value| (s["key"].to_string(), s["value"].to_string());
        settings
            .into_iter()
            .map(of)
            .filter(|(key, _)| !key.contains("home") && !key.contains("as_of"))
            .collect()
    };
    assert_eq!(values(&fresh), values(&home("lines: {fx-direction: {}}\n")));
}

#[test]
fn secrets_are_masked_and_a_readable_env_file_is_told() {
    let home = home(GOOD);
    let path = home.path().join(".env");
    let text = format!(
        "DATABASE_URL=postgres://fx:{PASSWORD}@db.example/fx\nSMTP_PASSWORD={PASSWORD}\n\
         DISCORD_WEBHOOK_URL=https://discord.com/api/webhooks/1/{PASSWORD}\n"
    );
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
    for args in [&["config", "show"][..], &["config", "show", "--json", "-v"]] {
        let run = home.ok(args);
        assert!(!run.stdout.contains(PASSWORD) && !run.stderr.contains(PASSWORD), "{run:?}");
        assert!(run.stdout.contains("postgres://fx:***@db.example/fx"), "{}", run.stdout);
        assert!(run.stdout.contains(".env:1"), "{}", run.stdout);
        assert!(run.stderr.contains("chmod 600"), "{}", run.stderr);
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    assert_eq!(home.ok(&["config", "show"]).stderr, "");
    fs::write(&path, format!("{PASSWORD}\n")).expect("written");
    let run = home.run(&["config", "show"]);
    run.refuses(3, &[".env:1: there is no = in this line"]);
    assert!(!run.stderr.contains(PASSWORD), "{}", run.stderr);
}

#[test]
fn an_empty_database_url_is_no_silent_change_of_database() {
    let mut home = home(GOOD);
    home.set("DATABASE_URL", "");
    home.run(&["config", "show"]).refuses(3, &["DATABASE_URL is set but empty"]);
}

#[test]
fn completions_are_scripts_for_each_shell() {
    let home = Home::empty();
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.ok(&["completions", shell]).stdout.contains("train-weekly"), "{shell}");
    }
    home.run(&["completions", "tcsh"]).refuses(2, &["possible values"]);
}
