"""A model directory at a glance, from its card: no weights, no torch."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from aster_cli.card import EpochRecord, ModelCard, SensorRange, hardness, limits
from aster_cli.plain import plain
from aster_cli.render.layout import (
    QUIET,
    Column,
    Fact,
    Facts,
    head,
    listed,
    section,
    table,
)
from aster_cli.render.text import (
    NOTHING,
    alike,
    clock_noun,
    count,
    length,
    moment,
    number,
    share,
    shorten,
    until,
)
from aster_cli.sparklines import sparkline

_MOST_THRESHOLDS = 12
_PHASES = {"fit": "on the first part of the log", "refit": "again, on all of it"}


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
            ("span", _span(card)),
            ("period", _on_clock(card, schema.period)),
            ("separation", _separation(training.epochs)),
            *threshold_facts(card)[:2],
            ("next", f"aster score LOGS -m {plain(target)}"),
        ],
        f"model {card.manifest.model_id}",
    )


def _on_clock(card: ModelCard, value: float) -> str:
    log = card.schema.log
    in_seconds = log.seconds_per_unit is not None
    return length(value, in_seconds=in_seconds, noun=clock_noun(log.time_kind))


def _span(card: ModelCard) -> str:
    return until(moment(card.training.start), moment(card.training.end))


def origin_facts(card: ModelCard) -> list[Fact]:
    """What the model learnt from."""
    training, log = card.training, card.schema.log
    own = len(card.manifest.detectors)
    missing = count(training.missing_cells, "cell")
    missing_share = share(training.missing_cells / max(training.rows * len(log.sensors), 1))
    machines = None
    if log.id_cols:
        machines = f"{count(training.machines)} by {', '.join(map(plain, log.id_cols))}"
    return [
        ("log", plain(card.manifest.log)),
        ("span", _span(card)),
        ("rows", count(training.rows)),
        ("machines", machines),
        ("detectors", f"{count(own)} of single machines, and a pooled one" if own else None),
        ("missing", f"{missing} ({missing_share})" if training.missing_cells else "none"),
        (
            "left out",
            f"{count(training.excluded_rows, 'row')} of known incidents"
            if training.excluded_rows
            else None,
        ),
        ("trained", f"{moment(card.manifest.created)}, seed {card.manifest.seed}"),
        *(("note", plain(note)) for note in training.notes),
    ]


def settings_facts(card: ModelCard) -> list[Fact]:
    """What it is made of, and how it reads a log."""
    schema, config, scoring = card.schema, card.config, card.manifest.scoring
    window = _on_clock(card, schema.window_size * schema.period)
    backbone = plain(card.manifest.backbone)
    if "backbone.json" in card.manifest.files:
        lora = f"LoRA rank {config.model.lora_rank}" if config.model.lora_rank else "frozen"
        backbone += f", its first {count(config.model.backbone_layers, 'layer')}, {lora}"
    return [
        ("window", f"{count(schema.window_size, 'row')} ({window})"),
        ("stride", f"{count(schema.stride, 'row')} when scoring"),
        ("period", _on_clock(card, schema.period)),
        ("gap", f"a step longer than {_on_clock(card, schema.max_gap * schema.period)}"),
        ("missing cells", config.time.missing),
        ("language model", backbone),
        ("classifier", config.model.classifier),
        ("reversal", f"strength {config.model.reversal_strength:g}"),
        ("sizes", f"width {config.model.width}, latent {config.model.latent_width or NOTHING}"),
        ("scoring", str(scoring)),
    ]


def threshold_facts(card: ModelCard) -> list[Fact]:
    """Its threshold, and what that rests on."""
    training = card.training
    own = [
        f"{shorten(plain('/'.join(one.machine)), 32)} {number(one.threshold)}"
        for one in training.thresholds
    ]
    budget = share(card.config.alert.alert_budget)
    rests = (
        f"{count(training.calibration_rows, 'normal row')}, about "
        f"{count(training.effective_rows, 'independent window')}"
    )
    few = "; these are few, so it takes a margin" if training.margin else ""
    return [
        ("threshold", f"{number(training.threshold)}, for {budget} of normal rows"),
        ("it rests on", rests + few),
        ("by machine", listed(own, _MOST_THRESHOLDS) or None),
    ]


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
            Facts(
                [
                    ("told apart", sparkline(known, len(known), low=0.5, high=1.0)),
                    ("first epoch", f"{known[0]:.3f}"),
                    ("hardest", f"{min(known):.3f}"),
                    ("last epoch", f"{known[-1]:.3f}"),
                ]
            ),
            about="1: always told from normal, 0.5: never",
        )
    ]


def _training(epochs: Sequence[EpochRecord]) -> list[RenderableType]:
    """Each phase's terms, from its first epoch to its last."""
    shown: list[RenderableType] = []
    for phase in dict.fromkeys(epoch.phase for epoch in epochs):
        own = [epoch for epoch in epochs if epoch.phase == phase]
        about = f"{count(own[-1].step, 'step')}, {count(len(own), 'epoch')}"
        heading = f"Training {_PHASES.get(phase, plain(phase))}"
        shown.append(section(heading, _losses(own), about=about))
    return shown


def _losses(epochs: Sequence[EpochRecord]) -> RenderableType:
    series: dict[str, list[float | None]] = {}
    for name in epochs[0].losses:
        series[_words(name)] = [epoch.losses.get(name) for epoch in epochs]
    for name in epochs[0].held_out:
        series[f"{_words(name)}, held out"] = [epoch.held_out.get(name) for epoch in epochs]
    series["reversal strength"] = [epoch.reversal_strength for epoch in epochs]
    return table(
        [
            Column("term"),
            Column("first", "right"),
            Column("last", "right"),
            Column("by epoch"),
        ],
        (
            (name, number(values[0], 3), number(values[-1], 3), sparkline(values, len(values)))
            for name, values in series.items()
        ),
    )


def _words(name: str) -> str:
    return plain(name.replace("_", " ")) if name != "kl" else "KL"


def _sensors(ranges: Sequence[SensorRange]) -> RenderableType:
    """What each sensor was like in training; over several machines, the range of their medians."""
    rows = []
    for one in ranges:
        low, high = one.medians or (None, None)
        numbers = alike((one.lowest, low, high, one.highest), one.spread or None)
        middle = numbers[1] if numbers[1] == numbers[2] else f"{numbers[1]} to {numbers[2]}"
        rows.append((shorten(plain(one.sensor), 32), numbers[0], middle, numbers[3]))
    return table(
        [
            Column("sensor"),
            Column("min", "right"),
            Column("median", "right"),
            Column("max", "right"),
        ],
        rows,
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
