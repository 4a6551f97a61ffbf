"""Golden statistics: what scipy, statsmodels, arch and numpy make of generated values.

Writes stats.csv beside itself: a name, its arguments (numbers, a seed and a length first where values are generated),
the expected value. Made with numpy 2.4.6, scipy 1.17.1, statsmodels 0.15.0 and
arch 8.0.0:

    pip install numpy scipy statsmodels arch && python tests/golden/stats_scipy.py
"""

import csv
import pathlib

import numpy as np
from arch.bootstrap import optimal_block_length
from scipy import integrate, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportions_ztest


def generated(seed, n):
    """The generator of FORMULAS, so that the other side needs no file of values."""
    x, values = seed, []
    for _ in range(n):
        x = (1103515245 * x + 12345) % 2**31
        values.append(x / 2**31 - 0.5)
    return np.array(values)


def moving_sum(values, n):
    return np.convolve(values, np.ones(n), "valid")


def lo_eta(values, q, max_lag):
    """Lo (2002), equation 20, with autocorrelations of divisor n."""
    centred = values - values.mean()
    rho = [centred[k:] @ centred[: len(centred) - k] / (centred @ centred) for k in range(max_lag + 1)]
    return q / np.sqrt(q + 2 * sum((q - k) * rho[k] for k in range(1, min(q, max_lag + 1))))


def rows():
    for z in (-8.0, -3.5, -1.0, 0.0, 0.3, 1.959963984540054, 6.0):
        yield "normal_cdf", (z,), stats.norm.cdf(z)
    for p in (1e-9, 0.001, 0.025, 0.2, 0.5, 0.9, 0.975, 0.9999):
        yield "normal_quantile", (p,), stats.norm.ppf(p)
    for seed, n in ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 18), (7, 1001)):
        for k, q in enumerate((0.25, 0.5, 0.75)):
            yield "quartile", (seed, n, k), np.quantile(generated(seed, n), q)
    for seed, n, null in ((11, 5, 0.0), (12, 7, 0.1), (13, 30, -0.05), (14, 250, 0.02)):
        values = generated(seed, n)
        test = stats.ttest_1samp(values, null)
        yield "t", (seed, n, null), test.statistic
        yield "t_p", (seed, n, null), test.pvalue
        yield "t_p_above", (seed, n, null), stats.ttest_1samp(values, null, alternative="greater").pvalue
        for level in (0.8, 0.95, 0.99):
            low, high = stats.ttest_1samp(values, 0.0).confidence_interval(level)
            yield "t_low", (seed, n, level), low
            yield "t_high", (seed, n, level), high
    for first, n, second, m in ((21, 6, 22, 4), (23, 40, 24, 15), (25, 5, 26, 300)):
        test = stats.ttest_ind(generated(first, n), generated(second, m), equal_var=False)
        yield "welch_p", (first, n, second, m), test.pvalue
        yield "welch_low", (first, n, second, m), test.confidence_interval(0.95).low
    for b, c in ((0, 1), (5, 5), (3, 12), (40, 61), (700, 640)):
        yield "mcnemar", (b, c), mcnemar([[0, b], [c, 0]], exact=True).pvalue
    for hits, n in ((0, 12), (3, 12), (300, 600), (999, 1000)):
        for level in (0.9, 0.95):
            low, high = proportion_confint(hits, n, alpha=1 - level, method="wilson")
            yield "wilson_low", (hits, n, level), low
            yield "wilson_high", (hits, n, level), high
    for counts in ((330, 600, 300, 600), (5, 12, 2, 30), (0, 10, 3, 10)):
        low, high = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
        yield "newcombe_low", counts, low
        yield "newcombe_high", counts, high
        yield "two_proportions_p", counts, proportions_ztest(counts[::2], counts[1::2])[1]
    # arch divides each autocovariance by parts of the sample before it asks whether it is noise, the paper by the whole
    # variance. From some sixty values on they take the same lags.
    for seed, n, overlap in ((32, 60, 4), (33, 120, 1), (34, 250, 4), (35, 500, 12), (36, 2000, 24), (37, 90, 2), (38, 365, 8)):
        values = moving_sum(generated(seed, n), overlap)
        block = optimal_block_length(values)["stationary"].iloc[0]
        yield "block_length", (seed, n, overlap), max(block, 1.0)
        yield "skewness", (seed, n, overlap), stats.skew(values)
        yield "kurtosis", (seed, n, overlap), stats.kurtosis(values, fisher=False)
        yield "lo_eta", (seed, n, overlap, 252, 5), lo_eta(values, 252, 5)
    for seed, n, shift in ((41, 5, 0.0), (42, 7, 0.3), (43, 12, -0.2), (44, 25, 0.1), (45, 40, 0.4)):
        yield "mixture_t_p", (seed, n, shift), mixture_t_p(generated(seed, n) + shift)


def mixture_t_p(values, phi=4.0):
    """By integration: the mean in standard deviations is normal with variance 1/phi, the standard deviation dσ/σ."""

    def given(delta):
        at = lambda sigma: np.exp(stats.norm.logpdf(values, delta * sigma, sigma).sum()) / sigma
        return integrate.quad(at, 1e-3, 20, limit=500, epsabs=0, epsrel=1e-11)[0]

    mixed = integrate.quad(lambda d: given(d) * stats.norm.pdf(d, 0, phi**-0.5), -6, 6, limit=500, epsabs=0, epsrel=1e-10)[0]
    return min(given(0.0) / mixed, 1.0)


if __name__ == "__main__":
    with open(pathlib.Path(__file__).with_name("stats.csv"), "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "arguments", "expected"])
        for name, arguments, expected in rows():
            writer.writerow([name, " ".join(repr(a) for a in arguments), repr(float(expected))])
