"""The user's cache: one directory a model, checked whenever it is read.

::

    <cache>/backbones/smollm2-135m/
        layers.safetensors   the first layers in float16
        backbone.json        a `Manifest`

``<cache>`` is the platform's cache directory for aster, or ``ASTER_CACHE_DIR``.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from aster_cli.backbones.layers import Backbone
from aster_cli.backbones.releases import MOST_LAYERS, RELEASES, Release, release_named
from aster_cli.errors import BackboneError

LAYERS_FILE = "layers.safetensors"
MANIFEST_FILE = "backbone.json"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lies beside the weights in the cache."""

    format: Literal[1]
    name: str
    source: str  # the requirement that pip was given
    gguf_sha256: str  # of the file that the layers were read from
    licence: str
    layers: int
    embedding_norm: float
    config: dict[str, Any]  # of transformers
    layers_sha256: str  # of the safetensors file


@dataclass(frozen=True, slots=True)
class BackboneInfo:
    """A model that aster keeps, for a list of them.

    Attributes:
        cached: Whether it is in the cache, whole and of this release.
        layers: How many layers the cache keeps, or would keep.
        width: Of the hidden state.
        size: Bytes on disk; 0 unless cached.
    """

    name: str
    source: str
    cached: bool
    layers: int
    width: int
    size: int
    licence: str


def cached_path(name: str) -> Path:
    """Return the directory where that model is kept, or would be.

    Raises:
        BackboneError: It is no model that aster keeps.
    """
    return _cache_directory() / "backbones" / release_named(name).name


def list_backbones() -> list[BackboneInfo]:
    """List the models that aster keeps, cached or not."""
    return [_info(release) for release in RELEASES.values()]


def open_cache(release: Release) -> Manifest:
    """Check a cached model against its manifest, and return that.

    Raises:
        BackboneError: It is not there, altered, or of another release.
    """
    directory = cached_path(release.name)
    if not directory.is_dir():
        raise BackboneError(
            f"is not at hand, {directory} does not exist",
            where=f"backbone {release.name}",
            hint="run `aster backbone fetch`",
        )
    try:
        manifest = msgspec.json.decode((directory / MANIFEST_FILE).read_bytes(), type=Manifest)
        digest = sha256(directory / LAYERS_FILE)
    except (FileNotFoundError, msgspec.DecodeError) as error:
        raise _unfit(directory, "is incomplete or altered") from error
    except OSError as error:
        raise BackboneError(
            f"cannot be read: {error.strerror}",
            where=str(directory),
            hint="check its permissions, or set ASTER_CACHE_DIR to another directory",
        ) from error
    if digest != manifest.layers_sha256:
        raise _unfit(directory, "is incomplete or altered")
    if manifest.gguf_sha256 != release.gguf_sha256:
        raise _unfit(directory, f"was not read from {release.requirement}")
    return manifest


def is_cached(release: Release) -> bool:
    """Whether the model could be loaded from the cache."""
    try:
        open_cache(release)
    except BackboneError:
        return False
    return True


def read_cache(release: Release, layers: int) -> Backbone:
    """Return the first `layers` layers of a cached model.

    Raises:
        BackboneError: It is not there or altered, or the cache keeps fewer layers.
    """
    from safetensors.numpy import load_file

    manifest = open_cache(release)
    if layers > manifest.layers:
        raise BackboneError(
            f"the cache keeps its first {manifest.layers} layers, {layers} were asked for",
            where=f"backbone {release.name}",
            hint=f"take at most {manifest.layers} layers",
        )
    stored = load_file(cached_path(release.name) / LAYERS_FILE)
    weights = {name: values for name, values in stored.items() if _layer_of(name) < layers}
    return Backbone(
        name=release.name,
        config={**manifest.config, "num_hidden_layers": layers},
        embedding_norm=manifest.embedding_norm,
        weights=weights,
    )


def write_cache(directory: Path, release: Release, backbone: Backbone) -> None:
    """Write the files of a cached model into `directory`.

    Raises:
        OSError: They cannot be written.
    """
    from safetensors.numpy import save

    # not save_file: it keeps other users of a shared cache from reading
    (directory / LAYERS_FILE).write_bytes(save(backbone.weights))
    manifest = Manifest(
        format=1,
        name=release.name,
        source=release.requirement,
        gguf_sha256=release.gguf_sha256,
        licence=release.licence,
        layers=backbone.config["num_hidden_layers"],
        embedding_norm=backbone.embedding_norm,
        config=backbone.config,
        layers_sha256=sha256(directory / LAYERS_FILE),
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (directory / MANIFEST_FILE).write_bytes(text + b"\n")


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cache_directory() -> Path:
    chosen = os.environ.get("ASTER_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("aster")


def _layer_of(weight: str) -> int:
    """The layer that a weight belongs to; 0 for the final norm, which every depth has."""
    first, _, rest = weight.partition(".")
    return int(rest.partition(".")[0]) if first == "layers" else 0


def _unfit(directory: Path, what: str) -> BackboneError:
    return BackboneError(what, where=str(directory), hint="run `aster backbone fetch --force`")


def _info(release: Release) -> BackboneInfo:
    cached = is_cached(release)
    directory = cached_path(release.name)
    return BackboneInfo(
        name=release.name,
        source=release.requirement,
        cached=cached,
        layers=open_cache(release).layers if cached else MOST_LAYERS,
        width=release.width,
        size=sum(file.stat().st_size for file in directory.iterdir()) if cached else 0,
        licence=release.licence,
    )
