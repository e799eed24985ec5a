"""Normal bands: 99 of 100 normal values lie in them, whatever the sensor, and nothing else makes them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from aster_cli import Detector
from aster_cli.bands import FEW_ROWS, LEVEL, Band, NormalBands
from aster_cli.config import DetectorConfig, ModelConfig, TrainingConfig
from aster_cli.results import MachineId
from benchmarks.detection.entities import DATA
from tests.tiny_detector import interleaved, tiny_config, wave


def drawn(rows: int, spread: float, seed: int = 0) -> NDArray[np.float32]:
    return (spread * np.random.default_rng(seed).normal(size=(rows, 2))).astype(np.float32)


def inside(explained: pl.DataFrame) -> float:
    return float(explained.select(pl.col("actual").is_between("low", "high").mean()).item())


def test_a_band_leaves_out_one_in_a_hundred() -> None:
    """Half on either side, of each sensor by itself."""
    rows = drawn(200_000, 1.0) * np.array([1.0, 5.0], dtype=np.float32)
    band = Band.fit([rows])
    for low, high, own in zip(band.low, band.high, rows.T, strict=True):
        assert np.mean(own < low) == pytest.approx((1 - LEVEL) / 2, abs=1e-4)
        assert np.mean(own > high) == pytest.approx((1 - LEVEL) / 2, abs=1e-4)


def test_every_source_counts_the_same() -> None:
    """The end of a long log has many rows, and blocks few: the end alone must not decide."""
    many, few = drawn(100_000, 1.0), drawn(1_000, 100.0)
    twice = Band.fit([many, np.repeat(few, 3, axis=0)])
    assert Band.fit([many, few]) == twice
    assert twice.high[0] > 50.0


def test_what_is_expected_lies_in_its_band() -> None:
    """Also of a sensor that was off to one side on every normal row."""
    band = Band.fit([3.0 + drawn(500, 0.1)])
    assert set(band.low) == {0.0}
    assert min(band.high) > 3.0


def test_a_machine_has_its_own_band_once_its_rows_are_many() -> None:
    """A noisy pump must not widen a quiet one's band, and a few rows tell nothing of a hundredth."""
    rows: dict[MachineId, NDArray[np.float32]] = {
        ("a",): drawn(FEW_ROWS, 1.0),
        ("b",): drawn(FEW_ROWS - 1, 9.0, seed=1),
    }
    bands = NormalBands.fit([rows, {}])
    assert bands.of(("a",)) == Band.fit([rows[("a",)]])
    assert bands.of(("b",)) == bands.of(("new",)) == bands.pooled == Band.fit([*rows.values()])
    assert NormalBands.fit([{("a",): rows[("a",)]}]).machines == {}


def test_no_scored_row_moves_a_band(tmp_path: Path) -> None:
    """It comes from training: an anomaly that lasts must not become normal by being scored."""
    wave(300).write_parquet(tmp_path / "normal.parquet")
    detector = Detector.fit(tmp_path / "normal.parquet", tiny_config())
    calm = detector.explain(wave(160, seed=4))
    shifted = wave(160, seed=4).with_columns(
        s0=pl.col("s0") + pl.int_range(160).is_between(80, 120)
    )
    moved = detector.explain(shifted)
    before = calm["timestamp"] < wave(61)["time"][-1]  # windows there do not reach the shift
    assert moved.filter(before).equals(calm.filter(before))
    assert inside(moved) < inside(calm)


def test_bands_are_kept_with_the_model(tmp_path: Path) -> None:
    """A machine's own, too; a model that is read again explains alike."""
    both = interleaved(wave(900, unit="a"), wave(900, seed=1, unit="b"))
    detector = Detector.fit(both, tiny_config(id_cols=("unit",)))
    bands = detector.checkpoint.bands
    assert bands.machines.keys() == {("a",), ("b",)}
    detector.save(tmp_path / "fleet.aster")
    again = Detector.load(tmp_path / "fleet.aster")
    assert (again.checkpoint.bands.pooled, again.checkpoint.bands.machines) == (
        bands.pooled,
        bands.machines,
    )
    assert again.explain(both).equals(detector.explain(both))


LOGS = ["ASD/omi-1", "MSL/C-1", "SKAB/valve1-0", "SMAP/A-1"]


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the real logs are not here")
@pytest.mark.parametrize("name", LOGS)
def test_normal_rows_to_come_lie_in_their_bands(name: str) -> None:
    """The last fifth of each training log, which no detector has seen: see docs/lab-notes.md."""
    log = pl.read_parquet(DATA / name / "train.parquet")
    seen = len(log) * 4 // 5
    # what is expected comes from stored windows: the networks need no training for it
    config = DetectorConfig(model=ModelConfig(backbone="none"), training=TrainingConfig(steps=1))
    share = inside(Detector.fit(log[:seen], config).explain(log[seen:]))
    assert 0.985 <= share <= 1.0
