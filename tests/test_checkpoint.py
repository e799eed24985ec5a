"""The model directory: whole or not at all, checked file by file, and the same when read back."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from polars.testing import assert_frame_equal

from aster_cli import Detector
from aster_cli.card.encoding import IDENTITY
from aster_cli.checkpoint import (
    Checkpoint,
    PartialTraining,
    identify,
    load_model,
    read_card,
    require_free,
    save_model,
    writing,
)
from aster_cli.config import AlertConfig, DetectorConfig
from aster_cli.errors import ModelDirectoryError, StorageError
from tests.forged import forge_json
from tests.tiny_detector import tiny_model, wave

EVERY_FILE = {
    "README.md",
    "adapter/adapter_config.json",
    "adapter/adapter_model.safetensors",
    "backbone.json",
    "backbone.safetensors",
    "calibration.parquet",
    "config.toml",
    "reference.parquet",
    "bands.json",
    "scaling.json",
    "schema.json",
    "training.json",
    "weights.safetensors",
}


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared model; only to be read."""
    return tiny_model(tmp_path_factory.getbasetemp())


@pytest.fixture
def checkpoint(model: Path) -> Checkpoint:
    return load_model(model)[0]


def contents(model: Path) -> dict[str, bytes]:
    files = (path for path in model.rglob("*") if path.is_file())
    return {path.relative_to(model).as_posix(): path.read_bytes() for path in files}


def test_the_manifest_lists_every_file(model: Path) -> None:
    """A file that nobody vouches for could be anything."""
    assert contents(model).keys() == EVERY_FILE | {"manifest.json"}
    assert read_card(model).manifest.files.keys() == EVERY_FILE


def test_no_file_is_a_pickle(model: Path) -> None:
    """A model from a colleague must not be able to run code."""
    for name, data in contents(model).items():
        match Path(name).suffix:
            case ".json":
                assert isinstance(json.loads(data), dict)
            case ".safetensors":
                assert data[8:9] == b"{"
                assert int.from_bytes(data[:8], "little") < len(data)
            case ".parquet":
                assert data[:4] == data[-4:] == b"PAR1"
            case suffix:
                assert suffix in (".toml", ".md")
                assert data.decode().isprintable() or "\n" in data.decode()


