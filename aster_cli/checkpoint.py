"""The model directory: everything that scoring needs, in JSON, TOML, Parquet and safetensors.

It is written beside its target and renamed, so it is there whole or not at all. Every file's
SHA-256 is in the manifest and checked when the file is read. Reading needs no torch.
"""

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.backbones import Backbone
from aster_cli.calibration import Calibration, ReadingScale, ScoreTable
from aster_cli.config import DetectorConfig
from aster_cli.errors import AsterError, ModelDirectoryError, StorageError
from aster_cli.logs import LogSchema
from aster_cli.results import MachineId
from aster_cli.scaling import ScalingTable, SensorScaling

FORMAT = 1
"""Version of the directory's format; a newer one is refused."""

IDENTITY = (
    "weights.safetensors",
    "adapter/adapter_model.safetensors",
    "scaling.json",
    "calibration.parquet",
    "schema.json",
)
"""The files that `model_id` is a hash of."""

RECORDED = ("aster-cli", "torch", "transformers", "peft", "polars", "numpy")
"""The packages whose versions the manifest keeps."""

Arrays = dict[str, NDArray[Any]]
T = TypeVar("T")


class ModelSchema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a log must look like to be scored, and how its rows become windows."""

    log: LogSchema
    period: float  # sampling period in seconds, or in units of a counter
    max_gap: float  # periods
    window_size: int  # rows
    stride: int  # rows

    @property
    def longest_step(self) -> float:
        """The longest step that is no gap, in units of `LogBatch.time`."""
        return self.max_gap * self.period / (self.log.seconds_per_unit or 1.0)


class Scoring(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms under which equal rows give equal bits."""

    batch_windows: int
    precision: Literal["fp32", "bf16"]
    threads: int


class EpochRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One epoch; see `aster_cli.results.EpochResult`."""

    phase: str  # "fit": on the first stretch of time; "refit": on the whole log
    epoch: int
    step: int
    reversal_strength: float
    losses: dict[str, float]
    held_out: dict[str, float]
    separation: float | None


class TrainingRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What training saw and how it went."""

    rows: int
    missing_cells: int
    machines: int
    windows: dict[str, int]  # by what they serve: train, early_stopping, refit
    start: str  # the log's first timestamp, as text
    end: str
    notes: tuple[str, ...]
    epochs: tuple[EpochRecord, ...]
    calibration_rows: int
    effective_rows: int  # calibration rows over the window size
    margin: bool  # whether the threshold takes the margin for few rows
    thresholds: dict[str, float]  # by machine, "*" for the pooled one


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the directory holds."""

    format: int
    model_id: str
    created: str
    seed: int
    backbone: str
    log: str  # name of the training log
    fingerprint: str  # SHA-256 over the training rows
    versions: dict[str, str]
    scoring: Scoring
    files: dict[str, str]  # SHA-256 by path


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    machine: tuple[str, ...] | None  # None: the pooled table
    table: ScalingTable


class _Scales(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sensors: tuple[_Table, ...]
    readings: dict[str, ReadingScale]


@dataclass(frozen=True, slots=True)
class Adapter:
    """LoRA in PEFT's own layout."""

    config: dict[str, Any]
    weights: Arrays


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model directory says of itself, without its weights."""

    manifest: Manifest
    config: DetectorConfig
    schema: ModelSchema
    training: TrainingRecord
    reference: pl.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; without the reference table."""
        parts = ("manifest", "config", "schema", "training")
        return {part: msgspec.to_builtins(getattr(self, part)) for part in parts}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that makes a detector."""

    config: DetectorConfig
    schema: ModelSchema
    training: TrainingRecord
    reference: pl.DataFrame
    scaling: SensorScaling
    calibration: Calibration
    backbone: Backbone | None
    adapter: Adapter | None
    weights: Arrays
    scoring: Scoring
    log_name: str
    fingerprint: str


def save_model(checkpoint: Checkpoint, target: Path, *, force: bool = False) -> Manifest:
    """Write the model directory, whole or not at all.

    Raises:
        StorageError: The target exists and `force` is not given, or cannot be written.
    """
    require_free(target, force=force)
    contents = _contents(checkpoint)
    manifest = _manifest(checkpoint, contents)
    staging = None
    try:
        parent = target.absolute().parent
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=parent))
        staging.chmod(0o755)
        for name, data in {**contents, "manifest.json": _pretty(manifest)}.items():
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_bytes(data)
            _sync(staging / name)
        _swap(staging, target)
    except OSError as error:
        raise StorageError(f"cannot be written ({error.strerror})", where=str(target)) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
    return manifest


def require_free(target: Path, *, force: bool) -> None:
    """Check that a model can be written there, before any work is done for it.

    Raises:
        StorageError: The target exists and `force` is not given, or its parent is no place.
    """
    if target.exists() and not force:
        raise StorageError("exists already", where=str(target), hint="--force replaces it")
    if target.exists() and not is_model(target):
        raise StorageError(
            "is no model directory, so it is not replaced", where=str(target), hint="name another"
        )
    parent = target.absolute().parent
    if not parent.is_dir():
        raise StorageError("there is no such directory", where=str(parent), hint="make it first")
    if not os.access(parent, os.W_OK):
        raise StorageError("cannot be written", where=str(parent), hint="check its permissions")


def identify(checkpoint: Checkpoint) -> str:
    """Twelve digits of a hash over what decides scores; not over dates or file names."""
    return _identity(_digests(_contents(checkpoint)))


def is_model(path: Path) -> bool:
    """Whether `path` looks like a model directory."""
    return (path / "manifest.json").is_file()


def read_card(path: Path) -> ModelCard:
    """Read what a model directory says of itself; no weights, no torch.

    Raises:
        ModelDirectoryError: It is missing, written by a newer version, truncated or altered.
    """
    manifest = _read_manifest(path)
    config = _read(path, manifest, "config.toml", lambda data: _toml(data, DetectorConfig))
    if (manifest.seed, manifest.backbone) != (config.training.seed, config.model.backbone):
        raise _altered(path / "manifest.json", "seed or backbone is not that of config.toml")
    return ModelCard(
        manifest,
        config,
        _read(path, manifest, "schema.json", lambda data: _json(data, ModelSchema)),
        _read(path, manifest, "training.json", lambda data: _json(data, TrainingRecord)),
        _read(path, manifest, "reference.parquet", pl.read_parquet),
    )


def load_model(path: Path) -> tuple[Checkpoint, str]:
    """Read a model directory: what makes the detector, and its `model_id`.

    Raises:
        ModelDirectoryError: It is missing, written by a newer version, truncated or altered.
    """
    from safetensors.numpy import load as load_arrays

    card = read_card(path)
    manifest = card.manifest
    scales = _read(path, manifest, "scaling.json", lambda data: _json(data, _Scales))
    pooled = [entry.table for entry in scales.sensors if entry.machine is None]
    if len(pooled) != 1:
        raise ModelDirectoryError("has no pooled scaling", where=str(path / "scaling.json"))
    scaling = SensorScaling(
        pooled[0], {e.machine: e.table for e in scales.sensors if e.machine is not None}
    )
    held_out = _read(path, manifest, "calibration.parquet", pl.read_parquet)
    _read(path, manifest, "README.md", bytes)  # decides nothing, but altered is altered
    backbone = adapter = None
    if "backbone.json" in manifest.files:
        described = _read(path, manifest, "backbone.json", lambda data: _json(data, dict))
        backbone = Backbone(
            name=manifest.backbone,
            config=described["config"],
            embedding_norm=described["embedding_norm"],
            weights=_read(path, manifest, "backbone.safetensors", load_arrays),
        )
    if "adapter/adapter_config.json" in manifest.files:
        adapter = Adapter(
            _read(path, manifest, "adapter/adapter_config.json", lambda data: _json(data, dict)),
            _read(path, manifest, "adapter/adapter_model.safetensors", load_arrays),
        )
    return Checkpoint(
        config=card.config,
        schema=card.schema,
        training=card.training,
        reference=card.reference,
        scaling=scaling,
        calibration=_calibration(held_out, scales.readings, card),
        backbone=backbone,
        adapter=adapter,
        weights=_read(path, manifest, "weights.safetensors", load_arrays),
        scoring=manifest.scoring,
        log_name=manifest.log,
        fingerprint=manifest.fingerprint,
    ), manifest.model_id


def _contents(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Every file of the directory but the manifest, by path."""
    from safetensors.numpy import save as arrays

    scales = _Scales(
        (
            _Table(None, checkpoint.scaling.pooled),
            *(_Table(machine, table) for machine, table in checkpoint.scaling.machines.items()),
        ),
        checkpoint.calibration.readings,
    )
    contents = {
        "config.toml": msgspec.toml.encode(_without_none(msgspec.to_builtins(checkpoint.config))),
        "schema.json": _pretty(checkpoint.schema),
        "training.json": _pretty(checkpoint.training),
        "scaling.json": _pretty(scales),
        "calibration.parquet": _parquet(_held_out(checkpoint.calibration)),
        "reference.parquet": _parquet(checkpoint.reference),
        "weights.safetensors": arrays(checkpoint.weights),
        "README.md": _readme(checkpoint).encode(),
    }
    backbone, adapter = checkpoint.backbone, checkpoint.adapter
    if backbone is not None:
        described = {"config": backbone.config, "embedding_norm": backbone.embedding_norm}
        contents["backbone.json"] = _pretty(described)
        contents["backbone.safetensors"] = arrays(backbone.weights)
    if adapter is not None:
        contents["adapter/adapter_config.json"] = _pretty(adapter.config)
        contents["adapter/adapter_model.safetensors"] = arrays(adapter.weights)
    return contents


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(contents.items())}


