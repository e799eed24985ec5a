"""The joint training loop: a generator of epoch results that prints nothing and writes nothing."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aster_cli.errors import UsageError
from aster_cli.model import ranks
from aster_cli.model.aster import AsterNetwork
from aster_cli.model.device import halved, to_device
from aster_cli.model.gradient_reversal import reversal_schedule
from aster_cli.model.neighbours import Block, NormalWindows
from aster_cli.results import EpochResult, Snapshot
from aster_cli.timing import FOREVER, TimeLimit
from aster_cli.windows import TrainingWindows

BETA = 0.01
"""Weight of the KL term; the other terms are in units of their own and weigh 1."""

EPOCHS = 12
PATIENCE = 4
HELD_OUT_WINDOWS = 128
WARM_UP = 0.1  # of the steps


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how hard a training goes.

    Attributes:
        steps: Optimiser steps at most.
        batch_size: Windows of a step.
        learning_rate: The highest, after warming up.
        reversal_strength: λ at the end.
        reversal_from: Progress from which λ is counted; 1 starts a further training at full λ.
        seed: Of batches, latent codes, radii and segments.
    """

    steps: int
    batch_size: int
    learning_rate: float
    reversal_strength: float
    reversal_from: float
    seed: int


def train(
    network: AsterNetwork,
    windows: TrainingWindows,
    normal: NormalWindows,
    held_out: TrainingWindows,
    schedule: Schedule,
    device: torch.device,
    since: Snapshot | None = None,
    limit: TimeLimit = FOREVER,
) -> Iterator[tuple[EpochResult, Callable[[], Snapshot]]]:
    """Train in place, yielding after every epoch; the best weights are there when it ends.

    The best are those with the lowest ELBO loss on `held_out`, a stretch of time that training
    does not see; without held-out windows, the last. With a result comes what takes a snapshot of where
    training stands; given back as `since`, it goes on from there to the very same weights.

    Args:
        network: On `device`.
        windows: Normal windows to learn from.
        normal: Fitted on them, on `device`.
        held_out: Windows for early stopping; may be empty.
        schedule: How long and how hard.
        device: Where the network lives.
        since: Where an earlier call with the same arguments stood; None begins.
        limit: When it is over training ends, within an epoch too; one step is always made.

    Raises:
        UsageError: A loss is not a finite number, the device has no memory for a window, or several
            processes cannot share out a batch.
        LostProcessError: One of several is not there any more.
    """
    torch.manual_seed(schedule.seed)
    draw = np.random.default_rng(schedule.seed)
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    optimiser = torch.optim.AdamW(
        trained.values(), lr=schedule.learning_rate, weight_decay=0.01, fused=True
    )
    # of ten steps the first would be all of the warm-up, and torch divides by what lies before it
    total = max(schedule.steps, math.ceil(1 / WARM_UP) + 1)
    warming = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.learning_rate, total_steps=total, pct_start=WARM_UP
    )
    watched = torch.from_numpy(held_out.evenly(HELD_OUT_WINDOWS)) if len(held_out) else None
    best_loss, best_epoch, best = float("inf"), 0, dict[str, Tensor]()
    done = step = 0
    at_once = schedule.batch_size
    if since is not None:
        done, step, at_once = since["epoch"], since["step"], since["at_once"]
        best_loss, best_epoch = since["best_loss"], since["best_epoch"]
        best = _tensors(since["best"])
        network.load_state_dict(_tensors(since["weights"]), strict=False)
        optimiser.load_state_dict(_tensors(since["optimiser"]))
        warming.load_state_dict(since["warming"])
        draw.bit_generator.state = since["draw"]
        _set_random_state(_tensors(since["random"]), device)

    def snapshot() -> Snapshot:
        found: Snapshot = _plain(
            {
                "epoch": epoch,
                "step": step,
                "at_once": at_once,
                "best_loss": best_loss,
                "best_epoch": best_epoch,
                "best": best,
                "weights": _copy(network, trained),
                "optimiser": optimiser.state_dict(),
                "warming": warming.state_dict(),
                "draw": draw.bit_generator.state,
                "random": _random_state(device),
            }
        )
        return found

    ranks.level(trained.values())
    own = ranks.own_part(schedule.batch_size)
    blocks = [Block(block.inside, block.others.to(device)) for block in normal.blocks(windows)]
    ends = np.linspace(0, schedule.steps, min(EPOCHS, schedule.steps) + 1).round().astype(int)[1:]
    for epoch, end in enumerate(ends.tolist()[done:], start=done + 1):
        if watched is not None and epoch - 1 - best_epoch >= PATIENCE:
            break
        if step and ranks.from_first(limit.is_over()):
            break
        network.train()
        sums: dict[str, float] = defaultdict(float)
        first = step
        while step < end and not (step > first and ranks.from_first(limit.is_over())):
            progress = step / schedule.steps
            strength = reversal_schedule(
                schedule.reversal_from + (1.0 - schedule.reversal_from) * progress,
                schedule.reversal_strength,
            )
            inside, others = blocks[step % len(blocks)]
            numbers = draw.choice(inside, schedule.batch_size)
            batch = to_device(windows.take(numbers[own]), device)
            terms = None
            while terms is None:
                optimiser.zero_grad()
                try:
                    with ranks.with_part():
                        terms = _learn(network, batch, others, strength, at_once)
                    ranks.average_gradients(trained.values())
                except torch.OutOfMemoryError:
                    at_once = _fewer(at_once, device)
            torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
            optimiser.step()
            warming.step()
            step += 1
            for name, value in terms.items():
                sums[name] += value
        means = {name: value / (step - first) for name, value in sums.items()}
        losses = ranks.average_terms(means, device)
        _require_finite(losses)
        checked: dict[str, float] = {}
        separation = None
        if watched is not None:
            found = examine(network, watched.to(device), normal, schedule.seed)
            checked, separation = ranks.from_first(found)
            elbo = checked["window_reconstruction"] + checked["hidden_reconstruction"]
            elbo += BETA * checked["kl"]
            if elbo < best_loss:
                best_loss, best_epoch, best = elbo, epoch, _copy(network, trained)
        yield EpochResult(epoch, step, strength, losses, checked, separation, at_once), snapshot
    if watched is not None:
        network.load_state_dict(best, strict=False)
    network.eval()


