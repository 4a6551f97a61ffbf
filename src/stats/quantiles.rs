//! Quantiles by linear interpolation between order statistics (Hyndman & Fan's type 7, numpy's default).

/// The three quartiles, lowest first, without sorting; reorders `values`. `None` of nothing or where a value is NaN.
pub fn quartiles(values: &mut [f64]) -> Option<[f64; 3]> {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let place = |quarter: usize| {
        let fourfold = (values.len() - 1) * quarter;
        (fourfold / 4, (fourfold % 4) as f64 / 4.0)
    };
    let [first, second, third] = [place(1), place(2), place(3)];
    // The median splits the values, so each of the others is looked for among its own half.
    let middle = *values.select_nth_unstable_by(second.0, f64::total_cmp).1;
    let median = between(middle, &values[second.0 + 1..], second.1);
    let low = *values[..=second.0].select_nth_unstable_by(first.0, f64::total_cmp).1;
    let low = between(low, &values[first.0 + 1..], first.1);
    let high = match third.0.checked_sub(second.0 + 1) {
        Some(rank) => *values[second.0 + 1..].select_nth_unstable_by(rank, f64::total_cmp).1,
        None => middle,
    };
    let high = between(high, &values[third.0 + 1..], third.1);
    Some([low, median, high])
}

/// From an order statistic towards the next one, which is the least of those above.
fn between(below: f64, above: &[f64], share: f64) -> f64 {
    if share > 0.0 {
        let next = above.iter().copied().fold(f64::INFINITY, f64::min);
        below + (next - below) * share
    } else {
        below
    }
}

/// The median; reorders `values`. `None` of nothing or where a value is NaN.
pub fn median(values: &mut [f64]) -> Option<f64> {
    quartiles(values).map(|[_, median, _]| median)
}

/// The quantile `q` (0 to 1) of values in ascending order; `None` of nothing.
pub fn quantile_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let below = place.floor() as usize;
    let low = sorted[below];
    let share = place - below as f64;
    Some(sorted.get(below + 1).map_or(low, |high| low + (high - low) * share))
}
