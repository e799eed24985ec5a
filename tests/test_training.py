"""The training loop: reproducible, watched on rows that it does not learn from."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aster_cli import training
from aster_cli.errors import UsageError
from aster_cli.model.aster import AsterNetwork, Comparison
from aster_cli.model.losses import LossTerms
from aster_cli.model.neighbours import NormalWindows
from aster_cli.results import EpochResult
from aster_cli.snapshots import pack, unpack
from aster_cli.timing import TimeLimit
from aster_cli.training import EPOCHS, PATIENCE, Schedule, examine, train
from aster_cli.windows import TrainingWindows
from tests.tiny_network import WINDOW_SIZE, tiny_network, tiny_windows

CPU = torch.device("cpu")
TERMS = {"window_reconstruction", "hidden_reconstruction", "kl", "classification"}

Weights = dict[str, Tensor]


def log(n_rows: int, first: int = 0) -> TrainingWindows:
    """Windows of a wave in three sensors."""
    rows = np.arange(first, first + n_rows)[:, None]
    wave = np.sin(0.4 * rows) * np.array([1.0, -0.5, 2.0])
    noise = np.random.default_rng(first).normal(0.0, 0.1, (n_rows, 3))
    return TrainingWindows([(wave + noise).astype(np.float32)], WINDOW_SIZE)


LOG, HELD_OUT = log(200), log(60, first=1000)
NORMAL = NormalWindows.fit(LOG)


def schedule(steps: int = EPOCHS, **changes: Any) -> Schedule:
    values = {
        "steps": steps,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "reversal_strength": 1.0,
        "reversal_from": 0.0,
        "seed": 3,
    }
    return Schedule(**{**values, **changes})


def weights_of(network: AsterNetwork) -> Weights:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def run(
    plan: Schedule, held_out: TrainingWindows = HELD_OUT
) -> tuple[AsterNetwork, list[EpochResult], list[Weights]]:
    """Train; return the network, the results, and the weights at the end of every epoch."""
    network = tiny_network()
    torch.seed()  # whatever was drawn before must not matter
    results, live = [], []
    for result, _ in train(network, LOG, NORMAL, held_out, plan, CPU):
        results.append(result)
        live.append(weights_of(network))
    return network, results, live


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Make held-out losses follow a script."""

    def install(losses: list[float]) -> None:
        script: Iterator[float] = iter(losses)

        def examined(*_: object) -> tuple[dict[str, float], float]:
            terms = dict.fromkeys(TERMS, 0.0) | {"window_reconstruction": next(script)}
            return terms, 0.5

        monkeypatch.setattr(training, "examine", examined)

    return install


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, Tensor, NormalWindows]]:
    """Every batch from here on: whether it is trained on, its windows, what is normal to it."""
    batches: list[tuple[bool, Tensor, NormalWindows]] = []
    compare = AsterNetwork.compare

    def spied(
        self: AsterNetwork, window: Tensor, normal: NormalWindows, strength: float
    ) -> Comparison:
        batches.append((self.training, window, normal))
        return compare(self, window, normal, strength)

    monkeypatch.setattr(AsterNetwork, "compare", spied)
    return batches


def test_the_same_seed_gives_the_same_weights() -> None:
    """A detector that cannot be made again cannot be trusted or repaired."""
    first, again, other = (weights_of(run(schedule(6, seed=seed))[0]) for seed in (3, 3, 4))
    assert same(first, again)
    assert not same(first, other)


def test_every_epoch_is_told() -> None:
    """Progress, the model card and the plots rest on these results."""
    _, results, _ = run(schedule(EPOCHS + 3))
    assert [result.epoch for result in results] == list(range(1, len(results) + 1))
    steps = [result.step for result in results]
    assert steps == sorted(set(steps))
    for result in results:
        assert result.losses.keys() == result.held_out.keys() == TERMS
        assert all(np.isfinite([*result.losses.values(), *result.held_out.values()]))
        assert result.separation is not None
        assert 0.0 <= result.separation <= 1.0


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 13])
def test_any_number_of_steps_trains(steps: int) -> None:
    """Short runs are how people try things out; a schedule must not divide by zero there."""
    _, results, _ = run(schedule(steps), HELD_OUT.none())
    assert len(results) == min(EPOCHS, steps)
    assert results[-1].step == steps


@pytest.mark.parametrize("held_out", [HELD_OUT, HELD_OUT.none()], ids=["watched", "alone"])
def test_a_training_that_fails_says_so(held_out: TrainingWindows) -> None:
    """Weights that are not numbers would score every row as missing, with exit code 0."""
    with pytest.raises(UsageError, match="does not converge; take a smaller learning rate"):
        run(schedule(learning_rate=1e30), held_out)


def test_nothing_is_held_out_of_a_short_log() -> None:
    """Then the last weights stand, and nothing is claimed about unseen windows."""
    network, results, live = run(schedule(), HELD_OUT.none())
    assert {result.separation for result in results} == {None}
    assert all(result.held_out == {} for result in results)
    assert same(weights_of(network), live[-1])


