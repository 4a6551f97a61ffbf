//! Metrics as Prometheus' text format, for node_exporter's textfile collector: [`METRICS`] is the one list of names, and
//! [`prometheus_text`] writes samples of them. `contrib/METRICS.md` says the same for people; a test holds them together.
//!
//! Invariant: a name, once released, keeps its meaning, unit and labels. A value that is not known has no sample: a gap in a
//! graph is honest, a zero is not. Not here: what the values are (`jobs::metrics`).

use std::fmt::Write;

/// What Prometheus may do with a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows, but for a table that was cleared.
    Counter,
}

impl Kind {
    /// As the format has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name; the unit comes last.
    pub name: &'static str,
    /// What may be done with it.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// In a sentence.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*
        /// Every metric, in the order of the file.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    BUILD_INFO = Gauge "aifx_build_info" ["version"] "Always 1; the label says which aifx wrote the file.";
    WRITTEN = Gauge "aifx_written_timestamp_seconds" [] "The instant that the run which wrote the file took for now.";
    PRODUCTION_INFO = Gauge "aifx_production_info" ["line", "version"] "Always 1; the label says which version answers.";
    PRODUCTION_AGE = Gauge "aifx_production_age_seconds" ["line"] "Time since the version that answers was made.";
    PROMOTED = Gauge "aifx_production_promoted_timestamp_seconds" ["line"] "When production last moved.";
    VERSIONS = Gauge "aifx_versions" ["line", "status"] "Versions of the registry by status.";
    RINGING = Gauge "aifx_alert_ringing" ["line", "alarm"] "1 while an alert is open, 0 for thirty days after it was closed.";
    LAST_SUCCESS = Gauge "aifx_last_success_timestamp_seconds" ["line", "job"] "When a job last ended well, or last left something.";
    OVERDUE = Gauge "aifx_job_overdue" ["line", "job"] "Times in its schedule at which a nightly job should have run and did not.";
    CANDLE_AGE = Gauge "aifx_candle_age_seconds" ["pair", "timeframe"] "Time since the last candle closed, weekends included.";
    CANDLES_MISSING = Gauge "aifx_candles_missing" ["pair", "timeframe"] "Candles that should have closed since, the market being open.";
    ACCURACY = Gauge "aifx_accuracy" ["line", "window"] "Share of production's unseen answers that were right, 0 to 1.";
    ACCURACY_THEN = Gauge "aifx_accuracy_at_promotion" ["line"] "The same on production's test days.";
    INDICATOR_ACCURACY = Gauge "aifx_indicator_accuracy" ["line", "window"] "Share that the indicator rule had right on the same samples.";
    LOG_LOSS = Gauge "aifx_log_loss" ["line", "window"] "Mean of -ln p of what came, nats.";
    CALIBRATION_ERROR = Gauge "aifx_calibration_error" ["line", "window"] "Expected calibration error, 0 to 1.";
    SCORED = Gauge "aifx_scored_answers" ["line", "window"] "Answers behind accuracy, log-loss and calibration.";
    DELAY = Gauge "aifx_answer_delay_seconds" ["line", "window"] "Median time from the close of a candle to its answer.";
    DRIFT_Z = Gauge "aifx_drift_z" ["line"] "Distance of the last window of features from the reference, in its own standard deviations.";
    DRIFT_P = Gauge "aifx_drift_p" ["line"] "Share of the reference's own windows that lie as far off, 0 to 1.";
    DOMAIN_AUC = Gauge "aifx_drift_domain_auc" ["line"] "Area under the ROC curve with which a logistic model tells the last days from the reference.";
    DOMAIN_P = Gauge "aifx_drift_domain_p" ["line"] "Share of the reference's own blocks of days that can be told as well, 0 to 1.";
    FEATURE_DRIFT_Z = Gauge "aifx_feature_drift_z" ["line", "feature"] "The same distance for one feature.";
    PROBATION_SAVED = Gauge "aifx_probation_saved_nats" ["line", "version", "replaced"] "Log-loss a day that a promotion on probation saves against what it replaced, nats.";
    PROBATION_P = Gauge "aifx_probation_p" ["line", "version", "replaced"] "The least p so far of one that is worth as much; it goes back when that is small and it saves nothing.";
    SIGNALS = Counter "aifx_signals_total" ["line", "signal"] "Answers of production by what they said.";
    SETTLED = Counter "aifx_settled_signals_total" ["line", "outcome"] "Settled buys and sells of production by how they ended.";
    OPEN = Gauge "aifx_open_signals" ["line"] "Answers of production that nothing has settled yet.";
    ACCOUNT_RETURN = Gauge "aifx_account_return" ["line", "window"] "Share of the account that trades closed in the window brought after costs.";
    ACCOUNT_DRAWDOWN = Gauge "aifx_account_drawdown" ["line"] "Largest fall of the account from a peak since the breaker began to count, a share of it.";
    BREAKER_TRIPPED = Gauge "aifx_breaker_tripped" ["line"] "1 where the line has stopped betting, else 0.";
    BREAKER_P = Gauge "aifx_breaker_p" ["line"] "The least p so far of bets that do not lose on average.";
    MEMBER_WEIGHT = Gauge "aifx_member_weight" ["line", "member"] "Share of production's answer that a network of its mixture, or the class prior, has today.";
    MEMBER_LOG_LOSS = Gauge "aifx_member_log_loss" ["line", "member"] "Mean log-loss of its own answers since it joined, nats.";
    DISK_FREE = Gauge "aifx_disk_free_bytes" [] "Free where the models are.";
}

