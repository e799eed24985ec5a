"""The one code path on a GPU. Skipped where there is none."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from aster_cli import Detector
from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.logs import open_log
from aster_cli.model.device import batch_windows, find_device
from tests.tiny_backbone import write_tiny_backbone
from tests.tiny_detector import tiny_config, wave

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

CUDA = torch.device("cuda")


def scored(detector: Detector, log: Path, device: str) -> tuple[pl.DataFrame, list[str]]:
    with open_log([str(log)], ColumnConfig(), TimeConfig()) as opened:
        scorer = detector.scorer(opened, device)
        return pl.concat(scorer.tables()), scorer.notes()


@pytest.fixture
def live(tmp_path: Path) -> Path:
    wave(2000, seed=1, spike=True).write_parquet(tmp_path / "live.parquet")
    return tmp_path / "live.parquet"


def test_a_model_scores_alike_on_both_devices(live: Path, tmp_path: Path) -> None:
    """A model trained on one machine is used on others; alarms must not depend on which."""
    config = tiny_config(str(write_tiny_backbone(tmp_path / "llm"))).changed(device="cpu")
    detector = Detector.fit(wave(300), config)
    there, notes = scored(detector, live, "cuda")
    here, _ = scored(detector, live, "cpu")
    np.testing.assert_allclose(there["score"], here["score"], rtol=1e-4, atol=1e-4)
    assert there["is_anomaly"].to_list() == here["is_anomaly"].to_list()
    (note,) = notes
    assert "on cuda" in note
    assert "as the model was calibrated" in note


def test_training_works_on_a_gpu_and_finds_the_spike(live: Path, tmp_path: Path) -> None:
    """What is saved there is read anywhere, and says what it was calibrated on."""
    config = tiny_config().changed(device="cuda")
    detector = Detector.fit(wave(300), config)
    scoring = detector.checkpoint.scoring
    assert scoring.device == "cuda"
    assert scoring.batch_windows == batch_windows(CUDA, n_tokens=8)
    detector.save(tmp_path / "m.aster")
    for device in ("cuda", "cpu"):
        scores, _ = scored(Detector.load(tmp_path / "m.aster"), live, device)
        assert scores["is_anomaly"][100:106].all()


def test_memory_that_is_too_small_halves_the_batch(tmp_path: Path) -> None:
    """The allocator itself refuses here. A batch's nearest windows alone take 80 MB."""
    values = np.random.default_rng(0).normal(size=(2000, 64)).astype(np.float32)
    log = pl.DataFrame(values, schema=[f"s{place}" for place in range(64)])
    log.insert_column(0, wave(2000)["time"]).write_parquet(tmp_path / "wide.parquet")
    config = tiny_config().changed(device="cuda", window_size=32)
    detector = Detector.fit(tmp_path / "wide.parquet", config)
    expected, _ = scored(detector, tmp_path / "wide.parquet", "cuda")
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 1e8) / total)
    try:
        found, notes = scored(detector, tmp_path / "wide.parquet", "cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-4, atol=1e-4)
    (note,) = notes
    assert f"not in fp32 on cuda, {batch_windows(CUDA, n_tokens=8)} windows a batch" in note


def test_a_gpu_that_is_not_there_is_refused() -> None:
    """A number too high must not end in a traceback of CUDA's."""
    assert find_device("auto") == CUDA
    assert find_device("cuda:0").type == "cuda"
