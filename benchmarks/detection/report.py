"""The results as Markdown, between two markers so that the text around them stays."""

from collections.abc import Iterable
from pathlib import Path
from statistics import mean, median

from benchmarks.detection.ablation import STEPS, STRIDES, WITH_LLM, WITHOUT_LLM
from benchmarks.detection.contract import READINGS
from benchmarks.detection.figures import (
    ByEntity,
    by_dataset,
    by_entity,
    complete_figures,
    complete_methods,
    overall,
)
from benchmarks.detection.methods import METHODS
from benchmarks.detection.picture import Panel, draw
from benchmarks.detection.ranks import critical_difference, mean_ranks
from benchmarks.detection.results import METRICS, Result

BEGIN, END = "<!-- detection: begin -->", "<!-- detection: end -->"
TABLES = METRICS[:6]
RANKED = ("AUC-ROC", "AUC-PR", "VUS-ROC", "VUS-PR")
PICTURED = ("VUS-PR", "AUC-ROC")

_INTRODUCTION = """\
Every method learns from an entity's training log and scores its labelled log. Means are taken over
seeds, then over a dataset's entities, then over datasets. "Oracle" is the best threshold for these
labels, which no user can know; nothing is point-adjusted. Entities without an anomaly count for
false alarms only. A method without results for every entity is left out of means and ranks; a `-`
marks what is missing. The peers' data are scaled and filled as aster's own are; what each peer is
and where it comes from stands in `benchmarks/detection/peers.py` and `deep_peers.py`. The constants of
aster's method were chosen on the core, and the latest with a look at the other logs too; the peers have
their authors' defaults."""

_RANKS = """\
Ranks among all {methods} methods with every result: 1 is the best, ties share their mean. The
picture joins methods whose ranks differ by less than Nemenyi's critical difference, {distance:.2f}
at the 5 % level for {entities} entities (Demšar, JMLR 7, 2006). The test takes entities as
independent and alike in weight; those of one dataset are not independent, and here datasets weigh
alike. So read it as the least difference that could count."""


_ABLATION = """\
Core, one seed, {steps} steps of training for every row (the second training over the whole log has
40 % of that), one part taken away or replaced at a time. Small differences of one seed say little."""


def write_report(everything: list[Result], output: Path, picture: Path) -> None:
    """Write the tables into the output, and the picture beside it."""
    results = [result for result in everything if result.method in METHODS]
    core = [result for result in results if result.core]
    parts = ["## Detection quality", _INTRODUCTION, *_section("Core", core)]
    if len(core) < len(results):
        parts += _section("All entities", results)
    parts += _own_parts(everything) + _ablation(everything)
    panels = _panels(core, PICTURED)
    if panels:
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_text(draw(panels), encoding="utf-8")
        parts.insert(2, f"![Mean ranks with their critical difference]({picture.name})")
    insert(output, "\n\n".join(parts))


def _section(title: str, results: list[Result]) -> list[str]:
    """The tables of some entities."""
    if not results:
        return []
    entities = {result.key for result in results}
    datasets = sorted({result.dataset for result in results})
    complete = complete_methods(results)
    parts = [
        f"### {title}: {len(entities)} entities of {len(datasets)} datasets",
        _overview(results, complete, len(entities)),
        _machines(results),
    ]
    for metric in TABLES:
        figures = by_entity(results, metric)
        if figures:
            parts += [f"#### {metric}", _metric_table(figures, datasets, complete)]
    parts += _ranks(results)
    if "aster" in _methods(results):
        parts += ["#### False alarms at aster's default threshold", _false_alarms(results)]
    failures = [result for result in results if result.error is not None]
    if failures:
        parts += [
            "#### Failures",
            "\n".join(f"- {r.method} on {r.key}, seed {r.seed}: {r.error}" for r in failures),
        ]
    return parts


def _own_parts(everything: list[Result]) -> list[str]:
    """What aster's two readings say alone."""
    rows = [("aster", "both, joined"), *((f"aster-{r}-alone", f"{r} alone") for r in READINGS)]
    lines = _compared([r for r in everything if r.core], rows)
    return ["### The score and its parts, core", lines] if lines else []


def _ablation(everything: list[Result]) -> list[str]:
    """The variants, each table beside its first row, as far as they have been run on all the core."""
    core = [result for result in everything if result.core and result.seed == 0]
    parts = [(f"ablation-no-llm-{r}-alone", f"score: {r} alone") for r in READINGS]
    found = [
        _compared(core, [(name, variant.label) for name, variant in variants.items()] + more)
        for variants, more in ((WITH_LLM, []), (WITHOUT_LLM, parts), (STRIDES, []))
    ]
    tables = [table for table in found if table]
    return ["### Ablation", _ABLATION.format(steps=STEPS), *tables] if tables else []


def _compared(results: list[Result], rows: list[tuple[str, str]]) -> str:
    """Methods beside the first of them; empty where that lacks results, or has nothing beside it."""
    own = [result for result in results if result.method in {name for name, _ in rows}]
    complete = set(complete_methods(own))
    if rows[0][0] not in complete or len(complete) == 1:
        return ""
    figures = {metric: by_entity(own, metric) for metric in RANKED}
    first = overall(figures["VUS-PR"][rows[0][0]])
    cells = []
    for name, label in rows:
        if name in complete:
            means = [overall(figures[metric][name]) for metric in RANKED]
            training = _median(r.train_seconds for r in own if r.method == name)
            scoring = _median(r.score_seconds for r in own if r.method == name)
            shown = [_number(m, 3) for m in means]
            seconds = [_number(training, 0), _number(scoring, 1)]
            cells.append([label, *shown, f"{means[-1] - first:+.3f}", *seconds])
    head = ["", *RANKED, "VUS-PR, difference", "training s (median)", "scoring s (median)"]
    return _table(head, cells)


