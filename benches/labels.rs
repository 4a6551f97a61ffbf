//! Labels by the clock and by barriers: `labels TIMEFRAME RULE N_CANDLES N_SERIES INPUT OUTPUT
//! REPEATS`.
//! `scripts/bench/labels.py` writes INPUT, compares OUTPUT (classes, then forward returns) and runs the peers.

mod support;

use std::{fs::File, io::Write, path::Path};

use aifx::labels::{LabelRule, label};

fn main() {
    let Some(arguments) = support::arguments() else { return };
    let [timeframe, rule, n, n_series, input, output, repeats] = arguments.as_slice() else {
        panic!("TIMEFRAME RULE N_CANDLES N_SERIES INPUT OUTPUT REPEATS");
    };
    let timeframe = timeframe.parse().expect("a timeframe");
    let rule: LabelRule = rule.parse().expect("a rule");
    let n = n.parse().expect("a number");
    let n_series: usize = n_series.parse().expect("a number");
    let (series, _) = support::candles(Path::new(input), timeframe, n, n_series);
    let labels = support::repeat(repeats.parse().expect("a number"), || {
        series.iter().map(|candles| label(candles, &rule)).collect::<Vec<_>>()
    });
    let mut file = File::create(output).expect("the output can be made");
    for part in &labels {
        file.write_all(&part.class).expect("written");
    }
    for part in &labels {
        let bytes: Vec<u8> = part.forward_return.iter().flat_map(|r| r.to_le_bytes()).collect();
        file.write_all(&bytes).expect("written");
    }
}