def test_watching_does_not_change_the_training() -> None:
    """Held-out windows choose among epochs; they may not leak into one."""
    _, watched, _ = run(schedule())
    _, alone, _ = run(schedule(), HELD_OUT.none())
    for one, other in zip(watched, alone, strict=False):
        assert one.losses == other.losses


def test_a_batch_is_of_one_stretch_of_time_and_judged_against_the_others(
    judged: list[tuple[bool, Tensor, NormalWindows]],
) -> None:
    """A window among its own neighbours in time is never new, and drift would not be normal."""
    run(schedule(), HELD_OUT.none())
    stretches = [LOG.take(block.inside) for block in NORMAL.blocks(LOG)]
    learnt_from = set()
    for _, batch, normal in judged:
        windows = {window.tobytes() for window in batch.numpy()}
        (place,) = [i for i, s in enumerate(stretches) if windows <= {w.tobytes() for w in s}]
        learnt_from.add(place)
        # every reading of this log is another number
        assert not {*batch.ravel().tolist()} & {*normal.windows.ravel().tolist()}
    assert learnt_from == set(range(len(stretches)))


def test_held_out_windows_are_judged_against_all_normal_ones(
    judged: list[tuple[bool, Tensor, NormalWindows]],
) -> None:
    """They are of another time themselves, as the rows are that will be scored."""
    run(schedule(3))
    watched = [normal for training, _, normal in judged if not training]
    assert len(watched) == 3
    assert all(normal is NORMAL for normal in watched)


