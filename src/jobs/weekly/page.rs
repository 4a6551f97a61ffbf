//! What the page of a version says, gathered from the run that made it. Not here: how it looks (`report`).

use super::Work;
use crate::{
    backtest::Backtest,
    evaluate::Figures,
    gate::Verdict,
    inference::ModelSpec,
    jobs::{
        assess::{Assessment, INDICATOR, MAJORITY, MODEL},
        loading,
    },
    labels::LabelRule,
    lineage::Version,
    market::instant,
    nn::ModelConfig,
    outcome::CostsConfig,
    report::{Epoch, FeatureRow, GapRow, PartRow, Quality, Rival, Trading, VersionReport},
};

pub(super) fn version_report(
    work: &Work<'_>,
    version: Version,
    (assessment, sized): (&Assessment, &Backtest),
    spec: &ModelSpec,
    verdict: &Verdict,
) -> VersionReport {
    let Work { app, name, line, set, settings, folds, fit, training_s, .. } = *work;
    let part = |name, part: &crate::dataset::Part| PartRow {
        name,
        n: part.len(),
        window: part.window().map(|(from, to)| (instant(from), instant(to))),
    };
    VersionReport {
        line: name.to_string(),
        version: version.to_string(),
        parent: None,
        as_of: app.as_of,
        seen_until: assessment.seen_until.at(),
        pairs: line.pairs.iter().map(ToString::to_string).collect(),
        timeframes: line.timeframes.iter().map(ToString::to_string).collect(),
        classes: folds.classes.clone(),
        label: label(&line.label),
        model: model(&line.model),
        lookback: line.lookback,
        costs: costs(&line.costs),
        batch: settings.fit.batch,
        lr: settings.fit.lr,
        seed: settings.fit.seed,
        threads: settings.fit.threads,
        dataset_sha256: folds.sha256.clone(),
        config_sha256: app.config_sha256.clone(),
        feature_set: set.name.to_owned(),
        features: set
            .features
            .iter()
            .map(|feature| FeatureRow {
                name: feature.name.to_owned(),
                definition: feature.definition.to_owned(),
            })
            .collect(),
        parts: vec![
            part("training", &folds.train),
            part("validation", &folds.validation),
            part("test", &folds.test),
        ],
        test: assessment.test.clone(),
        validation: assessment.validation.clone(),
        train: assessment.train.clone(),
        rivals: rivals(assessment),
        temperature: spec.temperature,
        history: fit
            .history
            .iter()
            .map(|row| Epoch {
                epoch: row.epoch,
                train_loss: row.train_loss,
                validation_loss: row.validation_loss,
            })
            .collect(),
        best_epoch: fit.best_epoch,
        trading: [MODEL, INDICATOR]
            .into_iter()
            .filter_map(|name| {
                let backtest = assessment.equity.get(name)?.clone();
                Some(Trading { name: title(name).to_owned(), backtest })
            })
            .chain([Trading {
                name: "account, sizes as configured".to_owned(),
                backtest: sized.clone(),
            }])
            .collect(),
        quality: quality(work),
        training_s,
        aifx: env!("CARGO_PKG_VERSION").to_owned(),
        gate: Some(verdict.clone()),
        libtorch: loading::LIBTORCH.to_owned(),
    }
}

/// What a model or baseline is called inside a sentence.
fn title(name: &str) -> &str {
    match name {
        MAJORITY => "majority class",
        INDICATOR => "indicator rule",
        other => other,
    }
}

fn rivals(assessment: &Assessment) -> Vec<Rival> {
    let rival = |name: &str| {
        let figures: &Figures = assessment.baselines.get(name)?;
        let comparison = assessment.comparisons.get(name)?;
        Some(Rival {
            title: title(name).to_owned(),
            figures: figures.clone(),
            comparison: comparison.clone(),
        })
    };
    [MAJORITY, INDICATOR].into_iter().filter_map(rival).collect()
}

fn quality(work: &Work<'_>) -> Quality {
    let material = &work.gathered.material;
    let (dropped, purged) = (work.dropped, work.folds.purged);
    let mut gaps: Vec<GapRow> = material
        .gaps()
        .into_iter()
        .map(|(series, gap)| GapRow {
            series,
            after: gap.after,
            before: gap.before,
            n_missing: gap.n_missing,
        })
        .collect();
    gaps.sort_by_key(|gap| std::cmp::Reverse(gap.n_missing));
    Quality {
        n_candles: material.candles.iter().map(|candles| candles.len()).sum(),
        extended_to_days: work.gathered.extended_to_days,
        dropped: vec![
            ("too little history", dropped.warm_up),
            ("window over a gap", dropped.gap),
            ("no label (yet)", dropped.unlabelled),
        ],
        purged: vec![
            ("a cut: horizon over it", purged.label),
            ("a cut: window over it", purged.window),
        ],
        gaps,
    }
}

fn label(rule: &LabelRule) -> String {
    match rule {
        LabelRule::Fixed { threshold } => {
            format!("fixed: ±{} % of entry within the horizon", round(threshold * 100.0))
        }
        LabelRule::Volatility { multiple } => {
            format!("volatility: ±{} × rolling volatility, scaled to the horizon", round(*multiple))
        }
        LabelRule::TripleBarrier { take_profit, stop_loss } => format!(
            "triple barrier: target {} %, stop {} %, whichever comes first within the horizon",
            round(take_profit * 100.0),
            round(stop_loss * 100.0)
        ),
        LabelRule::Quartile => {
            "quartile: by the quarters of the training part’s forward returns".to_owned()
        }
        LabelRule::Outcome => "outcome: whether the signals of another line won".to_owned(),
    }
}

fn model(config: &ModelConfig) -> String {
    let ModelConfig::Lstm { hidden, dense, dropout } = config;
    let joined = |values: Vec<String>, between| values.join(between);
    format!(
        "LSTM {}, dense {dense}, dropout {}",
        joined(hidden.iter().map(ToString::to_string).collect(), " → "),
        joined(dropout.iter().map(ToString::to_string).collect(), " · "),
    )
}

pub(in crate::jobs) fn costs(costs: &CostsConfig) -> String {
    let pips = |price: f64| format!("{:.1}", price * 1e4);
    format!("spread {} pips, slippage {} pips each way", pips(costs.spread), pips(costs.slippage))
}

/// Without the last digits of a binary fraction: 0.30000000000000004 reads 0.3.
fn round(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}
