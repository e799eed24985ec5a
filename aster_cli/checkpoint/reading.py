"""Reading a model directory: nothing is used before its hash and its sizes are checked.

It may come from anyone: see `aster_cli.confined` and `aster_cli.checkpoint.checking`.
"""

from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from aster_cli.backbones import Backbone
from aster_cli.bands import NormalBands
from aster_cli.calibration import Calibration, ScoreTable
from aster_cli.card.encoding import MANIFEST
from aster_cli.card.reading import altered, parse_json, read_card, read_file, read_manifest
from aster_cli.card.reference import read_reference
from aster_cli.card.values import ModelCard
from aster_cli.checkpoint import checking
from aster_cli.checkpoint.machines import FOLDER, MachineDetectors
from aster_cli.checkpoint.tables import Bands, Scales
from aster_cli.checkpoint.values import Adapter, Arrays, Checkpoint
from aster_cli.confined import require_folder
from aster_cli.errors import ModelDirectoryError
from aster_cli.logs.kept import parquet_table
from aster_cli.results import MachineId
from aster_cli.scaling import SensorScaling


def load_model(path: Path) -> tuple[Checkpoint, str]:
    """Read a model directory: what makes the detector, and its `model_id`.

    Those of single machines are not read; see `detectors_of` and `load_machine`.

    Raises:
        ModelDirectoryError: It is missing, of another format, truncated or altered.
    """
    card = read_card(path)
    manifest, n_sensors = card.manifest, len(card.schema.log.sensors)

    def own_weights(data: bytes) -> Arrays:
        weights = _arrays(data)
        checking.require_windows(weights, card.config.model, n_sensors)
        return weights

    read_file(path, manifest, "README.md", bytes)  # decides nothing, but altered is altered
    backbone = adapter = None
    if "backbone.json" in manifest.files:
        described = read_file(path, manifest, "backbone.json", _described)
        backbone = Backbone(
            name=manifest.backbone,
            config=described.config,
            embedding_norm=described.embedding_norm,
            weights=read_file(path, manifest, "backbone.safetensors", _layers),
        )
    if "adapter/adapter_config.json" in manifest.files:
        adapter = Adapter(
            read_file(
                path, manifest, "adapter/adapter_config.json", lambda data: parse_json(data, dict)
            ),
            read_file(path, manifest, "adapter/adapter_model.safetensors", _arrays),
        )
    return Checkpoint(
        config=card.config,
        schema=card.schema,
        training=card.training,
        reference=read_reference(path, manifest, card.schema),
        scaling=_read_scaling(path, card),
        calibration=_read_calibration(path, card),
        bands=_read_bands(path, card),
        backbone=backbone,
        adapter=adapter,
        weights=read_file(path, manifest, "weights.safetensors", own_weights),
        scoring=manifest.scoring,
        log_name=manifest.log,
        fingerprint=manifest.fingerprint,
    ), manifest.model_id


def read_calibration(path: Path, card: ModelCard) -> Calibration:
    """Read what scores mean, from the directory that `card` describes; no weights, no torch.

    A machine with a detector of its own has that one's table of scores.

    Raises:
        ModelDirectoryError: It is truncated or altered.
    """
    calibration, detectors = _read_calibration(path, card), detectors_of(path)
    if detectors is None:
        return calibration
    own = {machine: read_measures(detectors, machine)[3].pooled for machine in detectors}
    return Calibration(calibration.readings, calibration.pooled, calibration.machines | own)


def _read_calibration(path: Path, card: ModelCard) -> Calibration:
    scales = _read_scales(path, card)
    held_out = read_file(path, card.manifest, "calibration.parquet", _held_out)
    budget = card.config.alert.alert_budget
    tables: dict[MachineId | None, ScoreTable] = {}
    for (machine,), rows in held_out.group_by("machine", maintain_order=True):
        key = None if machine is None else tuple(machine)
        scores = rows["score"].to_numpy()
        tables[key] = ScoreTable(scores, card.schema.window_size, budget)
    machines = {machine: table for machine, table in tables.items() if machine is not None}
    return Calibration(scales.readings, tables[None], machines)


