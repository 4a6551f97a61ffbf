//! [`Verdict`]: what a window of features shows, in figures that an operator can be told.

use serde::{Deserialize, Serialize};

/// A way in which features can leave a reference; each is judged by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The mean over features of their Kolmogorov–Smirnov distance, each in standard deviations of its windows.
    Everything,
    /// The largest Kolmogorov–Smirnov distance of what each row brings new to one feature, in standard deviations.
    Surprise,
    /// The largest step of a feature's level that stays, all series together, in standard errors.
    Step,
    /// The mean over features of the size of what is new, as a logarithm, in standard deviations of their windows.
    Scale,
    /// The largest share of values that repeat the one before.
    Frozen,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] =
        [Kind::Everything, Kind::Surprise, Kind::Step, Kind::Scale, Kind::Frozen];

    /// A window rings from this reach on, where 1 is the furthest window of the reference.
    ///
    /// With some twenty windows that have no row in common, one in twenty quiet ones lies beyond all of them: a level of one look in
    /// a hundred needs more than that. How much more is measured (`scripts/bench_drift.sh`): a mean over all features varies less than
    /// the largest of them does, and steps have the longest tail, since a wild day of a quiet market looks like one.
    pub fn rings_from(self) -> f64 {
        match self {
            Kind::Scale => 1.2,
            Kind::Frozen => 1.5,
            Kind::Everything | Kind::Surprise => 1.7,
            Kind::Step => 2.4,
        }
    }
}

/// An alarm is over once nothing has rung for so many hours: as long as a window's three days, since windows an hour apart share nearly
/// all their rows, and one that hovers about its bound is one alarm.
pub const CALM_HOURS: usize = 72;

/// What is measured of a feature in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Measure {
    /// Kolmogorov–Smirnov distance from the reference, 0 to 1.
    pub distance: f64,
    /// Wasserstein distance, in the reference's standard deviations.
    pub wasserstein: f64,
    /// Population stability index.
    pub stability: f64,
    /// Kolmogorov–Smirnov distance of its standardised surprises from those of the reference.
    pub fresh: f64,
    /// The largest step of the level that stays, in standard errors.
    pub step: f64,
    /// ln of the mean size of a surprise to that of the reference.
    pub scale: f64,
    /// Share of values that are equal to the one before, 0 to 1.
    pub repeats: f64,
}

/// One kind of evidence in a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evidence {
    /// Which.
    pub kind: Kind,
    /// How strong, in the unit of the kind.
    pub value: f64,
    /// The same where 0 is the median window of the reference and 1 the furthest.
    pub reach: f64,
    /// Share of the reference's windows that are as strong.
    pub p: f64,
    /// The feature that it rests on, where it is one.
    pub feature: Option<usize>,
}

/// How far one feature has moved, and how many windows of the reference lie as far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FeatureDrift {
    /// What was measured.
    #[serde(flatten)]
    pub measure: Measure,
    /// The Kolmogorov–Smirnov distance in standard deviations above the median window.
    pub z: f64,
    /// Share of the reference's windows whose Kolmogorov–Smirnov distance is as large.
    pub p: f64,
    /// The same of the Wasserstein distance.
    pub p_wasserstein: f64,
    /// The same of the stability index.
    pub p_stability: f64,
}

/// What a window shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Each kind of evidence.
    pub evidence: Vec<Evidence>,
    /// The features by themselves, in their order.
    pub features: Vec<FeatureDrift>,
}

/// Two windows in a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Look {
    /// The last.
    pub verdict: Verdict,
    /// The one before.
    pub before: Verdict,
}

impl Evidence {
    fn rings(&self) -> bool {
        self.reach >= self.kind.rings_from()
    }
}

impl Look {
    /// The evidence of the last window that rings: in both windows, since one window in a row is soon an accident.
    pub fn ringing(&self) -> impl Iterator<Item = &Evidence> {
        let both = self.verdict.evidence.iter().zip(&self.before.evidence);
        both.filter(|(now, before)| now.rings() && before.rings()).map(|(now, _)| now)
    }

    /// Whether any rings.
    pub fn rings(&self) -> bool {
        self.ringing().next().is_some()
    }
}
