"""Mean ranks of methods over entities, and how far apart they must lie to tell them apart."""

import math

from benchmarks.detection.figures import ByEntity, overall

SIGNIFICANCE = 0.05


def mean_ranks(figures: dict[str, ByEntity]) -> dict[str, float]:
    """Rank methods on every entity, 1 for the highest figure; average as figures are averaged.

    Methods with equal figures share the mean of their ranks.

    Args:
        figures: Every method's, all of the same entities.
    """
    from scipy.stats import rankdata

    methods = list(figures)
    ranks: dict[str, ByEntity] = {method: {} for method in methods}
    for entity in figures[methods[0]] if methods else ():
        found = rankdata([-figures[method][entity] for method in methods])
        for method, rank in zip(methods, found.tolist(), strict=True):
            ranks[method][entity] = rank
    return {method: overall(own) for method, own in ranks.items()}


def critical_difference(n_methods: int, n_entities: int) -> float:
    """The difference of mean ranks that Nemenyi's test calls significant.

    Demšar, *Statistical Comparisons of Classifiers over Multiple Data Sets*, JMLR 7, 2006, section
    3.2.2. The test takes entities as independent; those of one dataset are not, so that the true
    difference is larger than this.
    """
    from scipy.stats import studentized_range

    quantile = studentized_range.ppf(1 - SIGNIFICANCE, n_methods, math.inf) / math.sqrt(2)
    return float(quantile * math.sqrt(n_methods * (n_methods + 1) / (6 * n_entities)))


def groups_within(ranks: dict[str, float], distance: float) -> list[list[str]]:
    """The largest groups of two methods or more whose ranks lie within a distance, best first."""
    ordered = sorted(ranks, key=ranks.__getitem__)
    groups: list[list[str]] = []
    for first, method in enumerate(ordered):
        group = [m for m in ordered[first:] if ranks[m] - ranks[method] <= distance]
        if len(group) > 1 and not (groups and group[-1] == groups[-1][-1]):
            groups.append(group)
    return groups