def detectors_of(path: Path) -> MachineDetectors | None:
    """The detectors of single machines in a model directory; None where it has none.

    Raises:
        ModelDirectoryError: Its manifest cannot be read, or lists something else.
    """
    manifest = read_manifest(path)
    if not manifest.detectors:
        return None
    try:
        return MachineDetectors.listed(path / FOLDER, manifest.detectors)
    except ValueError as error:
        raise altered(path / MANIFEST, str(error)) from error


def load_machine(detectors: MachineDetectors, machine: MachineId) -> Checkpoint:
    """Read the detector of a single machine; its backbone is the whole model's.

    Raises:
        ModelDirectoryError: It is missing, truncated or altered, or another.
    """
    path = _require_inside(detectors, machine)
    checkpoint, model_id = load_model(path)
    _require_listed(detectors, machine, model_id)
    return checkpoint


def read_measures(
    detectors: MachineDetectors, machine: MachineId
) -> tuple[ModelCard, pl.DataFrame, SensorScaling, Calibration, NormalBands]:
    """What a single machine's detector says of itself, its reference, scaling, and what is normal to it.

    No weights, no torch.

    Raises:
        ModelDirectoryError: It is missing, truncated or altered, or another.
    """
    path = _require_inside(detectors, machine)
    card = read_card(path)
    _require_listed(detectors, machine, card.manifest.model_id)
    measures = _read_scaling(path, card), _read_calibration(path, card), _read_bands(path, card)
    return card, read_reference(path, card.manifest, card.schema), *measures


def _require_listed(detectors: MachineDetectors, machine: MachineId, model_id: str) -> None:
    if model_id != detectors.models[machine]:
        path = detectors.path(machine)
        raise altered(path / MANIFEST, f"it is model {model_id}, another than the whole one lists")


def _require_inside(detectors: MachineDetectors, machine: MachineId) -> Path:
    """The folder of a machine, which has to lie in the whole model's: no link is followed to it."""
    path = detectors.path(machine)
    root = detectors.folder.parent
    try:
        require_folder(root, path.relative_to(root).as_posix())
    except OSError as error:
        raise ModelDirectoryError(
            f"cannot be read ({error.strerror})", where=str(path), hint="restore it or train again"
        ) from error
    return path


def _read_scaling(path: Path, card: ModelCard) -> SensorScaling:
    scales = _read_scales(path, card)
    machines = {e.machine: e.table for e in scales.sensors if e.machine is not None}
    pooled = next(entry.table for entry in scales.sensors if entry.machine is None)
    return SensorScaling(pooled, machines)


def _read_scales(path: Path, card: ModelCard) -> Scales:
    def scales_of(data: bytes) -> Scales:
        scales = parse_json(data, Scales)
        if [entry.machine for entry in scales.sensors].count(None) != 1:
            raise ValueError("it has no pooled scaling, or several")
        tables = [entry.table for entry in scales.sensors]
        checking.require_scaling(tables, len(card.schema.log.sensors))
        checking.require_readings({n: (s.centre, s.spread) for n, s in scales.readings.items()})
        return scales

    return read_file(path, card.manifest, "scaling.json", scales_of)


def _read_bands(path: Path, card: ModelCard) -> NormalBands:
    def bands_of(data: bytes) -> Bands:
        found = parse_json(data, Bands)
        if [one.machine for one in found.bands].count(None) != 1:
            raise ValueError("it has no pooled band, or several")
        checking.require_bands([one.band for one in found.bands], len(card.schema.log.sensors))
        return found

    bands = read_file(path, card.manifest, "bands.json", bands_of).bands
    machines = {one.machine: one.band for one in bands if one.machine is not None}
    pooled = next(one.band for one in bands if one.machine is None)
    return NormalBands(pooled, machines)


def _held_out(data: bytes) -> pl.DataFrame:
    table = parquet_table(data)
    checking.require_held_out(table)
    return table


class _Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``backbone.json``."""

    config: dict[str, Any]
    embedding_norm: float


def _described(data: bytes) -> _Described:
    described = parse_json(data, _Described)
    checking.require_backbone(described.config, described.embedding_norm)
    return described


def _layers(data: bytes) -> Arrays:
    layers = _arrays(data)
    checking.require_numbers(layers, "float16")
    return layers


def _arrays(data: bytes) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(data)
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error
