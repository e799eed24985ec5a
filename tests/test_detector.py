"""The detector as a whole: what makes it the same, what makes it another, what it needs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from aster_cli import Detector
from aster_cli.calibrating import FEW_SCORES, Readings, calibrate, read_blocks
from aster_cli.calibration import ReadingScale, evidence, join_readings
from aster_cli.card import read_card
from aster_cli.card.facts import origin_facts
from aster_cli.checkpoint import load_model
from aster_cli.config import DetectorConfig
from aster_cli.errors import DataError, SchemaMismatchError, UsageError
from aster_cli.model.backbone import LanguageModelBackbone, merge_lora
from aster_cli.model.neighbours import BLOCKS, NormalWindows
from aster_cli.reading import READINGS, WindowReader
from aster_cli.results import EpochResult, MachineId
from aster_cli.windows import TrainingWindows
from aster_cli.wording import number
from tests.tiny_backbone import WIDTH
from tests.tiny_detector import (
    WINDOW,
    interleaved,
    tiny_config,
    tiny_fleet_model,
    tiny_model,
    wave,
)
from tests.tiny_network import KNEES, N_SENSORS, WINDOW_SIZE, tiny_network

LOSSES = {"window_reconstruction", "hidden_reconstruction", "kl", "classification"}


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared model; only to be read."""
    return tiny_model(tmp_path_factory.getbasetemp())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    wave(160, seed=4, spike=True).write_parquet(tmp_path / "live.parquet")
    return tmp_path / "live.parquet"


@pytest.fixture
def normal(tmp_path: Path) -> Path:
    """The log that the shared model learnt from, under another name."""
    wave(300).write_parquet(tmp_path / "the same rows.parquet")
    return tmp_path / "the same rows.parquet"


def test_the_same_seed_gives_the_same_detector(
    model: Path, normal: Path, log: Path, tmp_path: Path
) -> None:
    """A detector must be reproducible from its log and its configuration, to the bit."""
    config = load_model(model)[0].config
    again = Detector.fit(normal, config)
    assert again.model_id == Detector.load(model).model_id
    again.score(log).write_parquet(tmp_path / "again.parquet")
    Detector.load(model).score(log).write_parquet(tmp_path / "first.parquet")
    first, second = (tmp_path / name for name in ("first.parquet", "again.parquet"))
    assert first.read_bytes() == second.read_bytes()


def test_another_seed_gives_another_detector(normal: Path) -> None:
    """Else the test above would hold for a detector that never trains."""
    names = {Detector.fit(normal, tiny_config(seed=seed)).model_id for seed in (0, 1)}
    assert len(names) == 2


def test_scoring_does_not_depend_on_what_was_scored_before(model: Path, log: Path) -> None:
    """A service scores one log after the other with one detector."""
    detector = Detector.load(model)
    first = detector.score(log)
    torch.rand(7)
    assert_frame_equal(detector.score(log), first, check_exact=True)


def test_training_json_tells_every_loss_of_every_epoch(model: Path) -> None:
    """A training that went wrong in one term must be seen in the record, term by term."""
    record = json.loads((model / "training.json").read_text())
    assert {epoch["phase"] for epoch in record["epochs"]} == {"fit", "refit"}
    for epoch in record["epochs"]:
        assert epoch["losses"].keys() == LOSSES
        assert all(np.isfinite(value) for value in epoch["losses"].values())
        held_out = epoch["phase"] == "fit"
        assert (epoch["held_out"].keys() == LOSSES) is held_out
        assert (epoch["separation"] is not None) is held_out
    assert set(record["epochs"][0]) >= set(EpochResult.__dataclass_fields__)
    assert record["rows"] == 300
    # the last fifth is held out; the blocks of the training part count beside it
    assert 100 < record["calibration_rows"] < 300
    assert record["effective_rows"] == record["calibration_rows"] // WINDOW
    assert record["margin"] is True


