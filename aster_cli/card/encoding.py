"""How a model directory's files are named, written as bytes, and hashed."""

import hashlib
from collections.abc import Mapping

import msgspec

from aster_cli.card.values import Manifest

FORMAT = 6
"""Version of the directory's format; another one is refused.

Format 1 measured novelty in two lengths and knew nothing of detectors of single machines.
Format 2 told machines' thresholds by names that two of them could share.
Format 4 knew no normal bands.
Format 5 knew no forecast.
"""

MANIFEST = "manifest.json"

IDENTITY = (
    "config.toml",
    "backbone.safetensors",
    "weights.safetensors",
    "adapter/adapter_model.safetensors",
    "scaling.json",
    "calibration.parquet",
    "schema.json",
)
"""The files that `model_id` is a hash of."""


def pretty(value: object) -> bytes:
    """JSON that a person can read."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def digests_of(contents: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of every file, by path."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(contents.items())}


def identity_of(digests: Mapping[str, str], detectors: Mapping[str, str]) -> str:
    """``model_id``: twelve digits of a hash over what decides scores, not over dates or names.

    Args:
        digests: SHA-256 of every file, by path.
        detectors: `model_id` of every single machine's detector, by folder.
    """
    parts = [digests[name] for name in IDENTITY if name in digests]
    parts += [f"{folder} {model_id}" for folder, model_id in sorted(detectors.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def seal_of(manifest: Manifest) -> str:
    """SHA-256 over the manifest's other fields."""
    unsealed = msgspec.structs.replace(manifest, seal="")
    return hashlib.sha256(msgspec.json.encode(unsealed, order="sorted")).hexdigest()
