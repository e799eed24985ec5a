"""Aster against the best single peer, in a few lines to read after a run."""

from collections.abc import Iterable

from benchmarks.detection.figures import ByEntity, by_dataset, complete_figures, overall
from benchmarks.detection.results import Result

_KNN = ("knn-20", "knn-40")


def compare_with_peers(results: list[Result]) -> Iterable[str]:
    """Lines on the means and on the worst dataset; one line where some are not there yet."""
    for metric in ("VUS-PR", "AUC-PR", "AUC-ROC"):
        figures = complete_figures(results, metric)
        peers = {method: overall(own) for method, own in figures.items() if method != "aster"}
        if "aster" not in figures or not peers:
            yield "not all results of aster and of a peer are there yet"
            return
        best = max(peers, key=peers.__getitem__)
        own = overall(figures["aster"])
        yield (
            f"{metric}: aster {own:.3f}, best peer {best} {peers[best]:.3f}, "
            f"ratio {own / peers[best]:.3f}, difference {own - peers[best]:+.3f}"
        )
        if metric == "VUS-PR" and all(name in figures for name in _KNN):
            yield _worst_dataset(figures)


def _worst_dataset(figures: dict[str, ByEntity]) -> str:
    own = by_dataset(figures["aster"])
    rows = [by_dataset(figures[name]) for name in _KNN]
    ratios = {dataset: own[dataset] / max(row[dataset] for row in rows) for dataset in own}
    worst = min(ratios, key=ratios.__getitem__)
    return f"VUS-PR against the better kNN row, worst dataset {worst}: ratio {ratios[worst]:.3f}"
