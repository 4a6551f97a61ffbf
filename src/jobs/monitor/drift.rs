//! Whether the features have left what production learned from.
//!
//! Not here: the statistics (`crate::drift`), what follows.

use serde::Serialize;

use super::{Alarm, scene::Scene};
use crate::drift::{Calibration, Domain, DomainNull, Evidence, FeatureDrift, Kind, Look};

/// The name of the alarm.
pub(super) const ALARM: &str = "drift";

/// The last windows of features against the reference.
#[derive(Debug, Clone, Serialize)]
pub struct Drift {
    /// Trading days of a window.
    pub days: usize,
    /// Rows of a window, all series together.
    pub n_rows: usize,
    /// Windows of the reference that it was judged by.
    pub n_windows: usize,
    /// How many of them have no row in common.
    pub n_apart: usize,
    /// What rings.
    pub rings: Vec<Kind>,
    /// Both windows in a row.
    #[serde(flatten)]
    pub look: Look,
    /// Names of the features, in the order of the verdicts.
    pub features: Vec<String>,
}

/// The last windows of features against what production learned from; in words why there is nothing to say.
pub(super) fn of(scene: &Scene) -> Result<Drift, String> {
    let learned;
    let calibration = match &scene.calibration {
        Some(stored) => stored,
        None => {
            let names = scene.material.features.first().map_or(Vec::new(), |one| one.set.names());
            learned = Calibration::of(&names, &scene.reference()).ok_or(
                "not enough history: the reference holds too few windows to tell what is usual",
            )?;
            &learned
        }
    };
    let wanted = calibration.n_rows + calibration.step();
    // Each series' first row has none before it.
    let rows = scene.material.rows(i64::MIN..=i64::MAX, 2 * wanted);
    let prepared = calibration.prepare(&rows).ok_or(
        "the reference of production is of other features or fewer series than this line has",
    )?;
    let look = calibration.look(&prepared, rows.len()).ok_or_else(|| {
        format!("not enough history: {} rows, where two windows take {wanted}", rows.len())
    })?;
    Ok(Drift {
        days: calibration.days,
        n_rows: calibration.n_rows,
        n_windows: calibration.n_windows,
        n_apart: calibration.n_apart,
        rings: look.ringing().map(|one| one.kind).collect(),
        look,
        features: calibration.names().map(str::to_owned).collect(),
    })
}

/// Whether a model can tell the last window from what production learned from. Where the version does not keep how well its own
/// windows can be told, that takes many fits, and is done where somebody waits for it (`explain`).
pub(super) fn domain(scene: &Scene, drift: Option<&Drift>, explain: bool) -> Option<Domain> {
    let n_rows = drift?.n_rows;
    let stored = scene.calibration.as_ref().and_then(|stored| stored.domain.as_ref());
    if stored.is_none() && !explain {
        return None;
    }
    let reference = scene.reference();
    let learned;
    let null = match stored {
        Some(stored) => stored,
        None => {
            learned = DomainNull::of(&reference, n_rows)?;
            &learned
        }
    };
    Domain::of(null, &reference, &scene.material.rows(i64::MIN..=i64::MAX, n_rows))
}

impl Drift {
    /// The features that moved most, with their own z and p.
    fn most(&self, n: usize) -> Vec<String> {
        let mut all: Vec<_> = self.features.iter().zip(&self.look.verdict.features).collect();
        all.sort_by(|a, b| b.1.z.total_cmp(&a.1.z));
        let text = |(name, one): &(&String, &FeatureDrift)| {
            let measure = &one.measure;
            format!(
                "{name} (KS {:.2}, p {:.3}; {:.2} SD, p {:.3}; PSI {:.2}, p {:.3})",
                measure.distance,
                one.p,
                measure.wasserstein,
                one.p_wasserstein,
                measure.stability,
                one.p_stability
            )
        };
        all.iter().take(n).map(text).collect()
    }

    /// What one kind of evidence says.
    fn says(&self, one: &Evidence) -> String {
        let feature = one.feature.and_then(|feature| self.features.get(feature));
        let name = feature.map_or("no feature", String::as_str);
        let of_feature = one
            .feature
            .and_then(|feature| self.look.verdict.features.get(feature))
            .map(|one| one.measure);
        let measure = of_feature.unwrap_or_default();
        let what = match one.kind {
            Kind::Everything => format!("all features together lie {:.1} SD off", one.value),
            Kind::Surprise => format!("{name} moves in another way (KS {:.2})", measure.fresh),
            Kind::Step => format!("the level of {name} has made a step of {:.1} SE", measure.step),
            Kind::Scale => format!("all features move {:.1} SD wilder than usual", one.value),
            Kind::Frozen => {
                format!("{:.0} % of {name} repeat the value before", measure.repeats * 100.0)
            }
        };
        format!("{what}, reach {:.2} of {:.1}", one.reach, one.kind.rings_from())
    }
}

/// Whether it rings, in words.
pub(super) fn alarm(drift: &Result<Drift, String>) -> Alarm {
    let drift = match drift {
        Ok(drift) => drift,
        Err(why) => return Alarm { name: ALARM, rings: false, text: why.clone() },
    };
    let rings = !drift.rings.is_empty();
    let says = |one: &Evidence| drift.says(one);
    let evidence: Vec<String> = match rings {
        true => drift.look.ringing().map(says).collect(),
        false => drift.look.verdict.evidence.iter().map(says).collect(),
    };
    Alarm {
        name: ALARM,
        rings,
        text: format!(
            "the last {} trading days against {} windows of the reference, {} of them apart (reach 1 is the furthest of them; two \
             windows in a row ring): {}; most: {}",
            drift.days,
            drift.n_windows,
            drift.n_apart,
            evidence.join("; "),
            drift.most(3).join(", ")
        ),
    }
}
