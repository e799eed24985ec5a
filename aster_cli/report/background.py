"""What the findings rest on, in words and tables: the log's quality, its sensors, and the model."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from aster_cli.card import EpochRecord, ModelCard, hardness, limits
from aster_cli.card.facts import origin_facts, settings_facts, threshold_facts, words
from aster_cli.inspection import LogReport, SensorPart
from aster_cli.plain import plain
from aster_cli.render.layout import Fact
from aster_cli.render.logs import log_facts
from aster_cli.render.scores import STATUSES
from aster_cli.report.tables import Table, table
from aster_cli.wording import (
    DIRECTIONS,
    NOTHING,
    alike,
    count,
    length,
    machine_name,
    number,
    share,
)

_OF_TRAINING = ("anomalies", "too short")  # findings about a log that is to be learnt from

Facts = list[tuple[str, str]]


def plain_facts(facts: Sequence[Fact]) -> Facts:
    """Facts as text, those without a value left out."""
    return [
        (name, value.plain if isinstance(value, Text) else value)
        for name, value in facts
        if value is not None
    ]


def quality_facts(
    statuses: Sequence[tuple[str, int]], repeats: str, log: LogReport | None
) -> list[Facts]:
    """How rows came out, where times repeat, and what is known of the log as a whole."""
    total = sum(n for _, n in statuses)
    groups: list[Facts] = [
        [(STATUSES[status], f"{count(n)} rows ({share(n / total)})") for status, n in statuses]
    ]
    if repeats:
        groups[0].append(("times that repeat", repeats))
    if log is not None:
        groups.append(plain_facts(log_facts(log)))
    return groups


def quality_tables(log: LogReport | None) -> list[Table]:
    """Gaps, and sensors that deserve a look."""
    if log is None:
        return []
    tables = []
    found = [
        ("the log", finding.kind, plain(finding.detail))
        for finding in log.findings
        if finding.kind not in _OF_TRAINING
    ]
    found += [
        (plain(sensor.name), finding.kind, plain(finding.detail))
        for sensor in log.sensors
        for finding in sensor.findings
    ]
    if found:
        tables.append(table("What deserves a look", ("where", "finding", "detail"), found))
    if log.longest_gaps:
        of = f", the {len(log.longest_gaps)} longest of {count(log.n_gaps)}"
        rows = [
            (
                machine_name(gap.machine),
                plain(gap.start),
                plain(gap.end),
                length(gap.length, in_seconds=log.in_seconds),
            )
            for gap in log.longest_gaps
        ]
        title = "Gaps" + (of if log.n_gaps > len(rows) else "")
        tables.append(table(title, ("machine", "from", "to", "#length"), rows))
    return tables


def sensor_table(log: LogReport | None, parts: Sequence[SensorPart]) -> Table | None:
    """Every sensor, the leading ones first: its part in the events, and its values in the log."""
    if log is None and not parts:
        return None
    by_name = {part.sensor: part for part in parts}
    reports = {} if log is None else {sensor.name: sensor for sensor in log.sensors}
    columns = ["sensor", "#share of the events", "#leads", "mostly"]
    columns += ["#missing", "#lowest", "#mean", "#highest"] if reports else []
    rows = []
    for name in dict.fromkeys((*by_name, *reports)):
        part, sensor = by_name.get(name), reports.get(name)
        row = [plain(name)]
        row += (
            [NOTHING, NOTHING, NOTHING]
            if part is None
            else [
                share(part.share),
                count(part.leads, "event"),
                DIRECTIONS.get(part.direction, NOTHING),
            ]
        )
        if sensor is not None:
            row += [
                share(sensor.missing_share),
                *alike((sensor.min, sensor.mean, sensor.max), sensor.std),
            ]
        elif reports:
            row += [NOTHING] * 4
        rows.append(row)
    return table("Sensors, by their share of all events", columns, rows)


def model_parts(card: ModelCard | None) -> dict[str, Any] | None:
    """The model's card."""
    if card is None:
        return None
    terms = loss_curves(card.training.epochs)
    epochs = card.training.epochs
    names = list(epochs[0].losses) if epochs else []
    losses = table(
        "Losses over the epochs",
        ("training", "#epoch", "#step", *(f"#{words(name)}" for name in names), "#told apart"),
        [
            (
                _phase(epoch),
                count(epoch.epoch),
                count(epoch.step),
                *(number(epoch.losses.get(name)) for name in names),
                number(epoch.separation, 3),
            )
            for epoch in epochs
        ],
    )
    return {
        "limits": " ".join(limits(card.training)),
        "facts": [
            [("model", card.manifest.model_id), *plain_facts(origin_facts(card))],
            [*plain_facts(threshold_facts(card)), *plain_facts(settings_facts(card))],
        ],
        "losses": losses if terms else None,
        "hardness": _hardness(epochs),
        "names": [term["name"] for term in terms],
    }


def loss_curves(epochs: Sequence[EpochRecord]) -> list[dict[str, Any]]:
    """Every loss over the epochs of both trainings, one after the other."""
    if not epochs:
        return []
    return [
        {
            "name": words(name),
            "points": [
                [place + 1, epoch.losses[name]]
                for place, epoch in enumerate(epochs)
                if name in epoch.losses
            ],
        }
        for name in epochs[0].losses
    ]


def phase_starts(epochs: Sequence[EpochRecord]) -> list[dict[str, Any]]:
    """The trainings, and where each starts on the axis of `loss_curves`."""
    starts: dict[str, int] = {}
    for place, epoch in enumerate(epochs):
        starts.setdefault(_phase(epoch), place + 1)
    return [{"name": name, "from": place} for name, place in starts.items()]


def hardness_curve(epochs: Sequence[EpochRecord]) -> dict[str, Any]:
    """How well held-out windows and pseudo-anomalies were told apart, never below not at all."""
    points = [
        [place, max(epoch.separation, 0.5)]
        for place, epoch in enumerate(epochs, start=1)
        if epoch.separation is not None
    ]
    return {"name": "told apart", "points": points}


def _hardness(epochs: Sequence[EpochRecord]) -> str:
    known = hardness(epochs)
    if not known:
        return ""
    return (
        f"Told from held-out windows, 0.5 being never and 1 always: {known[0]:.3f} after the first epoch, "
        f"{min(known):.3f} at the hardest, {known[-1]:.3f} after the last."
    )


def _phase(epoch: EpochRecord) -> str:
    return "first part" if epoch.phase == "fit" else "whole log"
