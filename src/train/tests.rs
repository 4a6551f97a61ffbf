//! Small trainings: a planted pattern is learned, bits repeat, a resumed run ends where an uninterrupted one does.

use super::*;
use crate::dataset::{Part, Purged, Scaler, TrainPart, Windows};

const LOOKBACK: usize = 4;

/// Windows of noise; the class is the sign of the last row's first feature, in three classes of about equal size.
fn folds(n: usize) -> Folds {
    use rand::RngExt;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let n_features = 3;
    let values: Vec<f32> = (0..n * n_features).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    let sample = |row: usize| {
        let x = values[row * n_features];
        Sample {
            row: row as u32,
            series: 0,
            class: if x < -0.33 {
                0
            } else if x < 0.33 {
                1
            } else {
                2
            },
            window_from_us: 0,
            decided_at_us: row as i64,
            label_until_us: row as i64,
        }
    };
    let part =
        |from: usize, to: usize| Part { samples: (from.max(LOOKBACK)..to).map(sample).collect() };
    Folds {
        train: TrainPart::of_test(part(0, n / 2)),
        validation: part(n / 2, 3 * n / 4),
        test: part(3 * n / 4, n),
        windows: Windows { values, n_features, lookback: LOOKBACK },
        scaler: Scaler::neutral(3),
        classes: ["sell", "hold", "buy"].map(str::to_owned).to_vec(),
        purged: Purged::default(),
        shortened: None,
        sha256: "test".into(),
    }
}

fn model() -> ModelConfig {
    ModelConfig::Lstm { hidden: vec![12, 8], dense: 8, dropout: vec![0.1, 0.1, 0.1] }
}

fn config(epochs: u32, threads: usize) -> FitConfig {
    FitConfig {
        epochs,
        threads,
        lr: 1e-2,
        batch: 16,
        device: DeviceChoice::Cpu,
        patience: 50,
        ..FitConfig::default()
    }
}

#[derive(Default)]
struct Recorder {
    checkpoints: Vec<Vec<u8>>,
    stop_after_epoch: Option<usize>,
}

impl FitObserver for Recorder {
    fn step(&mut self, _done: u64, _total: u64) {}

    fn epoch(&mut self, _row: &EpochRow, checkpoint: &[u8]) {
        self.checkpoints.push(checkpoint.to_vec());
    }

    fn should_stop(&mut self) -> bool {
        self.stop_after_epoch.is_some_and(|epochs| self.checkpoints.len() >= epochs)
    }
}

fn fit_quietly(folds: &Folds, config: &FitConfig) -> Fit {
    fit(folds, &model(), config, None, &mut Recorder::default()).expect("trains")
}

#[test]
fn a_planted_pattern_is_learned() {
    let fit = fit_quietly(&folds(1200), &config(12, 2));
    let last = fit.history.last().expect("epochs");
    assert!(last.validation_accuracy > 0.85, "{last:?}");
    assert!(last.validation_loss < fit.history[0].validation_loss);
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    let folds = folds(300);
    let weights = |seed| fit_quietly(&folds, &FitConfig { seed, ..config(2, 2) }).weights;
    assert_eq!(weights(1), weights(1));
    assert_ne!(weights(1), weights(2));
}

#[test]
fn a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one() {
    let folds = folds(300);
    let whole = fit_quietly(&folds, &config(5, 2));
    let mut recorder = Recorder { stop_after_epoch: Some(2), ..Recorder::default() };
    let stopped = fit(&folds, &model(), &config(5, 2), None, &mut recorder);
    assert_eq!(stopped, Err(FitError::Stopped));
    let checkpoint = recorder.checkpoints.last().expect("two epochs");
    let mut recorder = Recorder::default();
    let resumed =
        fit(&folds, &model(), &config(5, 2), Some(checkpoint), &mut recorder).expect("resumes");
    assert_eq!(recorder.checkpoints.len(), 3);
    assert_eq!(resumed.weights, whole.weights);
    assert_eq!(resumed.best_epoch, whole.best_epoch);
    // Another seed is another training: the checkpoint is not its own.
    let other = FitConfig { seed: 9, ..config(5, 2) };
    let fresh =
        fit(&folds, &model(), &other, Some(checkpoint), &mut Recorder::default()).expect("trains");
    assert_eq!(fresh.history.len(), 5);
}

#[test]
fn a_torn_checkpoint_is_ignored() {
    let folds = folds(300);
    let mut recorder = Recorder::default();
    let whole = fit(&folds, &model(), &config(2, 1), None, &mut recorder).expect("trains");
    let torn = &recorder.checkpoints[0][..recorder.checkpoints[0].len() / 2];
    let again =
        fit(&folds, &model(), &config(2, 1), Some(torn), &mut Recorder::default()).expect("trains");
    assert_eq!(again.weights, whole.weights);
}

