"""What is fuzzed: small files that are in order, ways to spoil them, and what reads them.

Whatever is read may end in an `AsterError` only. Models and states get the hashes of what lies in them, as
whoever forges one would give them, so that what comes after the hashes is reached.
"""

import gzip
import io
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aster_cli.checkpoint import load_model, read_card
from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.errors import AsterError
from aster_cli.logs import open_log
from aster_cli.snapshots import pack
from aster_cli.state import FORMAT, StateDirectory
from tests.forged import sealed

LOGS = ("csv", "csv.gz", "ndjson", "parquet", "arrow", "ipc")
MODEL_FILES = (
    *("manifest.json", "config.toml", "schema.json", "training.json", "scaling.json"),
    *("backbone.json", "adapter/adapter_config.json", "calibration.parquet", "reference.parquet"),
    *("weights.safetensors", "backbone.safetensors", "adapter/adapter_model.safetensors"),
)
TOKENS = (
    *(b"\x00", b"\xff" * 4, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\x80", b"\n", b"\r", b'"', b"'"),
    *(b",", b";", b"[" * 70, b"{", b"}", b"]", b"null", b"NaN", b"1e999", b"-1", b"0", b"=1+1"),
    *(b"\x1b[2J", b"9" * 40, b"true", b"\xef\xbb\xbf", b"\xc3\x28", b"../", b"2024-13-45"),
)


@dataclass(frozen=True, slots=True)
class Target:
    """A file that is in order, and what reads it in its place."""

    seed: bytes
    read: Callable[[bytes], object]

    def crashes(self, data: bytes) -> BaseException | None:
        """What comes of it, if that is not an `AsterError`."""
        try:
            self.read(data)
        except AsterError as error:
            return ValueError("several lines") if "\n" in str(error) else None
        except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001
            return error
        return None


def log_and_state_targets(folder: Path) -> dict[str, Target]:
    """Those that need no model, by name; they work in `folder`."""
    found = {kind: Target(_log(kind), _log_reader(folder / f"log.{kind}")) for kind in LOGS}
    return found | {"state": Target(pack(_state(), FORMAT), _state_reader(folder / "state"))}


def model_targets(folder: Path) -> dict[str, Target]:
    """The files of a model, by name; they work in `folder`, where one is trained first."""
    from tests.tiny_detector import tiny_model

    found = {}
    model = tiny_model(folder)
    copy = Path(shutil.copytree(model, folder / "copy.aster"))
    for name in MODEL_FILES:
        found[f"model/{name}"] = Target(
            (model / name).read_bytes(), _model_reader(model, copy, name)
        )
    return found


def spoiled(seed: bytes, drawn: random.Random) -> bytes:
    """One to six changes: bits, bytes, numbers, pieces cut, moved, doubled or set in."""
    data = bytearray(seed)
    for _ in range(drawn.randint(1, 6)):
        place, length = drawn.randrange(len(data) + 1), drawn.choice((1, 2, 4, 8, 64))
        match drawn.randrange(7):
            case 0 if place < len(data):
                data[place] ^= 1 << drawn.randrange(8)
            case 1:
                data[place : place + length] = drawn.randbytes(length)
            case 2:
                data[place:place] = drawn.choice(TOKENS)
            case 3:
                token = drawn.choice(TOKENS)
                data[place : place + len(token)] = token
            case 4:
                del data[place : place + drawn.choice((1, 4, 64, 1024))]
            case 5:
                other = drawn.randrange(len(data) + 1)
                data[place:place] = data[other : other + length * 8]
            case _:
                del data[drawn.randrange(len(data) + 1) if drawn.random() < 0.1 else len(data) :]
    return bytes(data)


def _log(kind: str) -> bytes:
    rows, buffer = range(40), io.BytesIO()
    start = datetime(2024, 3, 1)
    frame = pl.DataFrame(
        {
            "time": [start + timedelta(minutes=row) for row in rows],
            "flow": [row / 7 for row in rows],
            "level": [None if row == 5 else row % 3 for row in rows],
            "open": [row % 2 == 0 for row in rows],
            "unit": "a",
        }
    )
    match kind:
        case "csv" | "csv.gz":
            frame.write_csv(buffer)
        case "ndjson":
            frame.write_ndjson(buffer)
        case "parquet":
            frame.write_parquet(buffer)
        case "arrow":
            frame.write_ipc(buffer, compression="zstd")
        case _:
            frame.write_ipc_stream(buffer)
    data = buffer.getvalue()
    return gzip.compress(data, mtime=0) if kind == "csv.gz" else data


def _log_reader(path: Path) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        path.write_bytes(data)
        with open_log([str(path)], ColumnConfig(), TimeConfig()) as log:
            return log.n_rows, [len(batch) for batch in log.batches()]

    return read


def _model_reader(model: Path, copy: Path, name: str) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        try:
            (copy / name).write_bytes(data)
            if name != "manifest.json":
                sealed(copy)
            elif data != (model / name).read_bytes():
                return read_card(copy)
            from aster_cli.assembly import require_fitting

            checkpoint, model_id = load_model(copy)
            require_fitting(checkpoint, str(copy))
            return model_id
        finally:
            for changed in (name, "manifest.json"):
                shutil.copyfile(model / changed, copy / changed)

    return read


def _state_reader(folder: Path) -> Callable[[bytes], object]:
    folder.mkdir(parents=True)

    def read(data: bytes) -> object:
        (folder / "state.safetensors").write_bytes(data)
        return StateDirectory(folder).read()

    return read


def _state() -> dict[str, Any]:
    keys = pl.DataFrame({"timestamp": [1, 2], "unit": ["a", "b"]})
    lane = {"machine": ["a"], "keys": keys, "time": np.arange(4), "values": np.zeros((2, 3))}
    return {"model_id": "0" * 12, "dataset": "0" * 16, "run": 3, "whole_since": 0, "lanes": [lane]}
