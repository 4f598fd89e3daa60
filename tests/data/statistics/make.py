"""Makes statistics.json: results of scipy and scikit-learn, and of counting out every case where scipy has no exact
result with ties.

    pip install -r requirements.txt
    python make.py
"""

import itertools
import json
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn.metrics import average_precision_score

rng = np.random.default_rng(20251103)


def numbers(n, tied=False):
    values = rng.normal(size=n) + 0.3
    return np.round(values * 2) / 2 if tied else values


def tail(statistics, observed):
    """Two-sided p: twice the smaller tail, at most 1. `statistics` are those of all equally likely cases."""
    statistics = np.asarray(statistics)
    below, above = np.mean(statistics <= observed + 1e-9), np.mean(statistics >= observed - 1e-9)
    return float(min(1.0, 2 * min(below, above)))


def signed_rank(differences):
    kept = differences[differences != 0]
    ranks = stats.rankdata(np.abs(kept))
    statistic = float(ranks[kept > 0].sum())
    size = len(kept)
    if size <= 50 and len(np.unique(np.abs(kept))) == size:
        p = stats.wilcoxon(kept, method="exact").pvalue
    elif size <= 50:
        p = tail([ranks[np.array(s)].sum() for s in itertools.product([False, True], repeat=size)], statistic)
    else:
        p = stats.wilcoxon(kept, method="approx", correction=False).pvalue
    return {"differences": differences.tolist(), "statistic": statistic, "p": float(p)}


def rank_sum(a, b):
    both = np.concatenate([a, b])
    found = stats.mannwhitneyu(a, b, method="exact" if len(both) <= 40 else "asymptotic")
    p = found.pvalue
    if len(both) <= 40 and len(np.unique(both)) < len(both):
        ranks = stats.rankdata(both)
        p = tail([ranks[list(s)].sum() for s in itertools.combinations(range(len(both)), len(a))], ranks[: len(a)].sum())
    return {"a": a.tolist(), "b": b.tolist(), "statistic": float(found.statistic), "p": float(p)}


def fisher(a, n, b, m):
    return {"a": [a, n], "b": [b, m], "p": float(stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue)}


def mcnemar(b, c):
    return {"first": b, "second": c, "p": float(stats.binomtest(b, b + c, 0.5).pvalue)}


def holm(p):
    # stats.false_discovery_control has no Holm: the definition, p_(i) times the number of p not below it, made monotone.
    p = np.asarray(p)
    adjusted = [max(min(1.0, float(np.sum(p >= q) * q)) for q in p[p <= one]) for one in p]
    return {"p": p.tolist(), "corrected": adjusted}


def spearman(a, b):
    return {"a": a.tolist(), "b": b.tolist(), "r": float(stats.spearmanr(a, b).statistic)}


def average_precision(scores, inside):
    """Scores are rounded to f32 first, as maps are."""
    scores = scores.astype(np.float32).astype(float)
    found = average_precision_score(inside, scores)
    return {"scores": scores.tolist(), "inside": inside.tolist(), "average_precision": float(found)}


def bootstrap(values):
    """scipy's own percentile intervals of the mean and of a difference of means, of many resamples."""
    other = values[: len(values) // 2] ** 2
    options = {"method": "percentile", "n_resamples": 200_000, "vectorized": True, "batch": 5000}
    one = stats.bootstrap((values,), np.mean, rng=rng, **options).confidence_interval
    difference = lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis)
    two = stats.bootstrap((values, other), difference, rng=rng, **options).confidence_interval
    return {"values": values.tolist(), "other": other.tolist(), "mean": list(map(float, one)), "difference": list(map(float, two))}


result = {
    "signed_rank": [
        signed_rank(numbers(5)),
        signed_rank(numbers(12)),
        signed_rank(numbers(50)),
        signed_rank(numbers(15, tied=True)),
        signed_rank(numbers(51)),
        signed_rank(numbers(300, tied=True)),
    ],
    "rank_sum": [
        rank_sum(numbers(3), numbers(4)),
        rank_sum(numbers(17), numbers(23) + 0.5),
        rank_sum(numbers(6, tied=True), numbers(9, tied=True)),
        rank_sum(numbers(40), numbers(70) + 0.3),
        rank_sum(numbers(60, tied=True), numbers(50, tied=True) + 0.5),
    ],
    "fisher": [fisher(3, 4, 1, 4), fisher(8, 10, 1, 6), fisher(0, 5, 5, 5), fisher(130, 300, 95, 310), fisher(2, 7, 0, 1)],
    "mcnemar": [mcnemar(1, 9), mcnemar(5, 5), mcnemar(0, 3), mcnemar(40, 71)],
    "holm": [holm([0.01, 0.04, 0.03, 0.005]), holm([0.5, 0.9, 0.2]), holm([0.001])],
    "spearman": [
        spearman(numbers(20), numbers(20)),
        spearman(numbers(64, tied=True), numbers(64, tied=True)),
        spearman(np.arange(7.0), -np.arange(7.0) ** 3),
    ],
    "quantile": [
        {"values": values.tolist(), "share": share, "quantile": float(np.quantile(values, share))}
        for values in [np.sort(numbers(11)), np.sort(numbers(40, tied=True))]
        for share in [0.0, 0.025, 0.25, 0.5, 0.77, 1.0]
    ],
    "bootstrap": [bootstrap(rng.exponential(size=30)), bootstrap(numbers(200))],
    "average_precision": [
        average_precision(numbers(30), rng.random(30) < 0.3),
        average_precision(numbers(100, tied=True), rng.random(100) < 0.1),
        average_precision(np.round(rng.random(200) * 3), np.arange(200) % 7 == 0),
        average_precision(np.ones(9), np.arange(9) < 2),
        average_precision(np.arange(8.0), np.arange(8) > 4),
        average_precision(np.arange(8.0), np.arange(8) < 1),
    ],
}
Path(__file__).with_name("statistics.json").write_text(json.dumps(result, indent=1) + "\n")