def test_the_best_weights_are_restored(scripted: Callable[[list[float]], None]) -> None:
    """Not the live ones under another name: a view would follow every later step."""
    scripted([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    network, results, live = run(schedule())
    assert len(results) == 2 + PATIENCE
    assert same(weights_of(network), live[1])
    assert not same(live[1], live[-1])
    assert network.spread == live[1]["spread"] != live[-1]["spread"]


@pytest.mark.parametrize("held_out", [HELD_OUT, HELD_OUT.none()], ids=["watched", "alone"])
def test_going_on_from_any_epoch_ends_at_the_same_weights(held_out: TrainingWindows) -> None:
    """What was interrupted must be the detector that it would have been, to the bit; the last
    snapshot too, which leaves nothing to do."""
    whole, expected, _ = run(schedule(), held_out)
    kept = []
    for _, snapshot in train(tiny_network(), LOG, NORMAL, held_out, schedule(), CPU):
        kept.append(unpack(pack(snapshot(), 1), 1, where="", anew=""))
    assert len(kept) == len(expected)
    for done, since in enumerate(kept, start=1):
        network = tiny_network()
        torch.seed()
        results = [r for r, _ in train(network, LOG, NORMAL, held_out, schedule(), CPU, since)]
        assert results == expected[done:]
        assert same(weights_of(network), weights_of(whole))


def test_a_snapshot_does_not_follow_the_training(
    scripted: Callable[[list[float]], None],
) -> None:
    """Taken early and read late it is of the epoch it was taken at, patience included."""
    scripted([2.0, 1.0] + [1.5] * (2 * PATIENCE))
    network = tiny_network()
    kept = [snapshot() for _, snapshot in train(network, LOG, NORMAL, HELD_OUT, schedule(), CPU)]
    assert [since["best_epoch"] for since in kept] == [1] + [2] * (1 + PATIENCE)
    again = tiny_network()
    results = [r for r, _ in train(again, LOG, NORMAL, HELD_OUT, schedule(), CPU, kept[2])]
    assert [result.epoch for result in results] == [4, 5, 6]
    assert same(weights_of(again), weights_of(network))


def test_training_stops_when_nothing_gets_better(scripted: Callable[[list[float]], None]) -> None:
    """Patience counts from the best epoch, and equal is not better."""
    scripted([1.0] * EPOCHS)
    assert len(run(schedule())[1]) == 1 + PATIENCE


@pytest.mark.parametrize(("seconds", "steps"), [(5, [2, 4, 5]), (4, [2, 4]), (0, [1])])
def test_training_stops_when_time_is_over(
    seconds: int,
    steps: list[int],
    scripted: Callable[[list[float]], None],
    judged: list[tuple[bool, Tensor, NormalWindows]],
) -> None:
    """Within an epoch too, after a step at least, and with the best weights so far."""
    scripted([1.0, 2.0, 3.0])
    limit = TimeLimit(seconds, lambda: len(judged))  # a step takes a second
    network, live = tiny_network(), []
    plan, found = schedule(2 * EPOCHS), []
    for result, _ in train(network, LOG, NORMAL, HELD_OUT, plan, CPU, limit=limit):
        found.append(result.step)
        live.append(weights_of(network))
    assert found == steps
    assert same(weights_of(network), live[0])


def test_training_goes_on_while_it_gets_better(scripted: Callable[[list[float]], None]) -> None:
    """A slow descent is no reason to stop."""
    scripted([1.0 / (epoch + 1) for epoch in range(EPOCHS)])
    network, results, live = run(schedule())
    assert len(results) == EPOCHS
    assert same(weights_of(network), live[-1])


def test_a_trained_network_is_ready_to_score() -> None:
    """In training mode the spread would go on moving with every log that is scored."""
    for held_out in (HELD_OUT, HELD_OUT.none()):
        network, _, _ = run(schedule(2), held_out)
        assert not network.training


def test_training_learns() -> None:
    """The plainest check that gradients flow downhill where they should."""
    _, results, _ = run(schedule(80, learning_rate=3e-3, batch_size=8), HELD_OUT.none())
    first, last = results[0].losses, results[-1].losses
    assert last["window_reconstruction"] < 0.5 * first["window_reconstruction"]


def test_reversal_rises_in_the_first_training_and_is_full_in_the_second() -> None:
    """The generator gets harder over training; a further one goes on where the first ended."""
    _, fresh, _ = run(schedule(), HELD_OUT.none())
    strengths = [result.reversal_strength for result in fresh]
    assert strengths[0] == 0.0
    assert strengths == sorted(set(strengths))
    assert 0.9 < strengths[-1] <= 1.0
    _, further, _ = run(schedule(3, reversal_from=1.0), HELD_OUT.none())
    assert all(result.reversal_strength == pytest.approx(1.0, rel=1e-3) for result in further)


@pytest.mark.parametrize(("strength", "moves"), [(0.0, False), (1.0, True)])
def test_without_reversal_the_displacement_head_only_decays(strength: float, moves: bool) -> None:
    """The ablation needs a generator that classification never taught."""
    before = tiny_network().decoder.heads["displace"][1].weight  # type: ignore[index]
    network, _, _ = run(schedule(reversal_strength=strength), HELD_OUT.none())
    after = network.decoder.heads["displace"][1].weight  # type: ignore[index]
    ratio = (after / before).detach()
    assert (ratio.max() - ratio.min() > 1e-3).item() == moves


def test_what_is_frozen_stays() -> None:
    """LoRA learns; the layers that it adapts may not even decay."""
    network = tiny_network()
    network.skip.requires_grad_(False)
    before = weights_of(network)
    for _ in train(network, LOG, NORMAL, HELD_OUT, schedule(3), CPU):
        pass
    after = weights_of(network)
    assert all(torch.equal(before[n], after[n]) for n in before if n.startswith("skip."))
    assert not same(before, after)


def test_an_examination_leaves_no_trace() -> None:
    """Neither weights nor the stream of random numbers may show that somebody looked."""
    network = tiny_network()
    network.track_spread(network.hidden(tiny_windows(8)).detach())
    before, state = weights_of(network), torch.get_rng_state()
    first = examine(network, tiny_windows(20), NORMAL, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert same(weights_of(network), before)
    assert examine(network, tiny_windows(20), NORMAL, seed=1) == first


def with_room_for(holds: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the device hold so many windows in training; return a list of how many each time were."""
    learnt: list[int] = []
    compare = AsterNetwork.compare

    def limited(
        self: AsterNetwork, window: Tensor, normal: NormalWindows, strength: float
    ) -> Comparison:
        if self.training:
            if len(window) > holds:
                raise torch.OutOfMemoryError("CUDA out of memory")
            learnt.append(len(window))
        return compare(self, window, normal, strength)

    monkeypatch.setattr(AsterNetwork, "compare", limited)
    return learnt


def test_a_step_that_memory_does_not_hold_is_taken_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is still a step over the whole batch, it is told, and going on ends at the same weights."""
    learnt = with_room_for(1, monkeypatch)
    whole, results, _ = run(schedule(6), HELD_OUT.none())
    assert learnt == [1] * 4 * 6
    assert [result.at_once for result in results] == [1] * 6
    assert results[-1].step == 6
    begun = train(tiny_network(), LOG, NORMAL, HELD_OUT.none(), schedule(6), CPU)
    since = [snapshot() for _, snapshot in begun][2]
    network = tiny_network()
    list(train(network, LOG, NORMAL, HELD_OUT.none(), schedule(6), CPU, since))
    assert same(weights_of(network), weights_of(whole))


def test_pieces_add_up_to_the_gradient_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand, the loss being w times the mean of what the windows hold: 1, 2, 3, 4 and 20. The last
    piece is of one window; were it to count like those of two, the gradient would be 8.3."""
    weight = torch.ones((), requires_grad=True)

    def mean(self: AsterNetwork, window: Tensor, *_: object) -> Comparison:
        none = torch.zeros(())
        loss = weight * window.mean()
        logits = torch.zeros(len(window), 1)
        return Comparison(LossTerms(loss, none, none, none), logits, logits, logits > 0)

    monkeypatch.setattr(AsterNetwork, "compare", mean)
    network = tiny_network()
    held = torch.tensor([1.0, 2.0, 3.0, 4.0, 20.0]).view(-1, 1, 1).expand(-1, WINDOW_SIZE, 3)
    terms = training._learn(network, held, NORMAL, 0.0, 2)
    assert weight.grad == 6.0
    assert terms == {**dict.fromkeys(TERMS, 0.0), "window_reconstruction": 6.0}


def test_a_device_without_room_for_one_window_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halving has an end, in words."""
    with_room_for(0, monkeypatch)
    with pytest.raises(UsageError, match="memory of cpu does not hold a single window; free it"):
        run(schedule(2))
