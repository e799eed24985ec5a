"""Steps a second of training beside a plain loop: float32, every gradient, nothing done ahead.

The plain loop takes the same steps: the same network, windows, batches, losses and optimiser. It
computes the language model in float32 and the gradients of all its weights, though only LoRA's are
used. With the model frozen hidden states cannot be kept either: what embeds the patches is trained.
"""

import time
from statistics import median

import numpy as np
import torch

from aster_cli.assembly import configured_backbone
from aster_cli.config import ModelConfig
from aster_cli.model.aster import AsterNetwork, build_network
from aster_cli.model.device import dtype_of, resolve_precision
from aster_cli.model.neighbours import NormalWindows
from aster_cli.training import BETA, Schedule, train
from aster_cli.windows import TrainingWindows
from benchmarks.speed.logs import waves

ROWS, SENSORS, WINDOW, BATCH = 4000, 8, 32, 32
_CPU = torch.device("cpu")
_RATE = 1e-3


def measure_training(steps: int = 4, rounds: int = 3) -> list[str]:
    """Train both, in turn, with and without LoRA; return a table in Markdown."""
    torch.set_num_threads(1)
    windows, normal = windows_of_waves()
    precision = resolve_precision("auto", _CPU)
    lines = [
        f"| LoRA rank | plain loop, float32 | `aster train`, {precision} | ratio |",
        "|---|---|---|---|",
    ]
    for rank in (8, 0):
        plain = build(rank, torch.float32)
        plain.context.backbone.llm.requires_grad_(True)  # type: ignore[union-attr]
        own = build(rank, dtype_of(precision))
        taken: list[tuple[float, float]] = []
        for _ in range(rounds + 1):
            since = time.process_time()
            train_plainly(plain, windows, normal, steps)
            between = time.process_time()
            for _ in train(own, windows, normal, windows.none(), schedule(steps), _CPU):
                pass
            taken.append((between - since, time.process_time() - between))
        slow, fast = (median(column) / steps for column in zip(*taken[1:], strict=True))
        lines.append(
            f"| {rank or '0, frozen'} | {1 / slow:.2f} steps/s | {1 / fast:.2f} steps/s "
            f"| {slow / fast:.2f} |"
        )
    return lines


def train_plainly(
    network: AsterNetwork, windows: TrainingWindows, normal: NormalWindows, steps: int
) -> None:
    """The loop that one would write first."""
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    blocks = normal.blocks(windows)
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=0.01)
    network.train()
    for step in range(steps):
        inside, others = blocks[step % len(blocks)]
        batch = torch.from_numpy(windows.take(draw.choice(inside, BATCH)))
        optimiser.zero_grad()
        network.compare(batch, others, 1.0).terms.total(BETA).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()


def windows_of_waves() -> tuple[TrainingWindows, NormalWindows]:
    """What is learnt from, and what is normal of it."""
    values = waves(np.arange(ROWS), SENSORS, np.random.default_rng(0))
    windows = TrainingWindows([values], WINDOW)
    return windows, NormalWindows.fit(windows)


def build(rank: int, dtype: torch.dtype, backbone: str = "smollm2-135m") -> AsterNetwork:
    """A new network; LoRA of this rank, the language model in this type."""
    model = ModelConfig(window_size=WINDOW, latent_width=16, lora_rank=rank, backbone=backbone)
    torch.manual_seed(0)
    network = build_network(model, SENSORS, configured_backbone(model), compute_dtype=dtype)
    if rank and network.context is not None:
        network.context.backbone.add_lora(rank)
    return network


def schedule(steps: int) -> Schedule:
    """So many steps at full strength."""
    return Schedule(steps, BATCH, _RATE, reversal_strength=1.0, reversal_from=1.0, seed=0)