#[test]
fn a_loss_that_leaves_the_numbers_stops_the_run_with_what_it_was_fed() {
    let mut folds = folds(200);
    folds.windows.values.iter_mut().for_each(|x| *x *= 1e38);
    let wild = FitConfig { lr: 1e30, clip_norm: 1e30, ..config(20, 1) };
    let error = fit(&folds, &model(), &wild, None, &mut Recorder::default()).expect_err("diverges");
    let text = error.to_string();
    assert!(text.contains("the loss became") && text.contains("learning rate 1e30"), "{text}");
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let missing = FitConfig { device: DeviceChoice::Cuda(7), ..config(1, 1) };
    let error = fit(&folds(200), &model(), &missing, None, &mut Recorder::default())
        .expect_err("no such device");
    assert_eq!(error, FitError::NoDevice("cuda:7".into()));
    assert!("gpu".parse::<DeviceChoice>().is_err());
}

#[test]
fn wrong_weights_are_refused_before_they_load() {
    let list = nn::build(&model(), Shape { n_features: 3, n_classes: 3 }).parameters();
    let values = nn::initial_values(&list, 1);
    let good = weights::write(&list, &values);
    assert_eq!(weights::read(&list, &good), Ok(values.clone()));
    // A file of one-element tensors would be broadcast by LibTorch's own loader.
    let mut small = list.clone();
    small.iter_mut().for_each(|parameter| parameter.shape = vec![1]);
    let error = weights::read(&list, &weights::write(&small, &values))
        .expect_err("wrong shapes")
        .to_string();
    assert!(
        error.contains(
            "lstm0.weight_ih_l0 has shape [1] F32 where the architecture has [48, 3] F32"
        ),
        "{error}"
    );
    let mut broken = values;
    broken[5] = f32::NAN;
    let error = weights::read(&list, &weights::write(&list, &broken)).expect_err("NaN").to_string();
    assert!(error.contains("not finite"), "{error}");
    assert!(weights::read(&list, &good[..good.len() / 2]).is_err());
    assert!(weights::read(&list[1..], &good).is_err());
}

#[test]
fn a_fine_tune_moves_the_weights_a_little_and_repeats_to_the_bit() {
    let folds = folds(400);
    let fit = fit_quietly(&folds, &config(3, 1));
    let fine = FitConfig { lr: 1e-3, ..config(4, 1) };
    let tune = |from: &[u8], config: &FitConfig| {
        let samples = &folds.test.samples;
        fine_tune(
            &folds.windows,
            (samples, &[]),
            &model(),
            3,
            from,
            config,
            &mut Recorder::default(),
        )
    };
    let tuned = tune(&fit.weights, &fine).expect("fine-tunes");
    assert_ne!(tuned.weights, fit.weights);
    assert_eq!((tuned.history.len(), tuned.best_epoch), (4, 4));
    assert!(
        tuned.history[3].train_loss < tuned.history[0].train_loss,
        "learns: {:?}",
        tuned.history
    );
    assert_eq!(tune(&fit.weights, &fine).expect("fine-tunes").weights, tuned.weights);
    let still = FitConfig { lr: 0.0, ..fine };
    assert_eq!(tune(&fit.weights, &still).expect("fine-tunes").weights, fit.weights);
    assert!(matches!(tune(&[1, 2, 3], &config(1, 1)), Err(FitError::Weights(_))));
}

#[test]
fn samples_that_count_more_are_learned_more() {
    let folds = folds(400);
    let fit = fit_quietly(&folds, &config(3, 1));
    let samples = &folds.test.samples;
    let fine = FitConfig { lr: 1e-3, ..config(6, 1) };
    let tune = |weights: &[f32]| {
        fine_tune(
            &folds.windows,
            (samples, weights),
            &model(),
            3,
            &fit.weights,
            &fine,
            &mut Recorder::default(),
        )
    };
    let plain = tune(&[]).expect("fine-tunes");
    let list = nn::build(
        &model(),
        nn::Shape { n_features: folds.windows.n_features as i64, n_classes: 3 },
    )
    .parameters();
    let values = |fit: &Fit| weights::read(&list, &fit.weights).expect("weights");
    let distance = |a: &Fit, b: &Fit| -> f32 {
        values(a).iter().zip(values(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    // All twice is all alike: a step divides by what its samples weigh.
    let twice = tune(&vec![2.0; samples.len()]).expect("fine-tunes");
    assert!(distance(&plain, &twice) < 1e-4, "{}", distance(&plain, &twice));
    // A class that counts fifty times is answered more.
    let of_class = |class: u8| -> Vec<f32> {
        samples.iter().map(|sample| if sample.class == class { 50.0 } else { 1.0 }).collect()
    };
    let tilted = tune(&of_class(2)).expect("fine-tunes");
    let bias = |fit: &Fit| {
        let all = values(fit);
        all[all.len() - 1] - all[all.len() - 3]
    };
    assert!(bias(&tilted) > bias(&plain), "{} {}", bias(&tilted), bias(&plain));
    for wrong in [vec![1.0; 3], vec![0.0; samples.len()], vec![f32::NAN; samples.len()]] {
        assert!(matches!(tune(&wrong), Err(FitError::Config(_))));
    }
}
