"""What is kept of a training, put together again."""

import torch

from aster_cli.assembly import Blueprint, keep
from aster_cli.checkpoint import Scoring
from aster_cli.model.neighbours import familiarity
from tests.tiny_network import (
    N_SENSORS,
    PATCH_SIZE,
    WINDOW_SIZE,
    tiny_config,
    tiny_network,
    tiny_normal,
    tiny_windows,
)

SCORING = Scoring(batch_windows=4, precision="fp32", threads=1)


@torch.no_grad()
def test_what_is_kept_reads_windows_as_what_was_trained() -> None:
    """Calibration reads by what is kept too, so whatever is lost on the way would not show there:
    a length without its whitening, a classifier that is told of no novelty."""
    network, normal, windows = tiny_network().eval(), tiny_normal(), tiny_windows(6)
    blueprint = Blueprint(tiny_config(), N_SENSORS, None, SCORING, torch.device("cpu"))
    read = blueprint.reader(keep(network, normal, WINDOW_SIZE)).read(windows.numpy())
    novelty = normal.novelty(windows)
    reading = network(windows, novelty)
    whole = reading.logits.mean(dim=1, keepdim=True)
    expected = {
        "window": familiarity(novelty)[:, None].expand(-1, WINDOW_SIZE),
        "classifier": reading.logits.minimum(whole).repeat_interleave(PATCH_SIZE, dim=1),
    }
    for name, values in expected.items():
        torch.testing.assert_close(torch.from_numpy(read.rows[name]), values)
    torch.testing.assert_close(torch.from_numpy(read.expected), reading.expected)