def test_the_model_card_tells_what_training_came_to(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whoever finds a model directory years later has this file only, and must be able to trust it."""
    folder = tiny_fleet_model(tmp_path_factory.getbasetemp())
    card = (folder / "README.md").read_text()
    record = json.loads((folder / "training.json").read_text())
    for heading in ("learnt from", "Settings", "Training", "Calibration", "Sensors", "Limits"):
        assert re.search(rf"^##.*{heading}", card, re.MULTILINE), heading
    assert f"| model | {read_card(folder).manifest.model_id} |" in card
    assert "| machines | 2 by unit |" in card
    for epoch in (record["epochs"][0], record["epochs"][-1]):
        for value in epoch["losses"].values():
            assert number(value, 3) in card
    separations = [epoch["separation"] for epoch in record["epochs"] if epoch["separation"]]
    assert f"| first epoch | {separations[0]:.3f} |" in card
    assert f"| hardest | {min(separations):.3f} |" in card
    for name, value in origin_facts(read_card(folder)):
        assert name == "trained" or value is None or f"| {name} | {value} |" in card
    assert f"| threshold | {number(record['threshold'])}, for 0.5 % of normal rows |" in card
    assert "so it takes a margin" in card
    assert "A machine that training did not see" in card
    widths = {line.count(" | ") for line in card.splitlines() if line.startswith("| s0")}
    assert widths == {4}


ABLATIONS: dict[str, dict[str, object]] = {
    "no language model": {"backbone": "none"},
    "no adapter": {"lora_rank": 0},
    "an mlp classifier": {"classifier": "mlp"},
    "a linear classifier": {"classifier": "linear"},
    "no gradient reversal": {"reversal_strength": 0.0},
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_trains_is_recorded_and_changes_what_is_trained(
    name: str, model: Path, normal: Path, log: Path, tmp_path: Path
) -> None:
    """A switch that changes nothing makes a comparison that says nothing."""
    full = load_model(model)[0]
    settings = {"backbone": full.config.model.backbone, **ABLATIONS[name]}
    detector = Detector.fit(normal, tiny_config(**settings))  # type: ignore[arg-type]
    detector.save(tmp_path / "m.aster")
    made, model_id = load_model(tmp_path / "m.aster")
    for key, value in ABLATIONS[name].items():
        assert getattr(made.config.model, key) == value != getattr(full.config.model, key)
    assert model_id != Detector.load(model).model_id
    files = {path.name for path in (tmp_path / "m.aster").iterdir()}
    assert ("adapter" in files) is (name not in ("no language model", "no adapter"))
    assert ("backbone.safetensors" in files) is (name != "no language model")
    has_context = any(key.startswith("context.") for key in made.weights)
    assert has_context is (name != "no language model")
    shapes = {key: value.shape for key, value in made.weights.items() if "classifier" in key}
    full_shapes = {key: value.shape for key, value in full.weights.items() if "classifier" in key}
    assert (shapes != full_shapes) is name.endswith("classifier")
    strengths = [epoch.reversal_strength for epoch in made.training.epochs]
    assert (max(strengths) == 0.0) is (name == "no gradient reversal")
    scores = Detector.load(tmp_path / "m.aster").score(log)
    assert scores["score"].null_count() == 0
    assert not scores["score"].equals(Detector.load(model).score(log)["score"])


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_peft_itself_reads_the_adapter(model: Path) -> None:
    """The adapter's layout is PEFT's promise, and merging must compute what PEFT computes."""
    from peft import PeftModel
    from transformers import AutoModel

    checkpoint = load_model(model)[0]
    assert checkpoint.backbone is not None
    assert checkpoint.adapter is not None
    # LoRA starts from zero: an untrained adapter would make this test hold trivially
    trained = {
        name: values for name, values in checkpoint.adapter.weights.items() if "lora_B" in name
    }
    assert trained
    assert all(np.abs(values).max() > 0 for values in trained.values())
    base = AutoModel.from_pretrained(checkpoint.config.model.backbone)
    frozen = {name: torch.from_numpy(w) for name, w in checkpoint.backbone.weights.items()}
    adapter = {name: torch.from_numpy(w) for name, w in checkpoint.adapter.weights.items()}
    base.load_state_dict(frozen, strict=False)  # its layers are kept in half precision
    merged = merge_lora(frozen, checkpoint.adapter.config, adapter)
    embedded = torch.randn(3, 2, WIDTH)

    def states(llm: torch.nn.Module) -> torch.Tensor:
        seen = torch.zeros(3, 1, 2, 2)
        out = llm(inputs_embeds=embedded, attention_mask=seen, use_cache=False)
        hidden: torch.Tensor = out.last_hidden_state
        return hidden

    with torch.inference_mode():
        without = states(base)
        by_peft = states(PeftModel.from_pretrained(base, str(model / "adapter")).eval())
        ours = LanguageModelBackbone(checkpoint.backbone.config, merged)(embedded)
    torch.testing.assert_close(ours, by_peft, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(without, by_peft, atol=1e-4)


def test_scoring_needs_no_cache_no_network_and_no_peft(
    model: Path, log: Path, tmp_path: Path
) -> None:
    """A model directory is moved to a machine that has nothing but aster."""
    alone = Path(shutil.copytree(model, tmp_path / "moved.aster"))
    code = f"""
import sys
import polars as pl
from aster_cli import Detector
Detector.load({str(alone)!r}).score({str(log)!r}).write_parquet({str(tmp_path / "s.parquet")!r})
print(*[name for name in ("peft", "sklearn", "gguf") if name in sys.modules])
"""
    nowhere = str(tmp_path / "nowhere")
    environment = {
        **os.environ,
        **dict.fromkeys(("ASTER_CACHE_DIR", "HF_HOME", "XDG_CACHE_HOME", "HOME"), nowhere),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == ""
    # this process has other threads and other checks, and yet: the same bits
    here = Detector.load(model).score(log)
    assert_frame_equal(pl.read_parquet(tmp_path / "s.parquet"), here, check_exact=True)


def test_the_file_of_the_language_model_is_not_needed_once_trained(
    model: Path, log: Path, tmp_path: Path
) -> None:
    """The layers travel with the model directory; a renamed folder must not break scoring."""
    checkpoint = load_model(model)[0]
    place = Path(checkpoint.config.model.backbone)
    hidden = place.rename(tmp_path / "hidden")
    try:
        assert len(Detector.load(model).score(log)) == 160
    finally:
        hidden.rename(place)


def test_a_log_that_lacks_a_sensor_is_refused_by_the_api_too(model: Path, tmp_path: Path) -> None:
    """The Python API raises what the command prints."""
    wave(60).drop("s2").write_parquet(tmp_path / "log.parquet")
    with pytest.raises(SchemaMismatchError, match="'s2'"):
        Detector.load(model).score(tmp_path / "log.parquet")


def test_frames_are_scored_as_files_are(model: Path, log: Path) -> None:
    """The same rows have the same scores, in the input's order, whatever they came in."""
    detector = Detector.load(model)
    frame = pl.read_parquet(log)
    from_file = detector.score(log)
    assert_frame_equal(detector.score(frame), from_file, check_exact=True)
    assert_frame_equal(detector.score(frame.lazy()), from_file, check_exact=True)
    assert from_file["timestamp"].to_list() == frame["time"].to_list()


def test_a_frame_trains_the_detector_of_its_file(normal: Path) -> None:
    """The model's name is that of what decides its scores, and the door is none of it."""
    first = Detector.fit(normal, tiny_config())
    assert Detector.fit(pl.read_parquet(normal), tiny_config()).model_id == first.model_id
    assert first.sensors == ("s0", "s1", "s2")
    assert first.model_id in repr(first)


def test_settings_by_name_are_those_of_a_configuration(normal: Path) -> None:
    """`fit(seed=1)` must not be another way with other results."""
    by_name = Detector.fit(normal, tiny_config(), seed=1)
    assert by_name.model_id == Detector.fit(normal, tiny_config(seed=1)).model_id


def test_what_is_no_log_is_said(model: Path) -> None:
    """A pandas frame or an array is a common mistake."""
    with pytest.raises(UsageError, match="ndarray"):
        Detector.load(model).score(np.zeros((5, 3)))  # type: ignore[arg-type]


def test_events_are_the_rows_that_name_them(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One row an event, the ids and times of the dtype that the log has."""
    detector = Detector.load(tiny_fleet_model(tmp_path_factory.getbasetemp()))
    live = interleaved(wave(160, spike=True, unit="a"), wave(160, seed=1, spike=True, unit="b"))
    scores = detector.score(live)
    events = detector.events(scores)
    assert events.height == scores["event_id"].drop_nulls().n_unique() > 0
    assert events["severity"].is_sorted(descending=True)
    assert events["n_rows"].sum() == scores["is_anomaly"].sum()
    assert events.schema["start"] == scores.schema["timestamp"]
    for event in events.iter_rows(named=True):
        rows = scores.filter(pl.col("event_id") == event["event_id"])
        assert set(rows["unit"]) == {event["unit"]}
        assert (event["start"], event["end"]) == (rows["timestamp"].min(), rows["timestamp"].max())
        assert event["peak_score"] == rows["score"].max()
        assert event["duration_s"] == (event["end"] - event["start"]).total_seconds()


def test_quiet_scores_have_no_events(model: Path) -> None:
    """An empty table with its columns, not an error."""
    detector = Detector.load(model)
    scores = detector.score(wave(40)).with_columns(
        event_id=pl.lit(None, dtype=pl.String), is_anomaly=pl.lit(False)
    )
    assert detector.events(scores).shape == (0, 10)


@pytest.mark.parametrize("rows", [1, 7, 9])
def test_too_few_rows_to_learn_from_are_refused(rows: int, tmp_path: Path) -> None:
    """With nothing held out there would be a threshold out of thin air."""
    wave(rows).write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError):
        Detector.fit(tmp_path / "log.parquet", tiny_config())


def test_every_machine_is_calibrated(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Machines with few rows to calibrate on share the pooled threshold; the record says so."""
    record = load_model(tiny_fleet_model(tmp_path_factory.getbasetemp()))[0].training
    assert record.machines == 2
    assert record.thresholds == ()


def test_the_whole_log_is_scored_by_the_shares_that_it_was_calibrated_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are learnt once, from the early part and from what it held out."""
    calls: list[tuple[dict[str, Any], NormalWindows]] = []
    fit = NormalWindows.fit

    def spied(windows: TrainingWindows, *known: Any, **more: Any) -> NormalWindows:
        calls.append((more, fit(windows, *known, **more)))
        return calls[-1][1]

    monkeypatch.setattr(NormalWindows, "fit", spied)
    wave(400).write_parquet(tmp_path / "f.parquet")
    Detector.fit(tmp_path / "f.parquet", tiny_config())
    (first, early), (second, whole) = calls
    assert 0 < len(first["held_out"]) < 100  # a fifth of the rows, less than a window
    assert torch.equal(second["shares"], early.shares)
    assert torch.equal(whole.shares, early.shares)


def test_every_machine_has_a_part_in_every_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that held out a whole machine would teach that its usual level is new."""
    learnt: list[TrainingWindows] = []
    fit = NormalWindows.fit

    def spied(windows: TrainingWindows, *known: Any, **more: Any) -> NormalWindows:
        learnt.append(windows)
        return fit(windows, *known, **more)

    monkeypatch.setattr(NormalWindows, "fit", spied)
    interleaved(wave(300, unit="a"), wave(300, seed=1, unit="b")).write_parquet(
        tmp_path / "f.parquet"
    )
    Detector.fit(tmp_path / "f.parquet", tiny_config(id_cols=("unit",)))
    assert len(learnt) == 2
    for windows in learnt:
        half = len(windows) // 2  # one machine comes after the other
        blocks = [part for block in windows.blocks(BLOCKS) for part in block]
        assert blocks
        assert all(numbers.min() < half <= numbers.max() for numbers in blocks)


STRIDE = 4


def noise(rows: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    drawn = np.random.default_rng(seed).normal(size=(rows, N_SENSORS))
    return drawn.astype(np.float32)


def tiny_reader(normal: NormalWindows) -> WindowReader:
    return WindowReader(tiny_network().eval(), normal, torch.device("cpu"), 64)


def blocks_of(windows: TrainingWindows) -> Readings:
    normal = NormalWindows.fit(windows)
    return read_blocks(tiny_reader(normal), normal, windows, STRIDE).readings


def test_every_machine_has_its_share_of_the_blocks() -> None:
    """A threshold that rested on one pump's blocks would be that pump's. Half as many windows are
    half the share, but for one window in each block, and no block is left out."""
    segments = [noise(400), noise(200, seed=1), noise(207, seed=2)]
    owners: list[MachineId] = [("a",), ("b",), ("a",)]
    windows = TrainingWindows(segments, WINDOW_SIZE, owners)
    found = blocks_of(windows)
    share = {("a",): 385 + 192, ("b",): 185}
    assert found.keys() == share.keys()
    for machine, count in share.items():
        assert found[machine].keys() == set(READINGS)
        for values in found[machine].values():
            assert abs(len(values) - count) <= BLOCKS * STRIDE


def test_a_window_of_a_block_counts_for_its_stride_of_rows() -> None:
    """Beside held-out rows, each of which has a value of its own, a block must weigh what its rows
    do; a window counted once would be drowned by the end of the log."""
    windows = TrainingWindows([noise(300)], WINDOW_SIZE)
    normal = NormalWindows.fit(windows)
    reader = tiny_reader(normal)
    found = read_blocks(reader, normal, windows, STRIDE).readings[()]
    by_hand: dict[str, list[float]] = {name: [] for name in READINGS}
    for block in normal.blocks(windows):
        read = reader.against(block.others).read(windows.take(block.inside[::STRIDE]), KNEES)
        for name in READINGS:
            by_hand[name] += np.repeat(read.rows[name].mean(axis=1), STRIDE).tolist()
    for name in READINGS:
        np.testing.assert_allclose(found[name], by_hand[name], rtol=1e-6)
    assert len(np.unique(found["window"])) == len(found["window"]) // STRIDE


def test_a_log_too_short_for_blocks_gives_none() -> None:
    """Its one block is all of it: every window would find itself, and nothing would be novel."""
    windows = TrainingWindows([noise(WINDOW_SIZE + 4)], WINDOW_SIZE)
    assert len(windows) > 0
    assert blocks_of(windows) == {}


def test_what_only_one_block_has_seen_comes_out_novel() -> None:
    """The rows that a log will meet next may be as new to it as one of its own regimes was to the
    rest. Read against all windows, that regime would find itself and look more usual. It is a course,
    not an offset: one that a fifth of the log has counts little."""
    log = noise(600)
    log[242:358] += np.resize(5.0 * noise(12, seed=1), (116, N_SENSORS))  # well within a fifth
    windows = TrainingWindows([log], WINDOW_SIZE)
    normal = NormalWindows.fit(windows)
    reader = tiny_reader(normal)
    starts = np.concatenate([block.inside[::STRIDE] for block in normal.blocks(windows)])
    within = (starts >= 242) & (starts + WINDOW_SIZE <= 358)
    without = (starts + WINDOW_SIZE <= 242) | (starts >= 358)
    honest = -np.log(read_blocks(reader, normal, windows, STRIDE).readings[()]["window"][::STRIDE])
    lenient = -np.log(reader.read(windows.take(starts), KNEES).rows["window"][:, 0])
    assert honest[within].min() > honest[without].max()
    assert np.median(honest[within] - lenient[within]) > np.log(2.0)


def drawn_readings(machines: dict[str, int], logit: float) -> Readings:
    """Rows by machine, whose logits lie about `logit`."""
    rng = np.random.default_rng(len(machines))
    return {
        (name,): {
            "window": rng.lognormal(size=n),
            "classifier": logit + rng.normal(size=n),
        }
        for name, n in machines.items()
    }


def test_the_classifier_is_scaled_by_held_out_rows_alone(model: Path) -> None:
    """It was trained to call the blocks normal, so there it is surer than it is of any new row; a
    scale from both would take an ordinary new row for evidence. The window's scale sees both, since
    a block is expected from the others only."""
    made = load_model(model)[0]
    held_out, blocks = drawn_readings({"a": 300}, 0.0), drawn_readings({"a": 700}, -8.0)
    calibration = calibrate(held_out, blocks, made.schema, made.config)
    alone = held_out[("a",)]["classifier"]
    assert calibration.readings["classifier"] == ReadingScale.fit(alone)
    both = np.concatenate([evidence(rows[("a",)])["window"] for rows in (held_out, blocks)])
    assert calibration.readings["window"] == ReadingScale.fit(both)


def test_scores_of_held_out_rows_and_of_blocks_make_the_threshold(model: Path) -> None:
    """The end of a log need not have seen all that its normal rows do."""
    made = load_model(model)[0]
    held_out, blocks = drawn_readings({"a": 300}, 0.0), drawn_readings({"a": 700}, -1.0)
    calibration = calibrate(held_out, blocks, made.schema, made.config)
    scores = [join_readings(rows[("a",)], calibration.readings) for rows in (held_out, blocks)]
    np.testing.assert_allclose(calibration.pooled.held_out, np.sort(np.concatenate(scores)))
    without = calibrate(held_out, {}, made.schema, made.config)
    assert len(without.pooled.held_out) == 300


def test_a_machine_is_judged_by_itself_once_its_rows_are_many(model: Path) -> None:
    """Held-out rows and those of blocks together decide; a machine that only blocks know counts."""
    made = load_model(model)[0]
    held_out = drawn_readings({"a": 600, "b": 600}, 0.0)
    blocks = drawn_readings({"a": FEW_SCORES - 600, "b": FEW_SCORES - 601, "c": 50}, 0.0)
    calibration = calibrate(held_out, blocks, made.schema, made.config)
    assert calibration.machines.keys() == {("a",)}
    assert len(calibration.machines[("a",)].held_out) == FEW_SCORES
    assert len(calibration.pooled.held_out) == 2 * FEW_SCORES - 1 + 50


def test_defaults_are_resolved_before_they_are_kept(model: Path) -> None:
    """What the log decided must not be decided anew when scoring."""
    config = load_model(model)[0].config
    assert config.model.stride is not None
    assert config.model.latent_width is not None
    assert isinstance(config, DetectorConfig)


def test_known_incidents_teach_nothing(tmp_path: Path) -> None:
    """Rows of an incident neither train, nor scale, nor calibrate: whatever they hold, the detector is
    the same; and it tells how many they were."""
    (tmp_path / "incidents.csv").write_text(
        "start,end\n2024-03-01 01:40,2024-03-01 01:45\n2024-03-01 04:30,2024-03-01 04:33\n"
        "1999-01-01 00:00,1999-01-02 00:00\n"
    )
    found = []
    for level in (0.0, 50.0):
        log = wave(300).with_columns(
            pl.when(pl.int_range(pl.len()).is_between(100, 105))
            .then(level)
            .otherwise("s0")
            .alias("s0")
        )
        log.write_parquet(tmp_path / "normal.parquet")
        detector = Detector.fit(
            tmp_path / "normal.parquet", tiny_config(), exclude=tmp_path / "incidents.csv"
        )
        record = detector.checkpoint.training
        assert (record.rows, record.excluded_rows) == (290, 10)
        assert record.notes[-1] == (
            "10 rows lie in known incidents and are skipped; of the 3 incidents 1 met no row"
        )
        found.append(detector.model_id)
    assert found[0] == found[1]
    assert found[0] != Detector.fit(tmp_path / "normal.parquet", tiny_config()).model_id
