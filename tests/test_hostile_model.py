"""A model directory from a stranger reads and writes nothing outside itself, and takes no more memory
than its own files: whatever it says, the answer is one `ModelDirectoryError`."""

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from aster_cli import Detector
from aster_cli.errors import ModelDirectoryError
from aster_cli.logs import packing
from tests.forged import forge_arrays, forge_json, forge_text, sealed
from tests.tiny_detector import tiny_model

Forge = Callable[[Path], object]


@pytest.fixture
def model(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, to be damaged."""
    shared = tiny_model(tmp_path_factory.getbasetemp())
    return Path(shutil.copytree(shared, tmp_path / "copy.aster"))


def refused(model: Path) -> str:
    with pytest.raises(ModelDirectoryError) as caught:
        Detector.load(model)
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_a_copy_that_is_sealed_anew_is_read(model: Path) -> None:
    """Otherwise every test below would pass for nothing."""
    assert Detector.load(sealed(model)).sensors == ("s0", "s1", "s2")


def test_a_link_to_a_model_is_the_users_own(model: Path) -> None:
    """``current.aster`` that leads to the newest one is how models are rolled over."""
    link = model.with_name("current.aster")
    link.symlink_to(model.name)
    assert Detector.load(link).model_id == Detector.load(model).model_id


FILES = ["manifest.json", "weights.safetensors", "adapter/adapter_config.json", "README.md"]


@pytest.mark.parametrize("name", FILES)
def test_a_link_inside_is_not_followed(name: str, model: Path) -> None:
    """It could lead to any file that the user may read, and to devices that never end."""
    elsewhere = model.with_name("elsewhere")
    shutil.move(model / name, elsewhere)
    (model / name).symlink_to(elsewhere)
    assert "symbolic link" in refused(model)
    (model / name).unlink()
    (model / name).symlink_to("/dev/zero")
    refused(model)


def test_a_folder_that_is_a_link_is_not_followed(model: Path) -> None:
    """The same one level deeper."""
    shutil.move(model / "adapter", model.with_name("elsewhere"))
    (model / "adapter").symlink_to(model.with_name("elsewhere"))
    assert "symbolic link" in refused(model)


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_is_not_waited_for(name: str, model: Path) -> None:
    """Nobody may ever write into it."""
    (model / name).unlink()
    os.mkfifo(model / name)
    refused(model)


@pytest.mark.parametrize("name", ["config.toml", "adapter/adapter_config.json"])
def test_a_folder_in_the_place_of_a_file_is_refused(name: str, model: Path) -> None:
    """It opens, and cannot be read."""
    (model / name).unlink()
    (model / name).mkdir()
    refused(model)


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret", "adapter/../../secret", ""])
def test_a_name_that_leads_outside_is_refused(name: str, model: Path) -> None:
    """Only names that aster knows are read; a manifest with others was not written by it."""
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["files"][name] = "0" * 64
    (model / "manifest.json").write_text(json.dumps(manifest))
    assert "altered" in refused(model)


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors", "schema.json"])
def test_a_file_that_is_too_large_is_not_read(name: str, model: Path) -> None:
    """A file full of nothing takes no room on a disk, and all of it in memory."""
    os.truncate(model / name, (1 << 32) + 1)
    assert "more than" in refused(model)


def header_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


@pytest.mark.parametrize("shape", [[1 << 40], [1 << 62, 1 << 62], [0, 1 << 40], [-1], [3]])
@pytest.mark.parametrize("name", ["weights.safetensors", "backbone.safetensors"])
def test_a_forged_header_is_refused(name: str, shape: list[int], model: Path) -> None:
    """The header says how much is to be reserved."""
    header, body = header_of((model / name).read_bytes())
    first = next(iter(header))
    header[first]["shape"] = shape
    text = json.dumps(header).encode()
    (model / name).write_bytes(struct.pack("<Q", len(text)) + text + body)
    refused(sealed(model))


@pytest.mark.parametrize("length", [0, 1 << 31, 1 << 63])
def test_a_forged_header_length_is_refused(length: int, model: Path) -> None:
    """It is read before the header is."""
    data = (model / "weights.safetensors").read_bytes()
    (model / "weights.safetensors").write_bytes(struct.pack("<Q", length) + data[8:])
    refused(sealed(model))


def set_(*path: str | int, value: object) -> Callable[[Any], None]:
    def change(values: Any) -> None:
        for part in path[:-1]:
            values = values[part]
        values[path[-1]] = value

    return change


def config(old: str, new: str) -> Forge:
    return lambda model: forge_text(model, "config.toml", old, new)


def jsons(name: str, *path: str | int, value: object) -> Forge:
    return lambda model: forge_json(model, name, set_(*path, value=value))


def both_windows(size: int) -> Forge:
    def forge(model: Path) -> None:
        forge_text(model, "config.toml", "window_size = 8", f"window_size = {size}")
        forge_json(model, "schema.json", set_("window_size", value=size))

    return forge


def many_sensors(model: Path) -> None:
    names = [f"s{i}" for i in range(100_000)]

    def schema(values: dict[str, Any]) -> None:
        values["log"]["sensors"], values["log"]["sensor_dtypes"] = names, ["Float64"] * len(names)

    forge_json(model, "schema.json", schema)


def thin_product(model: Path) -> None:
    """Two thin matrices of a megabyte whose product is a terabyte."""

    def change(arrays: dict[str, Any]) -> None:
        layer = "base_model.model.layers.0.self_attn.q_proj"
        arrays[f"{layer}.lora_A.weight"] = np.ones((8, 1 << 18), dtype=np.float32)
        arrays[f"{layer}.lora_B.weight"] = np.ones((1 << 18, 8), dtype=np.float32)

    forge_arrays(model, "adapter/adapter_model.safetensors", change)


def not_numbers(model: Path) -> None:
    def change(arrays: dict[str, Any]) -> None:
        arrays["normal.windows"][0, 0, 0] = np.nan

    forge_arrays(model, "weights.safetensors", change)


def nowhere_remote(model: Path) -> None:
    def change(arrays: dict[str, Any]) -> None:
        arrays["normal.remoteness"][0] = 0.0

    forge_arrays(model, "weights.safetensors", change)


def shares(*values: float) -> Forge:
    def change(arrays: dict[str, Any]) -> None:
        arrays["normal.shares"][:] = values

    return lambda model: forge_arrays(model, "weights.safetensors", change)


def forecast(rows: int) -> Forge:
    """Of so many rows more, or fewer, than there are."""

    def change(arrays: dict[str, Any]) -> None:
        known = arrays["normal.forecast.coefficients"]
        lags = (len(known) - 1) // known.shape[1] + rows
        arrays["normal.forecast.coefficients"] = np.zeros(
            (lags * known.shape[1] + 1, known.shape[1]), dtype=np.float32
        )

    return lambda model: forge_arrays(model, "weights.safetensors", change)


def a_number_for_a_forecast(model: Path) -> None:
    def change(arrays: dict[str, Any]) -> None:
        arrays["normal.forecast.coefficients"] = np.array(1.0, dtype=np.float32)

    forge_arrays(model, "weights.safetensors", change)


def a_better_forecast_than_none(model: Path) -> None:
    def change(arrays: dict[str, Any]) -> None:
        arrays["normal.forecast.scale"][0] = -1.0

    forge_arrays(model, "weights.safetensors", change)


def without(name: str) -> Forge:
    return lambda model: forge_arrays(model, "weights.safetensors", lambda arrays: arrays.pop(name))


SIZES: dict[str, Forge] = {
    "no weight of a sensor": without("normal.whitening.weight"),
    "no remoteness": without("normal.remoteness"),
    "a remoteness of nothing": nowhere_remote,
    "no shares": without("normal.shares"),
    "shares of nothing": shares(0.0),
    "shares of more than all": shares(3e38),
    "shares of less than nothing": shares(-0.5, 0.5, 0.5, 0.5),
    "shares of the forecast alone": shares(0.0, 0.0, 0.0, 1.0),
    "a forecast of no size": a_number_for_a_forecast,
    "no forecast": without("normal.forecast.coefficients"),
    "a forecast from nothing": forecast(-4),
    "a forecast from beyond the window": forecast(4),
    "an error below zero": a_better_forecast_than_none,
    "width": config("width = 128", "width = 4000000000"),
    "latent width": config("latent_width = 8", "latent_width = 4000000000000"),
    "patch": config("patch_size = 4", "patch_size = 2"),
    "classifier": config('"transformer"', '"linear"'),
    "windows": both_windows(4 * 10**9),
    "windows of one": config("window_size = 8", "window_size = 80"),
    "no windows": config("window_size = 8\n", ""),
    "sensors": many_sensors,
    "no sensors": jsons("schema.json", "log", "sensors", value=[]),
    "batch": jsons("manifest.json", "scoring", "batch_windows", value=10**12),
    "no batch": jsons("manifest.json", "scoring", "batch_windows", value=0),
    "threads": jsons("manifest.json", "scoring", "threads", value=-1),
    "period": jsons("schema.json", "period", value=0),
    "unit": jsons("schema.json", "log", "seconds_per_unit", value=-1.0),
    "layers": jsons("backbone.json", "config", "num_hidden_layers", value=10**9),
    "a layer more": jsons("backbone.json", "config", "num_hidden_layers", value=3),
    "heads": jsons("backbone.json", "config", "num_attention_heads", value=0),
    "feed forward": jsons("backbone.json", "config", "intermediate_size", value=10**10),
    "hidden": jsons("backbone.json", "config", "hidden_size", value=10**10),
    "vocabulary": jsons("backbone.json", "config", "vocab_size", value=10**11),
    "type": jsons("backbone.json", "config", "model_type", value="no-such-model"),
    "code": jsons("backbone.json", "config", "auto_map", value={"AutoModel": "x--y.Z"}),
    "kernels": jsons("backbone.json", "config", "_attn_implementation", value="x/y"),
    "nested": jsons("backbone.json", "config", "text_config", value={"auto_map": "x"}),
    "norm": jsons("backbone.json", "embedding_norm", value=-1.0),
    "rank": jsons("adapter/adapter_config.json", "r", value=0),
    "thin product": thin_product,
    "not numbers": not_numbers,
    "scaling": jsons("scaling.json", "sensors", value=[]),
    "scales": lambda m: forge_text(m, "scaling.json", '"scale": [', '"scale": [0.0,'),
    "readings": jsons("scaling.json", "readings", value={}),
    "bands": jsons("bands.json", "bands", 0, "machine", value=["a"]),
    "band": lambda m: forge_text(m, "bands.json", '"low": [', '"low": [0.0,'),
    "band beside 0": jsons("bands.json", "bands", 0, "band", "low", 0, value=0.5),
    "epochs": jsons("training.json", "epochs", value=[]),
    "depth": lambda m: forge_text(m, "training.json", '"notes": []', '"notes": ' + "[" * 10**5),
    "toml": lambda m: forge_text(m, "config.toml", "[alert]", "x = " + "[" * 10**5 + "\n[alert]"),
}


@pytest.mark.parametrize("what", SIZES)
def test_sizes_that_do_not_belong_together_are_refused(what: str, model: Path) -> None:
    """They would be reserved, looped over, or divided by."""
    SIZES[what](model)
    refused(model)


TABLES: dict[str, pl.DataFrame] = {
    "no rows": pl.DataFrame(schema={"machine": pl.List(pl.String), "score": pl.Float64}),
    "no pooled ones": pl.DataFrame({"machine": [["a"]], "score": [1.0]}),
    "no numbers": pl.DataFrame({"machine": [None], "score": [None]}),
    "other columns": pl.DataFrame({"machine": [1], "score": ["a"]}),
}


def test_ranges_of_other_sensors_are_refused(model: Path) -> None:
    """The card would tell of sensors that the model does not have."""
    forge_json(model, "training.json", lambda training: training["ranges"].pop())
    assert "other sensors" in refused(model)


@pytest.mark.parametrize("what", TABLES)
@pytest.mark.parametrize("name", ["calibration.parquet", "reference.parquet"])
def test_other_tables_are_refused(name: str, what: str, model: Path) -> None:
    """A table is more than its format."""
    TABLES[what].write_parquet(model / name)
    refused(sealed(model))


def test_a_bomb_of_a_table_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same score a million times takes a few bytes in a file."""
    monkeypatch.setattr(packing, "FREE_BYTES", 1 << 20)
    nothing = pl.Series([None], dtype=pl.List(pl.String)).new_from_index(0, 1 << 21)
    table = pl.DataFrame({"machine": nothing, "score": pl.repeat(1.0, 1 << 21, eager=True)})
    table.write_parquet(model / "calibration.parquet")
    assert "unpacks to more" in refused(sealed(model))
