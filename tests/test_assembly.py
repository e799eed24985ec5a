"""What is kept of a training, put together again."""

from dataclasses import replace

import msgspec
import numpy as np
import torch

from aster_cli.assembly import Blueprint, keep
from aster_cli.checkpoint import Scoring
from aster_cli.model.device import batch_windows
from aster_cli.model.neighbours import NormalWindows, without_forecast
from aster_cli.reading import READINGS, WindowReader
from tests.tiny_network import (
    KNEES,
    N_SENSORS,
    PATCH_SIZE,
    WINDOW_SIZE,
    tiny_config,
    tiny_network,
    tiny_normal,
    tiny_windows,
)

CPU = torch.device("cpu")
SCORING = Scoring(batch_windows=4, precision="fp32", threads=1)


def blueprint() -> Blueprint:
    return Blueprint(tiny_config(), N_SENSORS, None, SCORING, CPU)


@torch.no_grad()
def test_what_is_kept_reads_windows_as_what_was_trained() -> None:
    """Calibration reads by what is kept too, so whatever is lost on the way would not show there:
    a length without its whitening, a classifier that is told of no novelty."""
    network, normal, windows = tiny_network().eval(), tiny_normal(), tiny_windows(6)
    read = blueprint().reader(keep(network, normal)).read(windows.numpy(), KNEES)
    novelty = normal.novelty(windows)
    logits = network(windows, novelty.together)
    whole = logits.mean(dim=1, keepdim=True)
    familiarity = normal.familiarity(windows, novelty, torch.ones(6))
    expected = {
        "window": familiarity[:, None].expand(-1, WINDOW_SIZE),
        "classifier": logits.minimum(whole).repeat_interleave(PATCH_SIZE, dim=1),
    }
    for name, values in expected.items():
        torch.testing.assert_close(torch.from_numpy(read.rows[name]), values)
    torch.testing.assert_close(
        torch.from_numpy(read.expected), windows - normal.residual(windows), rtol=1e-5, atol=1e-5
    )


@torch.no_grad()
def test_what_is_kept_reads_the_same_bits() -> None:
    """Scores before and after saving are compared bit for bit by whoever checks a model."""
    network, normal, windows = tiny_network().eval(), tiny_normal(), tiny_windows(6).numpy()
    trained = WindowReader(network, normal, CPU, SCORING.batch_windows).read(windows, KNEES)
    kept = blueprint().reader(keep(network, normal)).read(windows, KNEES)
    for name in READINGS:
        np.testing.assert_array_equal(kept.rows[name], trained.rows[name])
    np.testing.assert_array_equal(kept.expected, trained.expected)
    np.testing.assert_array_equal(kept.departures, trained.departures)


def test_a_model_of_another_device_is_read_in_the_batches_of_this_one() -> None:
    """What a GPU takes at once would occupy a processor for long; a model keeps to its own device's."""
    network, normal = tiny_network().eval(), tiny_normal()
    foreign = msgspec.structs.replace(SCORING, batch_windows=1024, device="cuda")
    there = replace(blueprint(), scoring=foreign)
    here = there.reader(keep(network, normal)).batch_windows
    assert here == batch_windows(CPU, WINDOW_SIZE // PATCH_SIZE) < 1024
    assert blueprint().reader(keep(network, normal)).batch_windows == SCORING.batch_windows


def test_normal_windows_are_kept_as_they_are() -> None:
    """Every array of them, under its own name, and windows with their rows told apart."""
    normal = tiny_normal()
    kept = keep(tiny_network(), normal).weights
    arrays = {f"normal.{name}": value for name, value in normal.state_dict().items()}
    assert {name for name in kept if name.startswith("normal.")} == set(arrays)
    del arrays["normal.windows"]
    np.testing.assert_array_equal(kept["normal.windows"], tiny_windows(40, seed=7).numpy())
    for name, value in arrays.items():
        np.testing.assert_array_equal(kept[name], value.numpy())
        assert not np.shares_memory(kept[name], value.numpy())


@torch.no_grad()
def test_an_absent_sensor_is_measured_in_nothing() -> None:
    """What a log lacks is zero in it and in what is normal; a window's length is the others'."""
    network, normal, windows = tiny_network().eval(), tiny_normal(), tiny_windows(6)
    windows[:, :, 1] = 0.0
    read = blueprint().reader(keep(network, normal), np.array([1])).read(windows.numpy(), KNEES)
    stored = tiny_windows(40, seed=7)
    stored[:, :, 1] = 0.0
    whitening = normal.whitening.without(np.array([1]))
    shares = without_forecast(normal.shares)
    alike = NormalWindows(stored, whitening, normal.remoteness, shares=shares)
    expected = WindowReader(network, alike, CPU, SCORING.batch_windows).read(windows.numpy(), KNEES)
    for name in READINGS:
        np.testing.assert_array_equal(read.rows[name], expected.rows[name])
