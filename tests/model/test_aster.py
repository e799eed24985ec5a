"""The network as a whole: what pseudo-anomalies are, and who learns from whom."""

import pytest
import torch
from torch import Tensor

from aster_cli.backbones import Backbone, load_backbone
from aster_cli.model.aster import RADII, AsterNetwork, build_network, random_segments
from tests.tiny_backbone import WIDTH, write_tiny_backbone
from tests.tiny_network import (
    N_SENSORS,
    N_TOKENS,
    NETWORK_WIDTH,
    WINDOW_SIZE,
    tiny_config,
    tiny_network,
    tiny_windows,
)

SPREAD = 0.7


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """A language model of two layers."""
    return load_backbone(str(write_tiny_backbone(tmp_path_factory.mktemp("llm"))), 2)


@pytest.fixture
def network() -> AsterNetwork:
    """A network that has seen a spread."""
    network = tiny_network()
    network.spread.fill_(SPREAD)
    return network


def generator_gradients(network: AsterNetwork, strength: float) -> dict[str, Tensor]:
    """What the classification loss tells the layers that only the generator has."""
    network.eval().zero_grad()  # in training the spread would move between two calls
    torch.manual_seed(1)
    torch.autograd.backward(network.losses(tiny_windows(6), strength).classification)
    return {
        name: weight.grad.clone()
        for name, weight in network.decoder.named_parameters()
        if "displace" in name and weight.grad is not None
    }


@torch.no_grad()
def test_segments_are_contiguous_and_never_empty() -> None:
    """An empty one would be a normal window called generated; a torn one two anomalies."""
    marks = random_segments(2000, 5, torch.device("cpu")).int()
    rises = (marks.diff(dim=1, prepend=torch.zeros(2000, 1, dtype=torch.int32)) == 1).sum(dim=1)
    assert (rises == 1).all()
    assert set(marks.sum(dim=1).tolist()) == {1, 2, 3, 4, 5}
    # every length at every place: 5 + 4 + 3 + 2 + 1
    assert len({tuple(window) for window in marks.tolist()}) == 15


@torch.no_grad()
def test_undisplaced_tokens_are_untouched(network: AsterNetwork) -> None:
    """They are labelled normal, so they must be exactly what normal tokens are."""
    hidden = network.hidden(tiny_windows(40))
    generated, displaced = network.generate(hidden, 1.0)
    assert torch.equal(generated[~displaced], hidden[~displaced])
    assert (generated != hidden).any(dim=2)[displaced].all()


@torch.no_grad()
def test_the_radius_is_as_drawn(network: AsterNetwork) -> None:
    """One radius a window, within the documented range, log-uniform, in spreads of h."""
    hidden = network.hidden(tiny_windows(2000))
    generated, displaced = network.generate(hidden, 1.0)
    distance = (generated - hidden).norm(dim=2) / (SPREAD * NETWORK_WIDTH**0.5)
    largest = distance.amax(dim=1)
    smallest = distance.masked_fill(~displaced, torch.inf).amin(dim=1)
    torch.testing.assert_close(smallest, largest, rtol=1e-3, atol=1e-3)
    low, high = RADII
    assert largest.min() > 0.999 * low
    assert largest.max() < 1.001 * high
    assert abs((largest < (low * high) ** 0.5).float().mean().item() - 0.5) < 0.05


def test_the_generator_gets_the_gradient_reversed(network: AsterNetwork) -> None:
    """It must climb the loss that the classifier descends, as hard as the strength says."""
    with_help, against, harder = (generator_gradients(network, s) for s in (-1.0, 1.0, 3.0))
    assert with_help
    for name, gradient in with_help.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(against[name], -gradient)
        torch.testing.assert_close(harder[name], -3.0 * gradient)


def test_without_reversal_the_generator_learns_nothing(network: AsterNetwork) -> None:
    """λ = 0 is the ablation: a random generator, not a helpful one."""
    gradients = generator_gradients(network, 0.0)
    assert gradients
    assert all((gradient == 0).all() for gradient in gradients.values())


def test_the_generator_teaches_the_decoder_only(network: AsterNetwork) -> None:
    """Its reversed gradient must not spoil the codes that reconstruction rests on."""
    hidden = network.hidden(tiny_windows(6)).detach()
    torch.autograd.backward(network.generate(hidden, 1.0)[0].square().sum())
    taught = {name for name, weight in network.named_parameters() if weight.grad is not None}
    assert taught
    assert all(name.startswith("decoder.") for name in taught)


def test_the_elbo_does_not_reach_the_generator(network: AsterNetwork) -> None:
    """Reconstruction would pull displacements back to the normal manifold."""
    terms = network.losses(tiny_windows(6), 1.0)
    torch.autograd.backward(terms.window_reconstruction + terms.hidden_reconstruction + terms.kl)
    own = [p.grad for name, p in network.decoder.named_parameters() if "displace" in name]
    assert own
    assert all(gradient is None or (gradient == 0).all() for gradient in own)


