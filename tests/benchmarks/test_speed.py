"""The speed benchmark's arithmetic and its inputs; it is the benchmark that measures, never a test."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
import torch

from aster_cli.model.neighbours import NormalWindows
from aster_cli.windows import TrainingWindows
from benchmarks.speed.logs import waves, write_log
from benchmarks.speed.peers import BASE, LENGTHS, LONGER, WIDER, Cost, growth_table, slope
from benchmarks.speed.picture import draw
from benchmarks.speed.training import train_plainly
from tests.tiny_network import WINDOW_SIZE, tiny_network


def test_slopes_of_powers() -> None:
    """1 is what the bar asks for: twice the rows, twice the time."""
    sizes = [10.0, 100.0, 1000.0]
    assert slope(sizes, [3.0 * size for size in sizes]) == pytest.approx(1.0)
    assert slope(sizes, [size**2 for size in sizes]) == pytest.approx(2.0)
    assert slope(sizes, [7.0] * 3) == pytest.approx(0.0)


def test_growth_is_told_axis_by_axis() -> None:
    """Four times the sensors and twice the window are each seen against the base alone."""
    scored = {rows: rows / 1000 for rows in LENGTHS}
    least = LENGTHS[0]
    costs = {
        BASE: Cost(10.0, scored, 100.0),
        WIDER: Cost(40.0, {least: 2 * scored[least]}, 100.0),
        LONGER: Cost(10.0, {least: 4 * scored[least]}, 200.0),
    }
    *_, line = growth_table({"aster": costs})
    assert line == "| aster | 1.00 | 0.50 | 2.00 | 1.00 | 0.00 | 0.00 | 1.00 |"


def test_a_log_is_one_log_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step between pieces would be a gap, and cost windows."""
    monkeypatch.setattr("benchmarks.speed.logs._PIECE", 7)
    log = pl.read_parquet(write_log(tmp_path / "log.parquet", 20, 3))
    assert log.shape == (20, 4)
    assert log["time"].diff().drop_nulls().unique().dt.total_seconds().to_list() == [1]


def test_the_plain_loop_learns() -> None:
    """A loop that does nothing would be fast, and a ratio to it worth nothing."""
    log = TrainingWindows([waves(np.arange(200), 3, np.random.default_rng(0))], WINDOW_SIZE)
    network = tiny_network()
    before = {name: value.clone() for name, value in network.named_parameters()}
    train_plainly(network, log, NormalWindows.fit(log), 2)
    moved = [not torch.equal(before[name], value) for name, value in network.named_parameters()]
    assert sum(moved) > len(moved) / 2


def test_the_picture_has_every_curve() -> None:
    """Names that hold markup too."""
    curves = {"aster": {10: 0.5, 100: 5.0}, "a<b": {10: 0.1, 100: 0.9}}
    picture = ElementTree.fromstring(draw("Seconds", curves, own="aster"))
    names = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert set(curves) <= set(names)