def _overview(results: list[Result], complete: list[str], n_entities: int) -> str:
    """What each method has been run on, and what it costs."""
    rows = []
    for method in _methods(results):
        own = [r for r in results if r.method == method and r.error is None]
        codes = len({result.code for result in own})
        rows.append(
            [
                method,
                f"{len({r.key for r in own})} of {n_entities}"
                + ("" if method in complete else ", **incomplete**")
                + (f", {codes} versions of the code" if codes > 1 else ""),
                str(len({result.seed for result in own})),
                _number(_median(r.train_seconds for r in own), 1),
                _number(_median(r.score_seconds for r in own), 1),
                _number(max((r.peak_memory_mb or 0 for r in own), default=None), 0),
            ]
        )
    head = [
        "method",
        "entities",
        "seeds",
        "training s (median)",
        "scoring s (median)",
        "peak memory MB (most)",
    ]
    return _table(head, rows)


def _machines(results: list[Result]) -> str:
    """What the seconds were measured with."""
    used = sorted({(result.threads, result.cpu_count) for result in results})
    return f"Run with {' and with '.join(f'{n} of {cores} cores' for n, cores in used)}."


def _metric_table(figures: dict[str, ByEntity], datasets: list[str], complete: list[str]) -> str:
    """Methods by datasets, the best mean first and the best of every column bold."""
    entities = {entity for own in figures.values() for entity in own}
    rows: dict[str, list[float | None]] = {}
    for method, own in figures.items():
        whole = by_dataset(own)
        for entity in entities - own.keys():
            whole.pop(entity.split("/")[0], None)
        means = [whole.get(dataset) for dataset in datasets]
        rows[method] = [*means, overall(own) if method in complete else None]
    best = [
        max((v for v in column if v is not None), default=None)
        for column in zip(*rows.values(), strict=True)
    ]
    ordered = sorted(rows, key=lambda method: -(rows[method][-1] or 0))
    cells = [
        [
            method,
            *(
                f"**{_number(value, 3)}**"
                if value is not None and value == top
                else _number(value, 3)
                for value, top in zip(rows[method], best, strict=True)
            ),
        ]
        for method in ordered
    ]
    return _table(["method", *datasets, "mean"], cells)


def _ranks(results: list[Result]) -> list[str]:
    """The table of mean ranks, once there are two methods to rank."""
    panels = {panel.title: panel for panel in _panels(results, RANKED)}
    if not panels:
        return []
    first = panels["VUS-PR"]
    rows = [
        [method, *(_number(panels[metric].ranks[method], 2) for metric in RANKED)]
        for method in sorted(first.ranks, key=first.ranks.__getitem__)
    ]
    n_entities = len(next(iter(complete_figures(results, "VUS-PR").values())))
    text = _RANKS.format(methods=len(rows), entities=n_entities, distance=first.distance)
    return ["#### Mean ranks", text, _table(["method", *RANKED], rows)]


def _panels(results: list[Result], metrics: tuple[str, ...]) -> list[Panel]:
    """The ranks of every metric, none with fewer than two methods to rank."""
    panels = []
    for metric in metrics:
        figures = complete_figures(results, metric)
        if len(figures) > 1:
            n_entities = len(next(iter(figures.values())))
            distance = critical_difference(len(figures), n_entities)
            panels.append(Panel(metric, mean_ranks(figures), distance))
    return panels


def _false_alarms(results: list[Result]) -> str:
    """Normal rows that aster flags: by dataset, and on logs without an anomaly."""
    own = [result for result in results if result.method == "aster"]
    rates = by_entity(own, "False-Alarm-Rate").get("aster", {})
    recalls = by_entity(own, "Event-Recall").get("aster", {})
    groups: dict[str, list[str]] = {}
    for entity in rates:
        dataset = entity.split("/")[0]
        groups.setdefault(dataset if entity in recalls else f"{dataset}, no anomaly", []).append(
            entity
        )
    rows = []
    for group, entities in sorted(groups.items()):
        worst = max(entities, key=rates.__getitem__)
        found = [recalls[entity] for entity in entities if entity in recalls]
        rows.append(
            [
                group,
                str(len(entities)),
                _percent(mean(rates[entity] for entity in entities)),
                f"{_percent(rates[worst])} ({worst})",
                _percent(mean(found)) if found else "-",
            ]
        )
    return _table(["logs", "entities", "normal rows flagged", "most", "events found"], rows)


def _methods(results: list[Result]) -> list[str]:
    return list(dict.fromkeys(result.method for result in results))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def insert(output: Path, text: str) -> None:
    """Put a text between the markers of a file; without markers, at its end; without a file, in one.

    Raises:
        ValueError: Only one of the markers is there.
    """
    block = f"{BEGIN}\n\n{text}\n\n{END}"
    whole = output.read_text(encoding="utf-8") if output.is_file() else "# Benchmarks\n"
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        whole = f"{before}{block}{after}"
    elif BEGIN in whole or END in whole:
        raise ValueError(f"{output} has only one of the markers {BEGIN} and {END}")
    else:
        whole = f"{whole.rstrip()}\n\n{block}\n"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(whole, encoding="utf-8")