def test_every_part_learns_something(network: AsterNetwork) -> None:
    """A part cut off from every loss stays random, and nobody would notice."""
    torch.autograd.backward(network.losses(tiny_windows(6), 1.0).total(0.01))
    untouched = [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.abs().max() > 0
    ]
    assert untouched == []


def test_losses_are_finite_from_the_first_batch_on() -> None:
    """Also on windows that are all alike: a log of sensors at rest must not divide by zero."""
    for windows in (tiny_windows(4), torch.zeros(4, WINDOW_SIZE, N_SENSORS), 700 * tiny_windows(4)):
        network = tiny_network()
        terms = network.losses(windows, 1.0)
        assert all(torch.tensor(value).isfinite() for value in terms.detached().values())
        torch.autograd.backward(terms.total(0.01))
        for name, weight in network.named_parameters():
            assert weight.grad is not None
            assert weight.grad.isfinite().all(), name


@torch.no_grad()
def test_the_spread_follows_training_only() -> None:
    """Radii must not change by looking at held-out windows."""
    network = tiny_network().eval()
    hidden = 3.0 * torch.randn(500, N_TOKENS, NETWORK_WIDTH)
    network.track_spread(hidden)
    assert network.spread == 0
    network.train()
    network.track_spread(hidden)
    assert network.spread.item() == pytest.approx(3.0, rel=0.02)
    network.track_spread(torch.zeros_like(hidden))
    assert network.spread.item() == pytest.approx(0.95 * 3.0, rel=0.02)


@torch.no_grad()
def test_scoring_is_judging_without_displacing(network: AsterNetwork) -> None:
    """The logits of `forward` are those that training taught, a token each."""
    windows = tiny_windows(5)
    reading = network.eval()(windows)
    torch.testing.assert_close(reading.logits, network.judge(network.hidden(windows)))
    assert reading.logits.shape == (5, N_TOKENS)
    assert reading.expected.shape == windows.shape


@torch.no_grad()
def test_scores_draw_no_random_numbers(network: AsterNetwork) -> None:
    """Same rows, same bits: the latent's mean is read, never a sample."""
    windows = tiny_windows(5)
    network.eval()
    first, second = network(windows), network(windows)
    assert torch.equal(first.logits, second.logits)
    assert torch.equal(first.expected, second.expected)


@torch.no_grad()
def test_the_llm_is_fed_at_its_own_scale(backbone: Backbone) -> None:
    """Patches ten times too long or short would meet layers that know no such input."""
    network = build_network(tiny_config(), N_SENSORS, backbone)
    context = network.context
    assert context is not None
    fed: list[Tensor] = []
    context.backbone.register_forward_pre_hook(lambda _module, inputs: fed.append(inputs[0]))
    network.hidden(5.0 * tiny_windows(3))
    assert fed[0].shape == (3, N_TOKENS, WIDTH)
    torch.testing.assert_close(
        fed[0].norm(dim=2), torch.full((3, N_TOKENS), backbone.embedding_norm)
    )


@torch.no_grad()
def test_the_llm_enriches_and_does_not_replace(backbone: Backbone) -> None:
    """With the gate shut, what remains is the network without an LLM."""
    network = build_network(tiny_config(), N_SENSORS, backbone).eval()
    assert network.context is not None
    windows = tiny_windows(3)
    open_gate = network.hidden(windows)
    network.context.gate.zero_()
    shut_gate = network.hidden(windows)
    torch.testing.assert_close(shut_gate, network.local(windows) + network.skip(windows))
    assert not torch.allclose(open_gate, shut_gate, atol=1e-3)


def test_the_gradient_passes_through_the_frozen_llm(backbone: Backbone) -> None:
    """Its layers stand still, but the patches before them and LoRA within them learn."""
    network = build_network(tiny_config(), N_SENSORS, backbone)
    assert network.context is not None
    network.context.backbone.add_lora(2)
    torch.autograd.backward(network.losses(tiny_windows(3), 1.0).total(0.01))
    patches = network.context.patches.linear.weight.grad
    assert patches is not None
    assert patches.abs().max() > 0
    for name, weight in network.context.backbone.named_parameters():
        assert (weight.grad is not None) == ("lora_" in name), name


def test_folded_weights_take_the_backbones_place(backbone: Backbone) -> None:
    """Scoring builds the same network around other layers."""
    folded = {name: 2.0 * torch.from_numpy(w).float() for name, w in backbone.weights.items()}
    network = build_network(tiny_config(), N_SENSORS, backbone, llm_weights=folded)
    assert network.context is not None
    kept = network.context.backbone.llm.state_dict()
    for name, weight in folded.items():
        torch.testing.assert_close(kept[name], weight)


@pytest.mark.parametrize("missing", ["window_size", "latent_width"])
def test_an_unresolved_configuration_builds_nothing(missing: str) -> None:
    """Sizes are derived in one place only."""
    with pytest.raises(ValueError, match="must be set"):
        build_network(tiny_config(**{missing: None}), N_SENSORS, None)
