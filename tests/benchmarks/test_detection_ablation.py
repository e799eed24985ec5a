"""The ablation's variants: each is another detector, by its configuration or by changed code."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aster_cli import defaults
from aster_cli.config import DetectorConfig
from aster_cli.model import aster
from aster_cli.model.classifier import AnomalyClassifier
from aster_cli.model.decoder import LatentDecoder
from aster_cli.model.losses import LossTerms
from benchmarks.detection.ablation import STEPS, STRIDES, VARIANTS, WITH_LLM, WITHOUT_LLM
from benchmarks.detection.ours import Aster
from tests.tiny_network import (
    N_SENSORS,
    N_TOKENS,
    NETWORK_WIDTH,
    WINDOW_SIZE,
    tiny_network,
    tiny_normal,
    tiny_windows,
)

CHANGED = (
    (aster, "sample_relaxed_prior"),
    (LatentDecoder, "__init__"),
    (AnomalyClassifier, "forward"),
    (LossTerms, "total"),
    (defaults, "WINDOWS_OVER_ROW"),
)


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a variant, as the benchmark does in a process of its own; here it is undone after."""
    for owner, name in CHANGED:
        monkeypatch.setattr(owner, name, getattr(owner, name))

    def make(variant: str) -> None:
        Aster(VARIANTS[variant].config, 0, VARIANTS[variant].change)

    return make


@torch.no_grad()
def _displacement(hidden_seed: int) -> Tensor:
    """What the generator adds to one and the same windows, by the hidden state it is given."""
    torch.manual_seed(hidden_seed)
    hidden = torch.randn(8, N_TOKENS, NETWORK_WIDTH)
    network, windows = tiny_network().eval(), tiny_windows(8)
    torch.manual_seed(0)
    generated, _ = network.generate(windows, hidden, tiny_normal(), 0.0)
    return generated - windows


def test_a_plain_prior_knows_nothing_of_the_windows(change):
    """Its codes are the unit Gaussian's, whatever hidden state they are to displace."""
    assert not torch.allclose(_displacement(1), _displacement(2))
    change("ablation-plain-prior")
    assert torch.equal(_displacement(1), _displacement(2))
    mean = torch.full((400, N_TOKENS, 4), 7.0)
    drawn = aster.sample_relaxed_prior(mean)  # type: ignore[attr-defined]
    assert drawn.mean().item() == pytest.approx(0.0, abs=0.1)
    assert drawn.std().item() == pytest.approx(1.0, abs=0.05)


def _learnt() -> set[str]:
    """The names of what a batch gives a gradient to."""
    network = tiny_network().train()
    torch.autograd.backward(network.compare(tiny_windows(8), tiny_normal(), 1.0).terms.total(0.01))
    return {name for name, p in network.named_parameters() if p.grad is not None}


def test_fixed_tokens_are_not_learnt_and_all_else_is(change):
    """They stay as drawn; a decoder fixed as a whole would be another question."""
    before = _learnt()
    tokens = {name for name in before if name.startswith("decoder.tokens.")}
    assert len(tokens) == 2
    change("ablation-fixed-tokens")
    assert _learnt() == before - tokens


@pytest.mark.parametrize(
    ("variant", "position"), [("ablation-no-residual", 1), ("ablation-no-novelty", 2)]
)
@torch.no_grad()
def test_a_blind_classifier_misses_one_input_and_sees_the_others(change, variant, position):
    """Were it the wrong one, the row would bear another row's name."""
    change(variant)
    classify = tiny_network().eval().classifier
    shapes = [(2, N_TOKENS, NETWORK_WIDTH)] * 2 + [(2, WINDOW_SIZE, N_SENSORS)]
    inputs = [torch.randn(shape) for shape in shapes]
    before = classify(*inputs)
    for place, shape in enumerate(shapes):
        others = [*inputs[:place], torch.randn(shape), *inputs[place + 1 :]]
        assert torch.equal(classify(*others), before) is (place == position)


def _terms(reconstruction: float, classification: float) -> LossTerms:
    values = (reconstruction, 0.0, 0.0, classification)
    return LossTerms(*(torch.tensor(value, requires_grad=True) for value in values))


def test_balanced_losses_weigh_the_inverse_of_their_averages(change):
    """By hand: first 4 and 0.5, each its own average. Then 8 and 0.5: the first average becomes
    0.95 · 4 + 0.05 · 8 = 4.2."""
    assert _terms(4.0, 0.5).total(0.01).item() == 4.5
    change("ablation-balanced")
    first, second = _terms(4.0, 0.5), _terms(8.0, 0.5)
    assert first.total(0.01).item() == pytest.approx(2.0)
    total = second.total(0.01)
    assert total.item() == pytest.approx(8.0 / 4.2 + 1.0)
    slopes = torch.autograd.grad(total, (second.window_reconstruction, second.classification))
    assert [slope.item() for slope in slopes] == pytest.approx([1.0 / 4.2, 2.0])


@pytest.mark.parametrize("count", [1, 2, 8])
def test_another_stride_is_a_part_of_the_window(change, count):
    """Whatever window the log asks for; the default is a quarter."""
    whole = defaults.resolve(DetectorConfig(), 10_000, 4).model
    change(f"ablation-stride-{count}")
    model = defaults.resolve(DetectorConfig(), 10_000, 4).model
    assert (whole.stride, model.stride) == (32 // 4, 32 // count)


def test_every_change_is_undone_and_every_one_is_tested(change):
    """A variant added without a test of what it does may do nothing. And no change may reach
    another test: here, after those above, the code is its own again."""
    assert {name for name, variant in VARIANTS.items() if variant.change is not None} == {
        "ablation-plain-prior",
        "ablation-fixed-tokens",
        "ablation-no-residual",
        "ablation-no-novelty",
        "ablation-balanced",
        *("ablation-stride-1", "ablation-stride-2", "ablation-stride-8"),
    }
    assert defaults.WINDOWS_OVER_ROW == 4
    for owner, name in CHANGED[:-1]:
        assert "ablation" not in getattr(owner, name).__module__
    change("ablation-balanced")
    assert "ablation" in LossTerms.total.__module__


def test_variants_of_a_table_differ_in_one_thing_from_its_first():
    """Two changes at once would not say which of them counts."""
    for variants in (WITH_LLM, WITHOUT_LLM, STRIDES):
        first, *others = variants.values()
        assert first.change is None
        for variant in others:
            own, reference = variant.config.model, first.config.model
            names = own.__struct_fields__
            changed = [name for name in names if getattr(own, name) != getattr(reference, name)]
            assert len(changed) + (variant.change is not None) == 1, variant.label
    assert {variant.config.training.steps for variant in VARIANTS.values()} == {STEPS}
    assert all(variant.config.model.backbone == "none" for variant in WITHOUT_LLM.values())
