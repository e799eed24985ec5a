"""``aster train``: fit a detector on a mostly normal log."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

from aster_cli.checkpoint import PartialTraining, is_model, read_card, require_free
from aster_cli.cli import options
from aster_cli.cli.backbone import ensure_backbone
from aster_cli.cli.columns import columns_of
from aster_cli.cli.durations import parse_period
from aster_cli.cli.showing import Journal, show_json
from aster_cli.cli.torchrun import is_first, processes
from aster_cli.config import (
    DEFAULT_BACKBONE,
    AlertConfig,
    DetectorConfig,
    ModelConfig,
    TimeConfig,
    TrainingConfig,
)
from aster_cli.errors import UsageError
from aster_cli.logs import open_log
from aster_cli.render.model import trained_summary
from aster_cli.timing import FOREVER, TimeLimit


def train(
    logs: options.Logs,
    output: Annotated[
        Path | None,
        options.flag(
            "-o",
            "--output",
            metavar="MODEL",
            help="The model directory to write; <first log>.aster beside the caller if unset.",
            show_default=False,
        ),
    ] = None,
    force: options.Force = False,
    resume: Annotated[
        bool,
        options.flag(
            "--resume",
            help="Go on with an interrupted training of this log, to the same weights.",
        ),
    ] = False,
    per_id: Annotated[
        bool,
        options.flag(
            "--per-id",
            help="A detector for each machine, and a pooled one for machines not seen.",
        ),
    ] = False,
    time_col: options.TimeCol = None,
    id_col: options.IdCol = None,
    id_from_path: options.IdFromPath = False,
    sensors: options.Sensors = None,
    exclude_cols: options.ExcludeCols = None,
    label_col: options.LabelCol = "label",
    freq: options.Freq = None,
    max_gap: options.MaxGap = 5.0,
    missing: options.Missing = "previous",
    duplicates: options.Duplicates = "error",
    sort: options.Sort = False,
    exclude: Annotated[
        Path | None,
        options.flag(
            "--exclude",
            metavar="FILE",
            help="Known incidents to skip: a CSV with the columns start and end, and id columns.",
            show_default=False,
        ),
    ] = None,
    input_format: options.InputFormat = None,
    window_size: options.WindowSize = None,
    stride: options.Stride = None,
    backbone: options.BackboneName = DEFAULT_BACKBONE,
    backbone_layers: options.BackboneLayers = 3,
    lora_rank: options.LoraRank = 8,
    classifier: options.Classifier = "transformer",
    reversal_strength: options.ReversalStrength = 1.0,
    alert_budget: options.AlertBudget = 0.005,
    steps: options.Steps = None,
    max_minutes: options.MaxMinutes = None,
    seed: options.Seed = 0,
    engine: options.EngineName = "local",
    device: options.Device = "auto",
    precision: options.PrecisionName = "auto",
    compile: options.Compile = False,
    config: options.Config = None,
    log_format: options.LogStyle = "text",
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Fit a detector on mostly normal logs and write a model directory.

    No labels are needed and none are used. Defaults are derived from the log.
    """
    several, first = processes() > 1, is_first()
    journal = Journal(log_format, no_color=no_color, quiet=quiet or not first, json=json)
    if several:
        _require_shareable(logs, per_id=per_id)
    if engine == "ray" and not per_id:
        raise UsageError(
            "shares out single machines' detectors", where="--engine ray", hint="give --per-id"
        )
    limit = FOREVER if max_minutes is None else _limit(max_minutes)
    _require_logs(logs)
    settings = DetectorConfig(
        columns=columns_of(
            time_col=time_col,
            id_col=id_col,
            id_from_path=id_from_path,
            sensors=sensors,
            exclude_cols=exclude_cols,
            label_col=label_col,
        ),
        time=TimeConfig(
            period=parse_period(freq),
            max_gap=max_gap,
            missing=missing,
            duplicates=duplicates,
            sort=sort,
        ),
        model=ModelConfig(
            window_size=window_size,
            stride=stride,
            backbone=backbone,
            backbone_layers=backbone_layers,
            lora_rank=lora_rank,
            classifier=classifier,
            reversal_strength=reversal_strength,
        ),
        training=TrainingConfig(
            steps=steps, seed=seed, device=device, precision=precision, compile=compile
        ),
        alert=AlertConfig(alert_budget=alert_budget),
    )
    with open_log(logs, settings.columns, settings.time, input_format=input_format) as log:
        target = output or Path(f"{log.name}.aster")
        require_free(target, force=force)
        journal.notes(log.notes)
        if not several:  # else it is at hand, or all say how to get it
            ensure_backbone(backbone, journal.console)
        partial = PartialTraining(target, resume=resume, force=force)
        if resume and not partial.exists:
            journal.notes([f"there is no {partial.folder}: training begins at the start"])
        # torch and all that comes with it: only from here on
        from aster_cli.detector import Detector
        from aster_cli.model.device import find_device
        from aster_cli.model.ranks import opened
        from aster_cli.per_id import in_turn
        from aster_cli.render.training import machine_progress, training_progress

        trainings = in_turn
        if engine == "ray":
            from aster_cli.fleet import train_on_cluster as trainings
        try:
            with (
                opened(find_device(device)) if several else nullcontext(),
                partial.held() if first else nullcontext(),
                training_progress(journal.console) as on_epoch,
            ):
                detector = Detector.fit(
                    log,
                    settings,
                    exclude=exclude,
                    on_epoch=on_epoch,
                    partial=partial if first else None,
                    per_id=per_id,
                    on_machine=machine_progress(journal.console),
                    limit=limit,
                    trainings=trainings,
                )
                if not first:
                    return
                detector.save(target, force=force)
                partial.remove()
        except KeyboardInterrupt:
            if partial.exists:
                journal.notes([f"{partial.folder} holds what was learnt; --resume goes on"])
            raise
    card = read_card(target)
    journal.notes(card.training.notes[len(log.notes) :])  # what only training found out
    if json:
        show_json(card.to_dict() | {"model": str(target)})
    else:
        journal.console.print(trained_summary(target, card))
    journal.summary(
        "train",
        model=str(target),
        model_id=card.manifest.model_id,
        rows=card.training.rows,
        machines=card.training.machines,
    )


def _limit(minutes: float) -> TimeLimit:
    if not minutes > 0:
        raise UsageError(f"{minutes:g} are no minutes", where="--max-minutes", hint="give more")
    return TimeLimit(60.0 * minutes)


def _require_shareable(logs: list[str], *, per_id: bool) -> None:
    """Refuse what several processes cannot do together."""
    if per_id:
        raise UsageError(
            "torchrun's processes train one detector together",
            where="--per-id",
            hint="call it without torchrun; --engine ray shares out the machines",
        )
    if "-" in logs:
        raise UsageError(
            "standard input cannot be read by several processes",
            where="torchrun",
            hint="save it to a file",
        )


def _require_logs(paths: list[str]) -> None:
    """Refuse to take the files of a model directory for logs."""
    for path in paths:
        if is_model(Path(path)):
            raise UsageError(
                "is a model directory, not a log",
                where=repr(path),
                hint="name logs; `aster score` takes the model with -m",
            )
