//! How often drift rings where nothing has changed, and how soon where something has: `drift --months N --seed S`, one JSON
//! document on stdout. `scripts/bench_drift.sh` runs it and holds the textbook's rules against it.

use aifx::drift::honesty;

#[allow(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` and `cargo bench --no-run` start it with flags of their own.
    let number = |flag: &str| -> Option<u64> {
        let place = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(place + 1)?.parse().ok()
    };
    let (Some(months), Some(seed)) = (number("--months"), number("--seed")) else { return };
    let months = usize::try_from(months).expect("a count");
    println!("{}", serde_json::to_string(&honesty::run(months, seed)).expect("plain numbers"));
}
