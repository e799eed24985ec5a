"""Reading what a model directory says of itself: nothing is used before its hash is checked.

It may come from anyone: see `aster_cli.confined`. Neither weights nor tables are read, so neither torch nor
Polars is imported.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from aster_cli.card.checking import require_schema, require_training
from aster_cli.card.encoding import FORMAT, MANIFEST, identity_of, seal_of
from aster_cli.card.values import Manifest, ModelCard, ModelSchema, TrainingRecord
from aster_cli.config import DetectorConfig
from aster_cli.confined import is_inside, read_inside
from aster_cli.errors import AsterError, ModelDirectoryError

T = TypeVar("T")

LARGEST = {".safetensors": 1 << 32, ".parquet": 1 << 30}
LARGEST_TEXT = 1 << 26
"""Bytes of a file; one with more is not read."""


def is_model(path: Path) -> bool:
    """Whether `path` looks like a model directory."""
    return (path / MANIFEST).is_file()


def read_card(path: Path) -> ModelCard:
    """Read what a model directory says of itself; no weights, no torch.

    Raises:
        ModelDirectoryError: It is missing, of another format, truncated or altered.
    """
    manifest = read_manifest(path)
    config = read_file(path, manifest, "config.toml", lambda data: parse_toml(data, DetectorConfig))

    def schema_of(data: bytes) -> ModelSchema:
        schema = parse_json(data, ModelSchema)
        require_schema(schema, config.model, manifest.scoring)
        return schema

    def training_of(data: bytes) -> TrainingRecord:
        training = parse_json(data, TrainingRecord)
        require_training(training, schema)
        return training

    schema = read_file(path, manifest, "schema.json", schema_of)
    training = read_file(path, manifest, "training.json", training_of)
    if not training.ranges:
        from aster_cli.card.reference import read_reference, sensor_ranges

        reference = read_reference(path, manifest, schema)
        ranges = sensor_ranges(reference, schema.log.sensors)
        training = msgspec.structs.replace(training, ranges=ranges)
    return ModelCard(manifest, config, schema, training)


def read_manifest(path: Path) -> Manifest:
    """Read what the directory holds.

    Raises:
        ModelDirectoryError: It is missing, of another format, truncated or altered.
    """
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
    where = str(path / MANIFEST)
    try:
        data = read_inside(path, MANIFEST, LARGEST_TEXT)
        found = json.loads(data).get("format")
    except OSError as error:
        raise ModelDirectoryError(
            f"cannot be read ({error.strerror})", where=where, hint="restore it or train again"
        ) from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise ModelDirectoryError(
            "cannot be read: it is truncated or altered", where=where, hint="train again"
        ) from error
    if isinstance(found, int) and 1 <= found != FORMAT:
        raise ModelDirectoryError(
            f"has format {found}, and this aster reads format {FORMAT}",
            where=where,
            hint="upgrade aster-cli" if found > FORMAT else "train again",
        )
    try:
        manifest = parse_json(data, Manifest)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise altered(path / MANIFEST, str(error)) from error
    if manifest.format != FORMAT:
        raise altered(path / MANIFEST, f"there is no format {manifest.format}")
    identity = identity_of(manifest.files, manifest.detectors)
    if (manifest.seal, manifest.model_id) != (seal_of(manifest), identity):
        raise altered(path / MANIFEST, "its own SHA-256 is another")
    if not all(map(is_inside, manifest.files)):
        raise altered(path / MANIFEST, "it names a file outside of the directory")
    return manifest


def altered(file: Path, how: str) -> ModelDirectoryError:
    """The error for a file that is not what was written."""
    return ModelDirectoryError(
        f"is altered ({how})", where=str(file), hint="restore it or train again"
    )


def read_file(path: Path, manifest: Manifest, name: str, parse: Callable[[bytes], T]) -> T:
    """Read one file of the directory, after checking that it is the one that was written.

    Raises:
        ModelDirectoryError: It is missing, truncated or altered, or `parse` finds fault with it.
    """
    where = str(path / name)
    try:
        data = read_inside(path, name, LARGEST.get(Path(name).suffix, LARGEST_TEXT))
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
    except (AsterError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ModelDirectoryError(f"cannot be understood ({error})", where=where) from error


def parse_json(data: bytes, kind: type[T]) -> T:
    """What a file says, as the values that it should be."""
    return msgspec.json.decode(data, type=kind)


def parse_toml(data: bytes, kind: type[T]) -> T:
    """What a file says, as the values that it should be."""
    return msgspec.toml.decode(data, type=kind)