@pytest.mark.parametrize("name", sorted(EVERY_FILE))
@pytest.mark.parametrize("how", ["altered", "cut short", "gone"])
def test_a_file_that_is_not_as_written_is_refused_by_name(
    name: str, how: str, model: Path, tmp_path: Path
) -> None:
    """One flipped bit in a weight gives scores that look like any other."""
    copy = Path(shutil.copytree(model, tmp_path / "copy.aster"))
    data = bytearray((copy / name).read_bytes())
    if how == "gone":
        (copy / name).unlink()
    elif how == "cut short":
        (copy / name).write_bytes(data[:-1])
    else:
        data[len(data) // 2] ^= 1
        (copy / name).write_bytes(data)
    with pytest.raises(ModelDirectoryError) as refused:
        load_model(copy)
    assert refused.value.exit_code == 4
    assert str(refused.value.where).endswith(name)


def test_what_is_read_is_what_was_written(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Reading and writing again must not wear a model down."""
    save_model(checkpoint, tmp_path / "first.aster")
    save_model(load_model(tmp_path / "first.aster")[0], tmp_path / "second.aster")
    first, second = contents(tmp_path / "first.aster"), contents(tmp_path / "second.aster")
    assert {name for name in first if first[name] != second[name]} <= {"manifest.json"}
    assert first.keys() == second.keys()


def test_a_model_without_ranges_tells_the_same_of_its_sensors(model: Path, tmp_path: Path) -> None:
    """Older models keep the table of percentiles only."""
    older = Path(shutil.copytree(model, tmp_path / "older.aster"))
    forge_json(older, "training.json", lambda training: training.pop("ranges"))
    card = read_card(model)
    assert [one.sensor for one in card.training.ranges] == list(card.schema.log.sensors)
    assert read_card(older).training == card.training


def test_config_toml_is_the_whole_configuration(model: Path, checkpoint: Checkpoint) -> None:
    """A detector always carries its configuration; a person can read it too."""
    read = msgspec.toml.decode((model / "config.toml").read_bytes(), type=DetectorConfig)
    assert read == checkpoint.config
    assert read.model.window_size == 8
    assert read != DetectorConfig()


def test_scores_survive_saving_and_loading(
    checkpoint: Checkpoint, model: Path, tmp_path: Path
) -> None:
    """What was calibrated in memory is what scores from disk."""
    wave(120, seed=4, spike=True).write_parquet(tmp_path / "log.parquet")
    live = Detector(checkpoint, identify(checkpoint)).score(tmp_path / "log.parquet")
    loaded = Detector.load(model).score(tmp_path / "log.parquet")
    assert_frame_equal(live, loaded, check_exact=True)
    assert live["is_anomaly"].any()


def test_model_id_is_not_about_dates_or_names(
    checkpoint: Checkpoint, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same detector has the same name, whenever and wherever it is saved."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Later":
            return cls(2031, 5, 6, tzinfo=UTC)

    monkeypatch.setattr("aster_cli.checkpoint.writing.datetime", Later)
    manifest = save_model(checkpoint, tmp_path / "later.aster")
    assert manifest.created.startswith("2031-05-06")
    assert manifest.model_id == read_card(model).manifest.model_id == identify(checkpoint)
    assert len(manifest.model_id) == 12
    assert int(manifest.model_id, 16) >= 0


def test_model_id_is_about_what_decides_scores(model: Path, checkpoint: Checkpoint) -> None:
    """Two detectors that score differently must not share a name; a remark makes no difference."""

    def renamed(**changes: object) -> str:
        return identify(replace(checkpoint, **changes))  # type: ignore[arg-type]

    name = next(name for name, values in checkpoint.weights.items() if values.ndim)
    weights = {**checkpoint.weights, name: checkpoint.weights[name] + 1}
    assert renamed(weights=weights) != identify(checkpoint)
    assert renamed(adapter=None) != identify(checkpoint)
    loud = msgspec.structs.replace(checkpoint.config, alert=AlertConfig(alert_budget=0.1))
    assert renamed(config=loud) != identify(checkpoint)
    record = msgspec.structs.replace(checkpoint.training, notes=("seen by an expert",))
    assert renamed(training=record, log_name="other") == identify(checkpoint)
    assert set(IDENTITY) <= EVERY_FILE


def test_an_existing_target_needs_force(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """And with force it is replaced as a whole: no file of the old one is left in the new one."""
    target = tmp_path / "model.aster"
    save_model(checkpoint, target)
    (target / "old.txt").write_text("left over")
    with pytest.raises(StorageError, match="--force"):
        save_model(checkpoint, target)
    save_model(checkpoint, target, force=True)
    assert not (target / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model.aster"]


@pytest.mark.parametrize("moment", ["writing", "swapping"])
def test_an_interrupted_replacement_keeps_the_old_model(
    moment: str, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C at the very worst moment must leave the old detector, whole, and nothing beside it."""
    target = tmp_path / "model.aster"
    save_model(checkpoint, target)
    before = contents(target)
    rename = Path.rename

    def interrupted(*args: object) -> NoReturn:
        raise KeyboardInterrupt

    def interrupted_swap(self: Path, to: Path) -> Path:
        if to == target and not self.name.endswith(".old"):
            raise KeyboardInterrupt
        return rename(self, to)

    if moment == "writing":
        monkeypatch.setattr("aster_cli.checkpoint.writing._sync", interrupted)
    else:
        monkeypatch.setattr("aster_cli.checkpoint.writing._exchanged", lambda *_: False)
        monkeypatch.setattr(Path, "rename", interrupted_swap)
    with pytest.raises(KeyboardInterrupt):
        save_model(checkpoint, target, force=True)
    assert contents(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model.aster"]


def test_at_every_moment_of_a_replacement_there_is_a_model(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scoring goes on every few minutes; it must not meet a moment without a detector."""
    target = tmp_path / "model.aster"
    save_model(checkpoint, target)

    def refuse(*args: object) -> NoReturn:
        raise AssertionError("a rename leaves a moment between two")

    monkeypatch.setattr(Path, "rename", refuse)
    assert writing._exchanged(target, target), "this system cannot exchange names"
    save_model(checkpoint, target, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model.aster"]


@pytest.mark.parametrize("there", [True, False])
def test_what_killed_writers_left_is_cleared(
    there: bool, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Where names cannot be exchanged, one killed in between has left no model but the old one."""
    target = tmp_path / "model.aster"
    save_model(checkpoint, target)
    shutil.copytree(target, tmp_path / ".model.aster.abcd_123.tmp")
    shutil.copytree(target, tmp_path / ".model.aster.abcd_123.tmp.old")
    (tmp_path / ".model.aster.efgh4567.tmp").symlink_to("model.aster")
    others = {".model.aster2.abcd_123.tmp", ".model.aster.new.abcd_123.tmp"}
    for name in others:
        (tmp_path / name).mkdir()
    before = contents(target)
    if not there:
        shutil.rmtree(target)
    writing.clear_traces(target)
    assert contents(target) == before
    assert {path.name for path in tmp_path.iterdir()} == {"model.aster"} | others


def test_a_link_stays_when_its_model_is_replaced(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """``current.aster`` goes on leading to the model, and no link is left that nobody clears."""
    save_model(checkpoint, tmp_path / "model.aster")
    (tmp_path / "model.aster" / "old.txt").write_text("of the old one")
    link = tmp_path / "current.aster"
    link.symlink_to("model.aster")
    save_model(checkpoint, link, force=True)
    assert {path.name for path in tmp_path.iterdir()} == {"model.aster", "current.aster"}
    assert link.is_symlink()
    assert not (tmp_path / "model.aster" / "old.txt").exists()
    assert PartialTraining(link).folder == tmp_path.resolve() / "model.aster.partial"


@pytest.mark.parametrize("name", ["", ".", "..", "model.aster/.."])
def test_a_model_has_a_name(name: str) -> None:
    """What is the caller's own directory can neither be replaced nor lie beside itself."""
    with pytest.raises(StorageError, match="has no name"):
        require_free(Path(name), force=True)


def test_what_is_no_model_is_never_replaced(tmp_path: Path) -> None:
    """--force on the wrong name must not delete someone's folder."""
    (tmp_path / "data").mkdir()
    (tmp_path / "log.csv").write_text("time,s\n")
    for name in ("data", "log.csv"):
        with pytest.raises(StorageError, match="is no model directory"):
            require_free(tmp_path / name, force=True)
    with pytest.raises(StorageError, match="no such directory"):
        require_free(tmp_path / "nowhere" / "m.aster", force=False)
