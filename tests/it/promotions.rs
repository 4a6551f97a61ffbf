//! Promotions through the gate, by the jobs themselves: on a market that holds something to learn they happen, on one that holds
//! nothing they do not.

use serde_json::Value;

use crate::support::{Home, TestDatabase};

const CONFIG: &str = "
seed: 3
threads: 1
lines:
  fx-direction:
    pairs: [EUR/USD, GBP/USD, USD/JPY]
    timeframes: [1h]
    lookback: 12
    model: {kind: lstm, hidden: [6], dense: 4, dropout: [0.1, 0.1]}
    ensemble: {members: 1}
    weekly: {days: 220, epochs: 4, batch: 64, min_samples: 300, validation_days: 20, test_days: 20}
    daily: {min_samples: 30, rehearse_days: 14, epochs: 2, lr: 5e-4}
    triggers: {action: ask}
";

/// Plays a Sunday, two nights a fortnight later and another Sunday: what each job came to, and who moved production.
fn played(edge: &str) -> (Vec<Value>, Vec<(String, bool)>) {
    let database = TestDatabase::create();
    let home = Home::with_database(&database);
    home.write("aifx.yaml", CONFIG);
    home.ok(&["init"]);
    let market = ["--candles", "5000", "--seed", "5", "--end", "2025-10-25T00:00:00Z"];
    home.ok(&[&["simulate", "--edge", edge], &market[..]].concat());
    let jobs = [
        ("2025-09-21T01:00:00Z", "train-weekly"),
        ("2025-10-07T01:00:00Z", "train-daily"),
        ("2025-10-08T01:00:00Z", "train-daily"),
        ("2025-10-19T01:00:00Z", "train-weekly"),
    ];
    let done = jobs.map(|(at, job)| home.json(&["--as-of", at, job])).to_vec();
    let moves = database
        .client()
        .query("SELECT actor, forced FROM model_promotions ORDER BY fence", &[])
        .expect("moves");
    (done, moves.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// No `--force` and no hand: the first version, its refresh and the next training from scratch go in by themselves.
#[test]
fn a_market_with_an_edge_promotes_by_itself() {
    let (done, moves) = played("4");
    let promoted: Vec<bool> = done.iter().map(|one| one["promoted"] == true).collect();
    assert!(promoted[0], "the first version: {}", done[0]["gate"]);
    assert!(promoted[1] || promoted[2], "a night: {} {}", done[1]["gate"], done[2]["gate"]);
    assert!(promoted[3], "the next training from scratch: {}", done[3]["gate"]);
    for (one, promoted) in done.iter().zip(&promoted) {
        assert_eq!(one["status"] == "production", *promoted, "{one}");
    }
    assert_eq!(moves.len(), promoted.iter().filter(|promoted| **promoted).count());
    for (actor, forced) in &moves {
        assert!(!forced && ["train-weekly", "train-daily"].contains(&actor.as_str()), "{moves:?}");
    }
}

#[test]
fn a_market_without_an_edge_promotes_nothing() {
    let (done, moves) = played("0");
    assert_eq!(moves, []);
    for weekly in [&done[0], &done[3]] {
        assert_eq!(
            (&weekly["status"], &weekly["gate"]["passed"]),
            (&"staging".into(), &false.into()),
            "{weekly}"
        );
    }
    // And with nothing in production, a night has nothing to refresh.
    for daily in &done[1..3] {
        assert_eq!(daily["status"], "skipped", "{daily}");
    }
}