def _learn(
    network: AsterNetwork, batch: Tensor, others: NormalWindows, strength: float, at_once: int
) -> dict[str, float]:
    """Add up a batch's gradients, `at_once` windows at a time; return its loss terms."""
    found: dict[str, float] = defaultdict(float)
    for start in range(0, len(batch), at_once):
        some = batch[start : start + at_once]
        share = len(some) / len(batch)
        terms = network.compare(some, others, strength).terms
        (share * terms.total(BETA)).backward()  # type: ignore[no-untyped-call]
        for name, value in terms.detached().items():
            found[name] += share * value
    return found


@torch.no_grad()
def examine(
    network: AsterNetwork, windows: Tensor, normal: NormalWindows, seed: int
) -> tuple[dict[str, float], float]:
    """The loss terms on held-out windows, and how well real and generated tokens separate there.

    Returns:
        Terms by name, and AUC-ROC of the logits of real tokens against displaced ones, at the
        generator's present state.

    Raises:
        UsageError: A term is not a finite number.
    """
    from sklearn.metrics import roc_auc_score

    network.eval()
    with torch.random.fork_rng([windows.device] if windows.device.type == "cuda" else []):
        torch.manual_seed(seed)
        terms, real, generated, displaced = network.compare(windows, normal, 0.0)
    found = terms.detached()
    _require_finite(found)
    false = generated[displaced]
    labels = np.concatenate((np.zeros(real.numel()), np.ones(len(false))))
    logits = torch.cat((real.flatten(), false)).cpu().numpy()
    return found, float(roc_auc_score(labels, logits))


def _fewer(at_once: int, device: torch.device) -> int:
    """Half as many windows at once; of several processes none can, for the others wait for it.

    Raises:
        UsageError: There is no memory for a window, or for the part of one of several processes.
    """
    if ranks.count() == 1:
        return halved(at_once, device)
    raise UsageError(
        f"the memory of {device} does not hold a process's part of a step",
        where="torchrun",
        hint="start more processes, or free it",
    )


def _require_finite(terms: dict[str, float]) -> None:
    if not all(map(math.isfinite, terms.values())):
        raise UsageError("training does not converge", hint="take a smaller learning rate")


def _copy(network: AsterNetwork, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The values of what is trained, and of the spread that goes with them: a copy, not a view."""
    kept = {name: value.detach().clone() for name, value in trained.items()}
    return kept | {"spread": network.spread.clone()}


def _random_state(device: torch.device) -> list[Tensor]:
    """Of the processor, and of the device if it is another."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _set_random_state(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


def _plain(value: Any) -> Any:
    """The same with arrays for tensors, copied, and with text for the numbers of parameters."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy().copy()
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _tensors(value: Any) -> Any:
    """What `_plain` was given, on the CPU."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, dict):
        return {int(k) if k.isdecimal() else k: _tensors(item) for k, item in value.items()}
    if isinstance(value, list):
        return [_tensors(item) for item in value]
    return value
