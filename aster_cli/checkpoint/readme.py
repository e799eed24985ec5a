"""The model card that lies in the directory, for whoever opens it without aster."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import polars as pl

from aster_cli.card.limits import hardness, limits
from aster_cli.card.values import EpochRecord
from aster_cli.checkpoint.values import Checkpoint
from aster_cli.plain import plain
from aster_cli.sparklines import sparkline

PHASES = {"fit": "On the first part of the log", "refit": "Again, on all of it"}

_LEVELS = (0.5, 0.9, 0.99, 0.999)


def readme(checkpoint: Checkpoint) -> str:
    """The card in Markdown."""
    schema, training = checkpoint.schema, checkpoint.training
    sections = [
        "# An aster detector",
        "It tells rows of a sensor log that are unlike those it learnt from. To use it:",
        "```console\n$ aster score LOGS -m THIS_DIRECTORY\n$ aster inspect THIS_DIRECTORY\n```",
        "## What it learnt from",
        _facts(_origin(checkpoint)),
        "## Settings",
        _facts(_settings(checkpoint)),
        "## Training",
        *_training(training.epochs),
        *_hardness(training.epochs),
        "## Calibration",
        _calibration(checkpoint),
        "## Sensors",
        _table(
            ("sensor", "min", "median", "max", "missing"),
            _sensors(schema.log.sensors, checkpoint.reference),
        ),
        "## Limits",
        "\n".join(f"- {_cell(limit)}" for limit in limits(training)),
    ]
    return "\n\n".join(sections) + "\n"


def _origin(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    schema, training = checkpoint.schema, checkpoint.training
    unit = "s" if schema.log.seconds_per_unit is not None else "counts"
    yield "log", checkpoint.log_name
    yield "span", f"{training.start} to {training.end}"
    yield "rows", f"{training.rows:,}, one every {schema.period:g} {unit}"
    if schema.log.id_cols:
        yield "machines", f"{training.machines:,}, by {', '.join(schema.log.id_cols)}"
    if training.excluded_rows:
        yield "left out", f"{training.excluded_rows:,} rows of known incidents"
    cells = training.rows * len(schema.log.sensors)
    yield "missing cells", f"{training.missing_cells:,} of {cells:,}"
    for note in training.notes:
        yield "note", note


def _settings(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    schema, config = checkpoint.schema, checkpoint.config
    yield "windows", f"{schema.window_size} rows, every {schema.stride} rows when scoring"
    yield "gap", f"a step of more than {schema.max_gap:g} periods"
    model = config.model
    if checkpoint.backbone is None:
        yield "language model", "none"
    else:
        lora = f"LoRA rank {model.lora_rank}" if model.lora_rank else "frozen"
        yield (
            "language model",
            f"{model.backbone}, its first {model.backbone_layers} layers, {lora}",
        )
    yield "classifier", model.classifier
    yield "gradient reversal", f"strength {model.reversal_strength:g}"
    yield "sizes", f"width {model.width}, latent {model.latent_width}"
    yield "alert budget", f"{config.alert.alert_budget:.2%} of normal rows"
    yield "seed", str(config.training.seed)


def _training(epochs: Sequence[EpochRecord]) -> Iterator[str]:
    """Each phase's terms over its epochs."""
    for phase in dict.fromkeys(epoch.phase for epoch in epochs):
        own = [epoch for epoch in epochs if epoch.phase == phase]
        heading = f"{PHASES.get(phase, plain(phase))}: {own[-1].step:,} steps, {len(own)} epochs."
        series = {name: [epoch.losses.get(name) for epoch in own] for name in own[0].losses}
        for name in own[0].held_out:
            series[f"{name}, held out"] = [epoch.held_out.get(name) for epoch in own]
        rows = (
            (name, f"{values[0]:.3g}", f"{values[-1]:.3g}", sparkline(values, len(values)))
            for name, values in series.items()
        )
        yield f"{heading}\n\n{_table(('term', 'first', 'last', 'by epoch'), rows)}"


def _hardness(epochs: Sequence[EpochRecord]) -> Iterator[str]:
    """How hard the pseudo-anomalies became."""
    known = hardness(epochs)
    if known:
        yield "### How hard its pseudo-anomalies became"
        yield (
            f"`{sparkline(known, len(known), low=0.5, high=1.0)}`  between 0.5 (not told from held-out "
            f"windows) and 1 (always): {known[0]:.3f} after the first epoch, {min(known):.3f} at the "
            f"hardest, {known[-1]:.3f} after the last."
        )


def _calibration(checkpoint: Checkpoint) -> str:
    training, pooled = checkpoint.training, checkpoint.calibration.pooled
    rests = (
        f"The threshold rests on {training.calibration_rows:,} rows, held out or expected from other "
        f"parts of the log: about {training.effective_rows:,} independent windows"
    )
    rests += ", which are few, so it takes a margin." if training.margin else "."
    scores = [f"{score:.4g}" for score in np.quantile(pooled.held_out, _LEVELS)]
    levels = [f"{100 * level:g} % of normal rows below" for level in _LEVELS]
    thresholds = [
        ("threshold", f"{training.threshold:.4g}"),
        *(
            (f"threshold of {'/'.join(one.machine)}", f"{one.threshold:.4g}")
            for one in training.thresholds
        ),
    ]
    rows = [*zip(levels, scores, strict=True), *thresholds]
    return f"{rests}\n\n{_table(('', 'score'), rows)}"


def _sensors(names: Sequence[str], reference: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    """What each was like in training; over several machines, the range of their medians."""
    for name in names:
        own = reference.filter(pl.col("sensor") == name)
        missing = f"{int(own['missing'].sum()) / max(int(own['rows'].sum()), 1):.1%}"
        levels = own["percentiles"].drop_nulls().to_list()
        if not levels:
            yield name, "", "", "", missing
            continue
        middle = sorted({f"{level[50]:.4g}" for level in levels}, key=float)
        median = middle[0] if len(middle) == 1 else f"{middle[0]} to {middle[-1]}"
        low, high = min(level[0] for level in levels), max(level[-1] for level in levels)
        yield name, f"{low:.4g}", median, f"{high:.4g}", missing


def _facts(pairs: Iterable[tuple[str, str]]) -> str:
    return _table(("", ""), pairs)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """Text from a log as a table's cell may have it."""
    return (
        plain(text)
        .replace("\\", "\\\\")
        .replace("|", "\\|")
        .replace("`", "\\`")
        .replace("<", "&lt;")
    )
