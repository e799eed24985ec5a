"""Snapshots as bytes: safetensors without a pickle, sealed, so that they are read whole or refused.

Plain arrays, and one called ``state``: JSON that refers to the others by name. Tables are Arrow IPC in
an array of bytes. ``seal`` is a SHA-256 of all of them.
"""

import hashlib
import io
import json
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.errors import StateError
from aster_cli.logs.kept import arrow_table
from aster_cli.results import Snapshot

_STATE, _SEAL = "state", "seal"
_KIND = "\x1fkind"  # marks an object of JSON that stands for a value JSON does not have

Arrays = dict[str, NDArray[Any]]


def pack(values: Snapshot, version: int) -> bytes:
    """The bytes of a snapshot.

    Args:
        values: What is kept.
        version: Of its layout; see `unpack`.
    """
    from safetensors.numpy import save

    arrays: Arrays = {}
    text = json.dumps({"format": version, **_flat(values, arrays)})
    arrays[_STATE] = np.frombuffer(text.encode(), dtype=np.uint8)
    arrays[_SEAL] = _seal(arrays)
    return save(arrays)


def unpack(data: bytes, version: int, *, where: str, anew: str) -> Snapshot:
    """The snapshot that `pack` was given, but for tuples, which are lists now.

    Args:
        data: What was read.
        version: The layout that the caller knows.
        where: The file, for errors.
        anew: What to do about a damaged or an older one.

    Raises:
        StateError: It is damaged, or of another layout.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        values = json.loads(arrays[_STATE].tobytes())
        found = values.pop("format")
    except (
        *(SafetensorError, ValueError, KeyError, TypeError, AttributeError),
        RecursionError,
    ) as error:
        raise StateError("is truncated or altered", where=where, hint=anew) from error
    if found != version:
        raise StateError(
            f"has format {found}, and this aster reads format {version}",
            where=where,
            hint="upgrade aster-cli" if isinstance(found, int) and found > version else anew,
        )
    seal = arrays.pop(_SEAL, None)
    if seal is None or seal.tobytes() != _seal(arrays).tobytes():
        raise StateError("is altered (its own SHA-256 is another)", where=where, hint=anew)
    try:
        return {name: _unflat(value, arrays) for name, value in values.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"is altered ({error})", where=where, hint=anew) from error


def _seal(arrays: Arrays) -> NDArray[np.uint8]:
    """SHA-256 over names, dtypes, shapes and contents."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)


def _flat(value: Any, arrays: Arrays) -> Any:
    """JSON for a value; what JSON does not have goes into `arrays`, or is marked."""
    match value:
        case dict():
            return {name: _flat(item, arrays) for name, item in value.items()}
        case list() | tuple():
            return [_flat(item, arrays) for item in value]
        case np.ndarray():
            arrays[name := f"array-{len(arrays)}"] = np.asarray(value, order="C")
            return {_KIND: "array", "name": name}
        case pl.DataFrame():
            buffer = io.BytesIO()
            value.write_ipc(buffer)
            array = np.frombuffer(buffer.getvalue(), dtype=np.uint8)
            return {**_flat(array, arrays), _KIND: "frame"}
        case datetime():
            return {_KIND: "datetime", "text": value.isoformat()}
        case date():
            return {_KIND: "date", "text": value.isoformat()}
        case _:
            return value


def _unflat(value: Any, arrays: Arrays) -> Any:
    """The value that `_flat` was given, but for tuples, which are lists now."""
    if isinstance(value, list):
        return [_unflat(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    match value.get(_KIND):
        case None:
            return {name: _unflat(item, arrays) for name, item in value.items()}
        case "array":
            return arrays[value["name"]].copy()  # what was read cannot be written to
        case "frame":
            return arrow_table(arrays[value["name"]].tobytes())
        case "datetime":
            return datetime.fromisoformat(value["text"])
        case "date":
            return date.fromisoformat(value["text"])
        case kind:
            raise ValueError(f"no such kind {kind!r}")
