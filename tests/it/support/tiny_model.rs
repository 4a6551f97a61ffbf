//! A model of a few kilobytes that nobody trained: real files for tests of everything around a model.

use aifx::{
    artifact::{MODEL, PROBE, VersionFiles},
    dataset::{Scaler, Windows},
    features,
    inference::{ModelSpec, Predictor, weights},
    jobs::loading,
    labels::LabelRule,
    nn::{self, ModelConfig, Shape},
};
use serde_json::{Map, Value};

/// Files (without `metadata.json`) and what `metadata.json` says of the model.
pub(crate) fn tiny_model() -> (VersionFiles, Map<String, Value>) {
    let set = features::by_name("v1").expect("the first set");
    let names: Vec<String> = set.features.iter().map(|feature| feature.name.to_owned()).collect();
    let n = names.len();
    let label = LabelRule::Volatility { multiple: 1.0 };
    let spec = ModelSpec {
        feature_set: "v1".into(),
        features: names,
        lookback: 4,
        scaler: Scaler::neutral(n),
        classes: label.class_names().iter().map(|&name| name.to_owned()).collect(),
        label,
        horizon_minutes: [("1h".to_owned(), 240)].into(),
        temperature: 1.0,
        architecture: ModelConfig::Lstm { hidden: vec![4, 4], dense: 4, dropout: vec![0.0; 3] },
    };
    let shape = Shape { n_features: n as i64, n_classes: spec.classes.len() as i64 };
    let parameters = nn::build(&spec.architecture, shape).parameters();
    let n_values: i64 = parameters.iter().map(|parameter| parameter.len()).sum();
    let values: Vec<f32> = (0..n_values).map(|i| (i as f32).sin() / 4.0).collect();
    let bytes = weights::write(&parameters, &values);
    let description = loading::description(&spec).expect("finite numbers");
    let predictor = Predictor::new(spec, &bytes).expect("it fits");
    let values = (0..8 * n).map(|i| (i as f32).cos()).collect();
    let windows = Windows { values, n_features: n, lookback: 4 };
    let mut files = VersionFiles::new();
    files.insert(PROBE, predictor.probe(&windows, &[3, 5, 7])).expect("a name");
    files.insert(MODEL, bytes).expect("a name");
    (files, description)
}
