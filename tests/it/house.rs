//! The arrows of the house: every `crate::` path in `src` is read and must point down.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Floors from top to bottom, rooms from top to bottom within each (ARCHITECTURE.md).
const FLOORS: [(&str, &[&str]); 6] = [
    ("COMMANDS", &["commands", "ui"]),
    ("JOBS", &["jobs", "config"]),
    ("EDGES", &["registry", "artifact", "db", "quotes", "feeds", "notify", "report"]),
    ("LEARNING", &["train", "inference", "nn", "libtorch"]),
    (
        "CORE",
        &[
            "gate", "ensemble", "drift", "rank", "simulate", "baseline", "backtest", "evaluate",
            "dataset", "features", "labels", "signal", "outcome",
        ],
    ),
    ("WORDS", &["market", "lineage", "stats", "memory", "fault"]),
];

const EDGES: usize = 2;
const LEARNING: usize = 3;
const WORDS: usize = 5;

/// Floor and place within it.
fn place(room: &str) -> Option<(usize, usize)> {
    FLOORS.iter().enumerate().find_map(|(floor, (_, rooms))| {
        rooms.iter().position(|r| *r == room).map(|index| (floor, index))
    })
}

/// Why an arrow is wrong, if it is.
fn objection(from: &str, to: &str) -> Option<String> {
    if from == to {
        return None;
    }
    let Some((from_floor, from_index)) = place(from) else {
        return Some(format!("{from} is no room of the house; add it to tests/it/house.rs"));
    };
    let Some((to_floor, to_index)) = place(to) else {
        return Some(format!("{to} is no room of the house; add it to tests/it/house.rs"));
    };
    let floor = |f: usize| FLOORS[f].0;
    match (from_floor, to_floor) {
        (EDGES, LEARNING) => {
            Some("EDGES and LEARNING do not import each other; a job joins them".into())
        }
        // The words are one dictionary: they may refer to each other.
        (WORDS, WORDS) => None,
        (a, b) if a > b => {
            Some(format!("{} must not import {to}; take the value as an argument", floor(a)))
        }
        (a, b) if a == b && from_index > to_index => {
            Some(format!("{from} stands below {to} in {}; turn the arrow", floor(a)))
        }
        _ => None,
    }
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

/// Rooms named after `crate::` in a line, `crate::{a, b::c}` included.
fn rooms_named(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for piece in text.split("crate::").skip(1) {
        if let Some(list) = piece.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => rooms.push(std::mem::take(&mut name)),
                    _ if depth == 0 => name.push(c),
                    _ => {}
                }
            }
            rooms.push(name);
        } else {
            rooms.push(piece.to_owned());
        }
    }
    rooms
        .iter()
        .map(|room| {
            room.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        })
        .filter(|room: &String| !room.is_empty())
        .collect()
}

#[test]
fn arrows_point_down_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files.sort();
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).expect("inside src");
        let first = relative.components().next().expect("a name").as_os_str().to_string_lossy();
        let room = first.trim_end_matches(".rs").to_owned();
        if ["main", "lib", "bin"].contains(&room.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source file");
        // Tests of a room may build their inputs with any other room.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code: String = code
            .lines()
            .map(|line| if line.trim_start().starts_with("//") { "" } else { line })
            .collect::<Vec<_>>()
            .join("\n");
        for (offset, _) in code.match_indices("crate::") {
            // `$crate::` of a macro and `pub(in crate::db)` name no import.
            if code[..offset].ends_with('$') || code[..offset].ends_with("in ") {
                continue;
            }
            let line = code[..offset].matches('\n').count() + 1;
            let rest = &code[offset..];
            let statement = rest.split(';').next().unwrap_or(rest);
            let single = if statement.starts_with("crate::{") {
                statement
            } else {
                statement.split(|c: char| c.is_whitespace()).next().unwrap_or(statement)
            };
            for named in rooms_named(single) {
                if let Some(why) = objection(&room, &named) {
                    wrong.push(format!("src/{}:{line}: {why}", relative.display()));
                }
            }
        }
        let learning = FLOORS[LEARNING].1.contains(&room.as_str());
        let names_tch = code
            .match_indices("tch::")
            .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        if !learning && names_tch {
            wrong.push(format!("src/{}: only LEARNING names tch", relative.display()));
        }
        if room != "db" && (code.contains("postgres::") || code.contains("refinery::")) {
            wrong.push(format!("src/{}: only db talks to PostgreSQL", relative.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_lives_there() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let silent: Vec<_> = files
        .iter()
        .filter(|file| !fs::read_to_string(file).expect("a source file").starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "these files open without a head comment: {silent:?}");
}

#[test]
fn the_checker_knows_up_from_down() {
    assert!(objection("labels", "db").is_some());
    assert!(objection("train", "registry").is_some());
    assert!(objection("artifact", "nn").is_some());
    assert!(objection("artifact", "registry").is_some());
    assert!(objection("ui", "commands").is_some());
    assert!(objection("jobs", "train").is_none());
    assert!(objection("ui", "fault").is_none());
    assert!(objection("evaluate", "dataset").is_none());
    assert_eq!(rooms_named("crate::{db::{A, B}, market, fault::Fault}"), ["db", "market", "fault"]);
}
