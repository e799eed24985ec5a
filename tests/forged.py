"""Model directories and states made to do damage: every hash in them is right."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from safetensors.numpy import load_file, save_file

from aster_cli.card.encoding import digests_of, identity_of, seal_of
from aster_cli.checkpoint import Arrays, Manifest


def sealed(model: Path) -> Path:
    """Give a model directory the hashes of what lies in it, as whoever forges one would."""
    manifest = json.loads((model / "manifest.json").read_text())
    files = {name: (model / name).read_bytes() for name in manifest["files"]}
    manifest["files"] = digests_of(files)
    manifest["model_id"] = identity_of(manifest["files"], manifest.get("detectors", {}))
    forged = msgspec.convert(manifest, Manifest)
    forged = msgspec.structs.replace(forged, seal=seal_of(forged))
    (model / "manifest.json").write_bytes(msgspec.json.encode(forged))
    return model


def forge_json(model: Path, name: str, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change a JSON file of a model, the manifest too, and seal it."""
    values = json.loads((model / name).read_text())
    change(values)
    (model / name).write_text(json.dumps(values))
    return sealed(model)


def forge_arrays(model: Path, name: str, change: Callable[[Arrays], object]) -> Path:
    """Change a file of arrays, and seal the model."""
    arrays = load_file(model / name)
    change(arrays)
    save_file(arrays, model / name)
    return sealed(model)


def forge_text(model: Path, name: str, old: str, new: str) -> Path:
    """Change the text of a file, and seal the model."""
    text = (model / name).read_text()
    assert old in text
    (model / name).write_text(text.replace(old, new))
    return sealed(model)
