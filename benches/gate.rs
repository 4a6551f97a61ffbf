//! How often the gate is wrong on simulated years: `gate --markets N --seed S`, one JSON document on stdout.
//! `scripts/bench_gate.sh` runs it and adds markets that go through real training.

use aifx::{
    ensemble::EnsembleConfig,
    gate::{GateConfig, honesty},
};

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
    let mut document = serde_json::to_value(honesty).expect("plain numbers");
    // A year of a mixture takes as long as ten of decisions.
    let years = markets.div_ceil(10);
    let mixtures = honesty::run_mixtures(years, seed, &EnsembleConfig::default());
    document["ensemble"] = serde_json::to_value(mixtures).expect("plain numbers");
    println!("{document}");
}
