"""A card in words, for the terminal, the report and the README alike: names and their values as text."""

from collections.abc import Iterator, Sequence

from aster_cli.card.values import EpochRecord, ModelCard, SensorRange
from aster_cli.plain import plain
from aster_cli.sparklines import sparkline
from aster_cli.wording import (
    NOTHING,
    alike,
    clock_noun,
    count,
    length,
    listed,
    moment,
    number,
    share,
    shorten,
    until,
)

PHASES = {"fit": "on the first part of the log", "refit": "again, on all of it"}
"""What the phases of training learn from."""

_MOST_THRESHOLDS = 12

Fact = tuple[str, str | None]


def on_clock(card: ModelCard, value: float) -> str:
    """A length on the log's clock."""
    log = card.schema.log
    in_seconds = log.seconds_per_unit is not None
    return length(value, in_seconds=in_seconds, noun=clock_noun(log.time_kind))


def span_text(card: ModelCard) -> str:
    """The stretch of time that it learnt from."""
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
        ("span", span_text(card)),
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
    window = on_clock(card, schema.window_size * schema.period)
    backbone = plain(card.manifest.backbone)
    if "backbone.json" in card.manifest.files:
        lora = f"LoRA rank {config.model.lora_rank}" if config.model.lora_rank else "frozen"
        backbone += f", its first {count(config.model.backbone_layers, 'layer')}, {lora}"
    return [
        ("window", f"{count(schema.window_size, 'row')} ({window})"),
        ("stride", f"{count(schema.stride, 'row')} when scoring"),
        ("period", on_clock(card, schema.period)),
        ("gap", f"a step longer than {on_clock(card, schema.max_gap * schema.period)}"),
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


def hardness_facts(known: Sequence[float]) -> list[Fact]:
    """How well pseudo-anomalies were told from held-out windows, over the epochs."""
    return [
        ("told apart", sparkline(known, len(known), low=0.5, high=1.0)),
        ("first epoch", f"{known[0]:.3f}"),
        ("hardest", f"{min(known):.3f}"),
        ("last epoch", f"{known[-1]:.3f}"),
    ]


def loss_rows(epochs: Sequence[EpochRecord]) -> Iterator[tuple[str, str, str, str]]:
    """Every term of a phase: its name, the first value, the last one, and its course."""
    series: dict[str, list[float | None]] = {}
    for name in epochs[0].losses:
        series[words(name)] = [epoch.losses.get(name) for epoch in epochs]
    for name in epochs[0].held_out:
        series[f"{words(name)}, held out"] = [epoch.held_out.get(name) for epoch in epochs]
    series["reversal strength"] = [epoch.reversal_strength for epoch in epochs]
    for name, values in series.items():
        yield name, number(values[0], 3), number(values[-1], 3), sparkline(values, len(values))


def words(name: str) -> str:
    """A term's name."""
    return plain(name.replace("_", " ")) if name != "kl" else "KL"


def sensor_rows(ranges: Sequence[SensorRange]) -> Iterator[tuple[str, str, str, str, str]]:
    """Every sensor: its name, lowest value, median, highest value, and how much was missing.

    Over several machines the median is the range of theirs.
    """
    for one in ranges:
        low, high = one.medians or (None, None)
        numbers = alike((one.lowest, low, high, one.highest), one.spread or None)
        middle = numbers[1] if numbers[1] == numbers[2] else f"{numbers[1]} to {numbers[2]}"
        yield plain(one.sensor), numbers[0], middle, numbers[3], share(one.missing_share)
