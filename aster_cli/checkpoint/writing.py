"""Writing a model directory: beside its target, then renamed."""

import ctypes
import io
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from aster_cli.calibration import Calibration, ScoreTable
from aster_cli.card.encoding import FORMAT, MANIFEST, digests_of, identity_of, pretty, seal_of
from aster_cli.card.reading import is_model
from aster_cli.card.values import Manifest, ModelCard
from aster_cli.checkpoint.machines import FOLDER, MachineDetectors, folder_of
from aster_cli.checkpoint.readme import readme
from aster_cli.checkpoint.tables import Bands, MachineBand, MachineTable, Scales
from aster_cli.checkpoint.values import Checkpoint
from aster_cli.errors import StorageError
from aster_cli.results import MachineId

RECORDED = ("aster-cli", "torch", "transformers", "peft", "polars", "numpy")
"""The packages whose versions the manifest keeps."""

_STAGED, _OLD = ".tmp", ".old"


def save_model(
    checkpoint: Checkpoint,
    target: Path,
    *,
    detectors: MachineDetectors | None = None,
    force: bool = False,
) -> Manifest:
    """Write the model directory, whole or not at all.

    Args:
        checkpoint: What goes into it.
        target: Where it will be.
        detectors: Those of single machines, which are taken over as they are.
        force: Whether to replace the one that is there.

    Raises:
        StorageError: The target exists and `force` is not given, or cannot be written.
    """
    require_free(target, force=force)
    target = place_of(target)
    contents = _contents(checkpoint)
    manifest = _manifest(checkpoint, contents, detectors)
    card = ModelCard(manifest, checkpoint.config, checkpoint.schema, checkpoint.training)
    contents["README.md"] = readme(card, checkpoint.calibration.pooled.held_out).encode()
    manifest = _sealed(msgspec.structs.replace(manifest, files=digests_of(contents)))
    staging = None
    try:
        parent = target.absolute().parent
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=_STAGED, dir=parent))
        staging.chmod(0o755)
        for name, data in {**contents, MANIFEST: pretty(manifest)}.items():
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_bytes(data)
            _sync(staging / name)
            _sync((staging / name).parent)
        if detectors is not None:
            for machine in detectors:
                own = staging / FOLDER / folder_of(machine)
                shutil.copytree(detectors.path(machine), own, copy_function=_linked)
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
    if target.name in ("", ".."):
        raise StorageError(
            "has no name that a model could be put under",
            where=str(target),
            hint="name the model itself, such as ../pumps.aster",
        )
    if target.exists() and not force:
        raise StorageError("exists already", where=str(target), hint="--force replaces it")
    if target.exists() and not is_model(target):
        raise StorageError(
            "is no model directory, so it is not replaced", where=str(target), hint="name another"
        )
    parent = place_of(target).absolute().parent
    if not parent.is_dir():
        raise StorageError("there is no such directory", where=str(parent), hint="make it first")
    if not os.access(parent, os.W_OK):
        raise StorageError("cannot be written", where=str(parent), hint="check its permissions")


def place_of(target: Path) -> Path:
    """Where a model is written: a link stays, and what it leads to is replaced."""
    return target.resolve() if target.is_symlink() else target


def clear_traces(target: Path) -> None:
    """Remove what writers that were killed left beside the target; only where none is at work.

    Where the system cannot exchange two names, a killed one may have left the old model aside: it is
    put back.

    Raises:
        StorageError: They cannot be removed.
    """
    # as `tempfile.mkdtemp` names them: those of a model called `m` are not those of one called `m.new`
    name = rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}{re.escape(_STAGED)}"
    own = re.compile(f"{name}({re.escape(_OLD)})?")
    try:
        for left in sorted(target.absolute().parent.iterdir()):
            if own.fullmatch(left.name) is None:
                continue
            if left.name.endswith(_OLD) and not target.exists():
                left.rename(target)
            elif left.is_symlink():
                left.unlink()
            elif left.is_dir():
                shutil.rmtree(left)
    except OSError as error:
        raise StorageError(f"cannot be written ({error.strerror})", where=str(target)) from error


