"""The model card that lies in the directory, for whoever opens it without aster."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from aster_cli.card import EpochRecord, ModelCard, hardness, limits
from aster_cli.card.facts import (
    PHASES,
    Fact,
    hardness_facts,
    loss_rows,
    origin_facts,
    sensor_rows,
    settings_facts,
    threshold_facts,
)
from aster_cli.plain import plain
from aster_cli.results import FloatArray
from aster_cli.wording import count, number

_LEVELS = (0.5, 0.9, 0.99, 0.999)


def readme(card: ModelCard, held_out: FloatArray) -> str:
    """The card in Markdown; what it says of the model is what `aster inspect` says.

    Args:
        card: Of all but the date: the same training gives the same text.
        held_out: Scores of normal rows.
    """
    training = card.training
    origin = [("model", card.manifest.model_id), *origin_facts(card)]
    sections = [
        "# An aster detector",
        "It tells rows of a sensor log that are unlike those it learnt from. To use it:",
        "```console\n$ aster score LOGS -m THIS_DIRECTORY\n$ aster inspect THIS_DIRECTORY\n```",
        "## What it learnt from",
        _facts(fact for fact in origin if fact[0] != "trained"),
        "## Settings",
        _facts([*settings_facts(card), ("seed", str(card.manifest.seed))]),
        "## Training",
        *_training(training.epochs),
        *_hardness(training.epochs),
        "## Calibration",
        _facts([*threshold_facts(card), *_levels(held_out)]),
        "## Sensors",
        _table(("sensor", "min", "median", "max", "missing"), sensor_rows(training.ranges)),
        "## Limits",
        "\n".join(f"- {_cell(limit)}" for limit in limits(training)),
    ]
    return "\n\n".join(sections) + "\n"


def _training(epochs: Sequence[EpochRecord]) -> Iterator[str]:
    """Each phase's terms over its epochs."""
    for phase in dict.fromkeys(epoch.phase for epoch in epochs):
        own = [epoch for epoch in epochs if epoch.phase == phase]
        name = PHASES.get(phase, plain(phase)).capitalize()
        heading = f"{name}: {count(own[-1].step, 'step')}, {count(len(own), 'epoch')}."
        yield f"{heading}\n\n{_table(('term', 'first', 'last', 'by epoch'), loss_rows(own))}"


def _hardness(epochs: Sequence[EpochRecord]) -> Iterator[str]:
    """How hard the pseudo-anomalies became."""
    known = hardness(epochs)
    if known:
        yield "### How hard its pseudo-anomalies became"
        yield "1: always told from normal, 0.5: never."
        yield _facts(hardness_facts(known))


def _levels(held_out: FloatArray) -> Iterator[Fact]:
    """Scores that most normal rows lie below."""
    for level, score in zip(_LEVELS, np.quantile(held_out, _LEVELS).tolist(), strict=True):
        yield f"{100 * level:g} % of normal rows below", number(score)


def _facts(pairs: Iterable[Fact]) -> str:
    return _table(("", ""), ((name, value) for name, value in pairs if value is not None))


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