/// A value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Of which.
    pub metric: Metric,
    /// Values of its labels, in their order.
    pub labels: Vec<String>,
    /// The value; one that is not finite is left out.
    pub value: f64,
}

impl Sample {
    /// A value with its labels, in the order of [`Metric::labels`].
    pub fn of(metric: Metric, labels: &[&str], value: f64) -> Sample {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        Sample { metric, labels: labels.iter().map(|label| (*label).to_owned()).collect(), value }
    }
}

/// The file (exposition format 0.0.4): each metric once with what it is, then its samples in the order given.
pub fn prometheus_text(samples: &[Sample]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for metric in METRICS {
        let of_it: Vec<&Sample> = samples
            .iter()
            .filter(|sample| sample.metric.name == metric.name && sample.value.is_finite())
            .collect();
        if of_it.is_empty() {
            continue;
        }
        let _ = writeln!(text, "# HELP {} {}", metric.name, escaped(metric.help, false));
        let _ = writeln!(text, "# TYPE {} {}", metric.name, metric.kind.name());
        for sample in of_it {
            let labels: Vec<String> = metric
                .labels
                .iter()
                .zip(&sample.labels)
                .map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true)))
                .collect();
            let labels = match labels.is_empty() {
                true => String::new(),
                false => format!("{{{}}}", labels.join(",")),
            };
            let _ = writeln!(text, "{}{labels} {}", metric.name, sample.value);
        }
    }
    text
}

/// Backslash and newline always, a quotation mark in a label.
fn escaped(text: &str, in_label: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if in_label => out.push_str("\\\""),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_text_is_what_the_collector_reads() {
        let samples = [
            Sample::of(ACCURACY, &["fx", "7d"], 0.5125),
            Sample::of(PRODUCTION_AGE, &["fx"], 259_200.0),
            Sample::of(SIGNALS, &["a \"line\"\\\nof two", "buy"], 12.0),
            Sample::of(ACCURACY, &["fx", "30d"], f64::NAN),
            Sample::of(DRIFT_Z, &["fx"], -1.25),
            Sample::of(DISK_FREE, &[], 1e15),
        ];
        let expected = "\
# HELP aifx_production_age_seconds Time since the version that answers was made.
# TYPE aifx_production_age_seconds gauge
aifx_production_age_seconds{line=\"fx\"} 259200
# HELP aifx_accuracy Share of production's unseen answers that were right, 0 to 1.
# TYPE aifx_accuracy gauge
aifx_accuracy{line=\"fx\",window=\"7d\"} 0.5125
# HELP aifx_drift_z Distance of the last window of features from the reference, in its own standard deviations.
# TYPE aifx_drift_z gauge
aifx_drift_z{line=\"fx\"} -1.25
# HELP aifx_signals_total Answers of production by what they said.
# TYPE aifx_signals_total counter
aifx_signals_total{line=\"a \\\"line\\\"\\\\\\nof two\",signal=\"buy\"} 12
# HELP aifx_disk_free_bytes Free where the models are.
# TYPE aifx_disk_free_bytes gauge
aifx_disk_free_bytes 1000000000000000
";
        assert_eq!(prometheus_text(&samples), expected);
        assert_eq!(prometheus_text(&[]), "");
    }

    #[test]
    fn names_follow_the_rules() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len(), "each name once");
        for metric in METRICS {
            assert!(metric.name.starts_with("aifx_"), "{}", metric.name);
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == Kind::Counter,
                "{}",
                metric.name
            );
        }
    }

    /// Every word of a text that could be the name of a metric.
    fn named(text: &str) -> BTreeSet<&str> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.starts_with("aifx_"))
            .collect()
    }

    #[test]
    fn dashboard_and_rules_name_only_what_is_written_and_the_document_names_all() {
        let written: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        let dashboard = include_str!("../../contrib/grafana/aifx.json");
        let rules = include_str!("../../contrib/prometheus/aifx.rules.yml");
        for (file, text) in [("aifx.json", dashboard), ("aifx.rules.yml", rules)] {
            let names = named(text);
            assert!(names.len() > 5, "{file}: {names:?}");
            let unknown: Vec<_> = names.difference(&written).collect();
            assert!(unknown.is_empty(), "{file} names {unknown:?}, which aifx does not write");
        }
        serde_json::from_str::<serde_json::Value>(dashboard).expect("the dashboard is JSON");
        serde_yaml::from_str::<serde_yaml::Value>(rules).expect("the rules are YAML");
        let document = include_str!("../../contrib/METRICS.md");
        for Metric { name, kind, labels, help } in METRICS {
            let labels = match labels.is_empty() {
                true => String::new(),
                false => format!("`{}`", labels.join("` `")),
            };
            let row = format!("| `{name}` | {} | {labels} | {help} |", kind.name());
            assert!(document.contains(&row), "contrib/METRICS.md lacks the row\n{row}");
        }
        assert_eq!(named(document), written, "contrib/METRICS.md");
    }
}
