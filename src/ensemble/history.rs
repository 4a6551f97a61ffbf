//! [`History`]: the weights of a line as they moved, day by day, and what they were for any list of members at any instant.

use super::{EnsembleConfig, Weights};
use crate::{lineage::Member, market::Micros};

/// The weights that hold from one midnight to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Day {
    /// Midnight UTC from which they hold, microseconds.
    pub from_us: Micros,
    /// They.
    pub weights: Weights,
}

/// Weights of a line in order of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    days: Vec<Day>,
}

impl History {
    /// Of days in any order.
    pub fn new(mut days: Vec<Day>) -> History {
        days.sort_by_key(|day| day.from_us);
        History { days }
    }

    /// The days, oldest first.
    pub fn days(&self) -> &[Day] {
        &self.days
    }

    /// The weights that hold at an instant, if any day lies before it.
    pub fn at(&self, at_us: Micros) -> Option<&Day> {
        let after = self.days.partition_point(|day| day.from_us <= at_us);
        self.days[..after].last()
    }

    /// The weights of a list of members at an instant: those of the line, with newcomers as they enter; before the first
    /// day those of a first mixture. A member that comes back enters with the weight that it had when it was last in the
    /// mixture.
    pub fn of_members(
        &self,
        members: &[Member],
        at_us: Micros,
        config: &EnsembleConfig,
        entry: impl Fn(Member) -> f64,
    ) -> Weights {
        match self.at(at_us) {
            None => Weights::first(members, config),
            Some(day) => day.weights.with_members(members, |member| {
                self.last_weight(member, at_us).unwrap_or_else(|| entry(member))
            }),
        }
    }

    fn last_weight(&self, member: Member, at_us: Micros) -> Option<f64> {
        let after = self.days.partition_point(|day| day.from_us <= at_us);
        let of = |day: &Day| {
            let component = super::Component::Network(member);
            day.weights.entries().iter().find(|entry| entry.component == component).copied()
        };
        let weight = self.days[..after].iter().rev().find_map(of)?.weight;
        (weight > 0.0 && weight < 1.0).then_some(weight)
    }
}
