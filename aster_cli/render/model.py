"""A model directory at a glance, from its card: no weights, no torch."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from aster_cli.card import EpochRecord, ModelCard, SensorRange, hardness, limits
from aster_cli.card.facts import (
    PHASES,
    hardness_facts,
    loss_rows,
    on_clock,
    origin_facts,
    sensor_rows,
    settings_facts,
    span_text,
    threshold_facts,
)
from aster_cli.plain import plain
from aster_cli.render.layout import (
    QUIET,
    Column,
    Fact,
    Facts,
    head,
    section,
    table,
)
from aster_cli.wording import (
    count,
    shorten,
)


def model_report(card: ModelCard, *, name: str = "") -> RenderableType:
    """Everything that a model directory says of itself."""
    manifest = card.manifest
    parts = [
        head(plain(name) or "Model", origin_facts(card), f"model {manifest.model_id}"),
        section("Settings", Facts(settings_facts(card))),
        section("Alarms", Facts(threshold_facts(card))),
        *_training(card.training.epochs),
        *_hardness(card.training.epochs),
        section(
            count(len(card.schema.log.sensors), "sensor"),
            _sensors(card.training.ranges),
            about="in training",
        ),
        section(
            "Limits",
            Facts([("·", plain(limit)) for limit in limits(card.training)]),
        ),
        section("Files", Facts(_files(card))),
    ]
    return Group(*parts)


def trained_summary(target: Path, card: ModelCard) -> RenderableType:
    """What a training came to, and what to do next."""
    training, schema = card.training, card.schema
    learnt = (
        f"{count(training.rows, 'row')} of {count(training.machines, 'machine')}, "
        f"{count(len(schema.log.sensors), 'sensor')}"
    )
    return head(
        plain(target),
        [
            ("learnt from", learnt),
            ("span", span_text(card)),
            ("period", on_clock(card, schema.period)),
            ("separation", _separation(training.epochs)),
            *threshold_facts(card)[:2],
            ("next", f"aster score LOGS -m {plain(target)}"),
        ],
        f"model {card.manifest.model_id}",
    )


def _separation(epochs: Sequence[EpochRecord]) -> str | None:
    known = hardness(epochs)
    if not known:
        return None
    return f"{known[-1]:.2f} of real and generated held-out windows (0.5: none, 1: full)"


def _hardness(epochs: Sequence[EpochRecord]) -> list[RenderableType]:
    """How well pseudo-anomalies were told from held-out windows, on a scale of its own."""
    known = hardness(epochs)
    if not known:
        return []
    return [
        section(
            "How hard its pseudo-anomalies became",
            Facts(hardness_facts(known)),
            about="1: always told from normal, 0.5: never",
        )
    ]


def _training(epochs: Sequence[EpochRecord]) -> list[RenderableType]:
    """Each phase's terms, from its first epoch to its last."""
    shown: list[RenderableType] = []
    for phase in dict.fromkeys(epoch.phase for epoch in epochs):
        own = [epoch for epoch in epochs if epoch.phase == phase]
        about = f"{count(own[-1].step, 'step')}, {count(len(own), 'epoch')}"
        heading = f"Training {PHASES.get(phase, plain(phase))}"
        shown.append(section(heading, _losses(own), about=about))
    return shown


def _losses(epochs: Sequence[EpochRecord]) -> RenderableType:
    return table(
        [
            Column("term"),
            Column("first", "right"),
            Column("last", "right"),
            Column("by epoch"),
        ],
        loss_rows(epochs),
    )


def _sensors(ranges: Sequence[SensorRange]) -> RenderableType:
    """What each sensor was like in training; over several machines, the range of their medians."""
    return table(
        [
            Column("sensor"),
            Column("min", "right"),
            Column("median", "right"),
            Column("max", "right"),
        ],
        ((shorten(name, 32), *values) for name, *values, _ in sensor_rows(ranges)),
    )


def _files(card: ModelCard) -> list[Fact]:
    manifest = card.manifest
    versions = ", ".join(f"{plain(name)} {plain(v)}" for name, v in manifest.versions.items())
    return [
        ("format", str(manifest.format)),
        ("written by", versions),
        ("files", ", ".join(map(plain, sorted(manifest.files)))),
        ("log's SHA-256", Text(plain(manifest.fingerprint), style=QUIET)),
    ]