def _identity(digests: Mapping[str, str]) -> str:
    text = "\n".join(digests[name] for name in IDENTITY if name in digests)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _manifest(checkpoint: Checkpoint, contents: Mapping[str, bytes]) -> Manifest:
    digests = _digests(contents)
    return Manifest(
        format=FORMAT,
        model_id=_identity(digests),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=checkpoint.config.training.seed,
        backbone=checkpoint.config.model.backbone,
        log=checkpoint.log_name,
        fingerprint=checkpoint.fingerprint,
        versions={name: version(name) for name in RECORDED},
        scoring=checkpoint.scoring,
        files=digests,
    )


def _swap(staging: Path, target: Path) -> None:
    """Put `staging` in the place of `target`, keeping the old one until the new one stands."""
    old = staging.with_name(f"{staging.name}.old")
    if target.exists():
        target.rename(old)
    try:
        staging.rename(target)
    except BaseException:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
    _sync(target.absolute().parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _held_out(calibration: Calibration) -> pl.DataFrame:
    """The held-out scores, one row each, with the machine that they are of (null: pooled only)."""
    tables: list[tuple[MachineId | None, ScoreTable]] = [(None, calibration.pooled)]
    tables += calibration.machines.items()
    return pl.concat(
        pl.DataFrame(
            {
                "machine": pl.Series(
                    [None if machine is None else list(machine)], dtype=pl.List(pl.String)
                ).new_from_index(0, len(table.held_out)),
                "score": table.held_out,
            }
        )
        for machine, table in tables
    )


def _calibration(
    held_out: pl.DataFrame, readings: dict[str, ReadingScale], card: ModelCard
) -> Calibration:
    budget = card.config.alert.alert_budget
    tables: dict[MachineId | None, ScoreTable] = {}
    for (machine,), rows in held_out.group_by("machine", maintain_order=True):
        key = None if machine is None else tuple(machine)
        scores = rows["score"].to_numpy()
        tables[key] = ScoreTable(scores, card.schema.window_size, budget)
    return Calibration(readings, tables[None], {m: t for m, t in tables.items() if m is not None})


def _read_manifest(path: Path) -> Manifest:
    try:
        exists, looks_right = path.exists(), is_model(path)
    except OSError as error:
        raise ModelDirectoryError(
            f"cannot be read ({error.strerror})", where=str(path), hint="check its permissions"
        ) from error
    if not exists:
        raise ModelDirectoryError(
            "there is no such model", where=str(path), hint="`aster train` makes one"
        )
    if not looks_right:
        raise ModelDirectoryError(
            "is no model directory (it has no manifest.json)", where=str(path)
        )
    where = str(path / "manifest.json")
    try:
        data = (path / "manifest.json").read_bytes()
        found = json.loads(data).get("format")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelDirectoryError(
            "cannot be read: it is truncated or altered", where=where, hint="train again"
        ) from error
    if isinstance(found, int) and found > FORMAT:
        raise ModelDirectoryError(
            f"has format {found}, and this aster reads up to {FORMAT}",
            where=where,
            hint="upgrade aster-cli",
        )
    try:
        manifest = _json(data, Manifest)
    except msgspec.MsgspecError as error:
        raise _altered(path / "manifest.json", str(error)) from error
    if manifest.format < 1:
        raise _altered(path / "manifest.json", f"there is no format {manifest.format}")
    if manifest.model_id != _identity(manifest.files):
        raise _altered(path / "manifest.json", "model_id does not fit the files")
    return manifest


def _altered(file: Path, how: str) -> ModelDirectoryError:
    return ModelDirectoryError(
        f"is altered ({how})", where=str(file), hint="restore it or train again"
    )


def _read(path: Path, manifest: Manifest, name: str, parse: Callable[[bytes], T]) -> T:
    """Read one file of the directory, after checking that it is the one that was written."""
    where = str(path / name)
    try:
        data = (path / name).read_bytes()
    except OSError as error:
        raise ModelDirectoryError(
            f"cannot be read ({error.strerror})", where=where, hint="restore it or train again"
        ) from error
    if hashlib.sha256(data).hexdigest() != manifest.files.get(name):
        raise ModelDirectoryError(
            "is truncated or altered (its SHA-256 is not the manifest's)",
            where=where,
            hint="restore it or train again",
        )
    try:
        return parse(data)
    except (AsterError, msgspec.MsgspecError, pl.exceptions.PolarsError, ValueError) as error:
        raise ModelDirectoryError(f"cannot be understood ({error})", where=where) from error


def _json(data: bytes, kind: type[T]) -> T:
    return msgspec.json.decode(data, type=kind)


def _toml(data: bytes, kind: type[T]) -> T:
    return msgspec.toml.decode(data, type=kind)


def _pretty(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _without_none(value: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: what is not set is not written."""
    return {
        key: _without_none(item) if isinstance(item, dict) else item
        for key, item in value.items()
        if item is not None
    }


def _readme(checkpoint: Checkpoint) -> str:
    """The model card that lies in the directory."""
    schema, training = checkpoint.schema, checkpoint.training
    unit = "s" if schema.log.seconds_per_unit is not None else "counts"
    last = training.epochs[-1]
    sensors = "\n".join(f"- `{name}`" for name in schema.log.sensors)
    losses = "\n".join(f"| {name} | {value:.4g} |" for name, value in last.losses.items())
    return f"""# An aster detector

Trained on `{checkpoint.log_name}`: {training.rows:,} rows of {training.machines} machine(s),
{training.start} to {training.end}, one row every {schema.period:g} {unit}.

- Windows of {schema.window_size} rows, every {schema.stride} rows when scoring.
- Language model: `{checkpoint.config.model.backbone}`, LoRA rank \
{checkpoint.config.model.lora_rank}.
- Threshold from {training.calibration_rows:,} held-out rows (about {training.effective_rows:,} \
independent windows), for {checkpoint.config.alert.alert_budget:.2%} of normal rows.

It knows the normal behaviour in that span and nothing else: a new season, a changed set point or
a rescaled sensor looks anomalous to it. `aster inspect` shows the rest.

## Sensors

{sensors}

## Losses in the last epoch

| term | value |
|---|---|
{losses}
"""


def fingerprint(values: list[NDArray[np.float64]]) -> str:
    """SHA-256 over training rows, machine after machine."""
    digest = hashlib.sha256()
    for rows in values:
        digest.update(np.ascontiguousarray(rows).tobytes())
    return digest.hexdigest()
