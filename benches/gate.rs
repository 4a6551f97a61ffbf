//! How often the gate is wrong on simulated years: `gate --markets N --seed S`, one JSON document on stdout.
//! `scripts/bench_gate.sh` runs it and adds markets that go through real training.

use aifx::gate::{GateConfig, honesty};

#[allow(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` and `cargo bench --no-run` start it with flags of their own.
    let number = |flag: &str| -> Option<u64> {
        let place = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(place + 1)?.parse().ok()
    };
    let (Some(markets), Some(seed)) = (number("--markets"), number("--seed")) else { return };
    let markets = usize::try_from(markets).expect("a count");
    let honesty = honesty::run(markets, seed, &GateConfig::default());
    println!("{}", serde_json::to_string(&honesty).expect("plain numbers"));
}
