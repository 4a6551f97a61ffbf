//! How often drift rings where nothing has changed, and how soon where something has: `drift --months N --seed S`, one JSON
//! document on stdout. `drift --rows MONTH --seed S` writes the quiet months of that number instead, as they were played: for
//! each world the numbers of features, rows, rows of reference and series, then the columns, all little-endian (u32 and f32).
//! `scripts/bench_drift.sh` runs it and holds the textbook's rules against it.

use std::io::Write;

use aifx::drift::honesty::{self, World};

#[allow(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` and `cargo bench --no-run` start it with flags of their own.
    let number = |flag: &str| -> Option<u64> {
        let place = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(place + 1)?.parse().ok()
    };
    let Some(seed) = number("--seed") else { return };
    if let Some(month) = number("--rows") {
        let mut out = std::io::stdout().lock();
        for world in [World::Indicators(38, 5), World::Candles(5)] {
            let (rows, n_reference) = honesty::month(world, seed, month);
            let n_series = rows.series.iter().max().map_or(0, |last| last + 1);
            let head = [rows.columns.len(), rows.len(), n_reference, n_series];
            let mut bytes: Vec<u8> = Vec::new();
            for count in head {
                bytes.extend(u32::try_from(count).expect("a count").to_le_bytes());
            }
            for value in rows.columns.iter().flatten() {
                bytes.extend((*value as f32).to_le_bytes());
            }
            out.write_all(&bytes).expect("stdout is open");
        }
        return;
    }
    let Some(months) = number("--months") else { return };
    let months = usize::try_from(months).expect("a count");
    println!("{}", serde_json::to_string(&honesty::run(months, seed)).expect("plain numbers"));
}