def versions() -> dict[str, str]:
    """The packages that a model is made with."""
    return {name: version(name) for name in RECORDED}


def identify(checkpoint: Checkpoint, detectors: MachineDetectors | None = None) -> str:
    """Twelve digits of a hash over what decides scores; not over dates or file names."""
    return identity_of(digests_of(_contents(checkpoint)), _by_folder(detectors))


def _contents(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Every file of the directory but the manifest and the README, by path."""
    from safetensors.numpy import save as arrays

    scales = Scales(
        (
            MachineTable(None, checkpoint.scaling.pooled),
            *(
                MachineTable(machine, table)
                for machine, table in checkpoint.scaling.machines.items()
            ),
        ),
        checkpoint.calibration.readings,
    )
    bands = Bands(
        (
            MachineBand(None, checkpoint.bands.pooled),
            *(MachineBand(machine, band) for machine, band in checkpoint.bands.machines.items()),
        )
    )
    contents = {
        "config.toml": msgspec.toml.encode(_without_none(msgspec.to_builtins(checkpoint.config))),
        "schema.json": pretty(checkpoint.schema),
        "training.json": pretty(checkpoint.training),
        "scaling.json": pretty(scales),
        "bands.json": pretty(bands),
        "calibration.parquet": _parquet(_held_out(checkpoint.calibration)),
        "reference.parquet": _parquet(checkpoint.reference),
        "weights.safetensors": arrays(checkpoint.weights),
    }
    backbone, adapter = checkpoint.backbone, checkpoint.adapter
    if backbone is not None:
        described = {"config": backbone.config, "embedding_norm": backbone.embedding_norm}
        contents["backbone.json"] = pretty(described)
        contents["backbone.safetensors"] = arrays(backbone.weights)
    if adapter is not None:
        contents["adapter/adapter_config.json"] = pretty(adapter.config)
        contents["adapter/adapter_model.safetensors"] = arrays(adapter.weights)
    return contents


def _by_folder(detectors: MachineDetectors | None) -> dict[str, str]:
    return {} if detectors is None else detectors.by_folder()


def _linked(source: str, target: str) -> None:
    """Give a file that is never changed a second name, or copy it where that cannot be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        _sync(Path(target))


def _manifest(
    checkpoint: Checkpoint, contents: Mapping[str, bytes], detectors: MachineDetectors | None
) -> Manifest:
    digests = digests_of(contents)
    return Manifest(
        format=FORMAT,
        model_id=identity_of(digests, _by_folder(detectors)),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=checkpoint.config.training.seed,
        backbone=checkpoint.config.model.backbone,
        log=checkpoint.log_name,
        fingerprint=checkpoint.fingerprint,
        versions=versions(),
        scoring=checkpoint.scoring,
        files=digests,
        detectors=_by_folder(detectors),
    )


def _sealed(manifest: Manifest) -> Manifest:
    return msgspec.structs.replace(manifest, seal=seal_of(manifest))


def _swap(staging: Path, target: Path) -> None:
    """Put `staging` in the place of `target`, whose old model is there until the new one is."""
    if not target.exists():
        staging.rename(target)
    elif not _exchanged(staging, target):
        old = staging.with_name(f"{staging.name}{_OLD}")
        target.rename(old)
        try:
            staging.rename(target)
        except BaseException:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    _sync(target.absolute().parent)


def _exchanged(one: Path, other: Path) -> bool:
    """Let two directories change names in one step, where the system can; tell whether it did."""
    libc = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one.absolute()), os.fsencode(other.absolute())
    if hasattr(libc, "renameat2"):  # Linux
        here, exchange = -100, 2
        return bool(libc.renameat2(here, first, here, second, exchange) == 0)
    if hasattr(libc, "renamex_np"):  # macOS
        swap = 2
        return bool(libc.renamex_np(first, second, swap) == 0)
    return False


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


def _without_none(value: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: what is not set is not written."""
    return {
        key: _without_none(item) if isinstance(item, dict) else item
        for key, item in value.items()
        if item is not None
    }
