"""From results to means: over seeds, then over a dataset's entities, then over datasets."""

from collections.abc import Iterable
from statistics import mean

from benchmarks.detection.results import Result

ByEntity = dict[str, float]
"""A figure by entity, named as ``SKAB/valve1-1``."""


def by_entity(results: Iterable[Result], metric: str) -> dict[str, ByEntity]:
    """Every method's mean over its seeds; entities where the metric is undefined are left out."""
    values: dict[str, dict[str, list[float]]] = {}
    for result in results:
        value = result.metrics.get(metric)
        if value is not None:
            values.setdefault(result.method, {}).setdefault(result.key, []).append(value)
    return {
        method: {entity: mean(found) for entity, found in entities.items()}
        for method, entities in values.items()
    }


def by_dataset(figures: ByEntity) -> dict[str, float]:
    """The mean over each dataset's entities."""
    datasets: dict[str, list[float]] = {}
    for entity, value in figures.items():
        datasets.setdefault(entity.split("/")[0], []).append(value)
    return {dataset: mean(values) for dataset, values in datasets.items()}


def overall(figures: ByEntity) -> float:
    """The mean over datasets, each counting once whatever its number of entities."""
    return mean(by_dataset(figures).values())


def complete_methods(results: Iterable[Result]) -> list[str]:
    """The methods that have figures for every entity that any method has a result for."""
    wanted: set[str] = set()
    found: dict[str, set[str]] = {}
    for result in results:
        wanted.add(result.key)
        if result.error is None:
            found.setdefault(result.method, set()).add(result.key)
    return [method for method, entities in found.items() if entities == wanted]


def complete_figures(results: list[Result], metric: str) -> dict[str, ByEntity]:
    """`by_entity` of the methods that can be compared, since none lacks an entity."""
    complete = complete_methods(results)
    return {m: own for m, own in by_entity(results, metric).items() if m in complete}
