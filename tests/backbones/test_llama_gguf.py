"""Reading a GGUF is the one place where weights are reordered and dequantised by hand."""

from pathlib import Path

import numpy as np
import torch

from aster_cli.backbones.llama_gguf import read_first_layers, undo_rotary_order
from tests.backbones.conftest import TinyRelease, rotary_order, write_gguf
from tests.tiny_backbone import VOCABULARY, WIDTH, tiny_weights


def test_rotary_order_of_one_head() -> None:
    """The pencil case: neighbours (0, 3), (1, 4), (2, 5) are the halves 0-2 and 3-5."""
    stored = np.array([[0], [3], [1], [4], [2], [5]], dtype=np.float32)
    assert undo_rotary_order(stored, 1).ravel().tolist() == [0, 1, 2, 3, 4, 5]


def test_heads_stay_apart() -> None:
    """With several heads, no row may cross into another head, and no column may move."""
    rows = np.arange(24 * 5, dtype=np.float32).reshape(24, 5)
    restored = undo_rotary_order(rotary_order(rows, 3), 3)
    assert np.array_equal(restored, rows)


def test_layers_equal_those_that_transformers_reads(tiny: TinyRelease) -> None:
    """Transformers' own GGUF reader is the judge of names, order, dequantising and configuration.

    Compared are attention outputs, not only weights: a wrong rotary order or configuration shows.
    """
    from transformers import AutoConfig, AutoModel

    theirs = AutoModel.from_pretrained(
        tiny.gguf.parent, gguf_file=tiny.gguf.name, dtype=torch.float32
    )
    backbone = read_first_layers(tiny.gguf, "tiny", 2)
    ours = AutoModel.from_config(AutoConfig.for_model(**backbone.config))
    weights = {key: torch.from_numpy(value) for key, value in backbone.weights.items()}
    ours.load_state_dict(weights, strict=False)

    states = torch.randn(3, 7, WIDTH, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs(inputs_embeds=states, output_hidden_states=True).hidden_states[2]
        actual = ours(inputs_embeds=states).last_hidden_state
    # ours ends in a norm without gains, theirs at layer 2 does not
    normed = torch.nn.functional.rms_norm(expected, (WIDTH,), eps=1e-5)
    torch.testing.assert_close(actual, normed, atol=5e-3, rtol=0)
    embeddings = theirs.get_input_embeddings().weight
    assert embeddings.shape == (VOCABULARY, WIDTH)
    assert np.isclose(backbone.embedding_norm, embeddings.norm(dim=1).mean().item(), rtol=1e-6)


def test_later_layers_are_not_read(tmp_path: Path) -> None:
    """Reading thirty layers for three would cost seconds: here the later ones do not even exist."""
    gguf = write_gguf(tmp_path / "cut.gguf", tiny_weights(layers=2), layers=30)
    backbone = read_first_layers(gguf, "cut", 2)
    assert backbone.config["num_hidden_layers"] == 2
    assert {name.split(".")[1] for name in backbone.weights if "layers" in name} == {"0", "1"}


def test_a_shallow_model_gives_what_it_has(tmp_path: Path) -> None:
    """Asking for the most that is kept must not fail on a model with fewer layers."""
    gguf = write_gguf(tmp_path / "shallow.gguf", tiny_weights(layers=1), layers=1)
    assert read_first_layers(gguf, "shallow", 6).config["num_hidden_layers"] == 1


def test_weights_are_half_precision_without_vocabulary(tiny: TinyRelease) -> None:
    """The vocabulary is four fifths of the real model, and a model directory carries a copy."""
    backbone = read_first_layers(tiny.gguf, "tiny", 1)
    assert {values.dtype for values in backbone.weights.values()} == {np.dtype(np.float16)}
    assert not any("embed" in name for name in backbone.weights)
    assert backbone.config["vocab_size"] == 1
    # 1e-5 is stored as float32; the file's 9.99999974e-06 would look like a mistake
    assert backbone.config["rms_norm_eps"] == 1e-5
