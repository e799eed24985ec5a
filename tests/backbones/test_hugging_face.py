"""Any decoder-only model of Hugging Face can be the backbone: its first layers, and only they."""

import json
import logging
import logging.handlers
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aster_cli.backbones import Backbone, load_backbone
from aster_cli.errors import BackboneError
from aster_cli.model.backbone import LanguageModelBackbone
from tests.tiny_backbone import WIDTH, tiny_weights, write_tiny_backbone

TOKENS = 17
SIZES = {"hidden_size": WIDTH, "num_attention_heads": 4, "num_hidden_layers": 4}
LLAMA_SIZES = SIZES | {"num_key_value_heads": 2, "intermediate_size": 64, "head_dim": 8}
OTHER_MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": WIDTH, "n_head": 4, "n_layer": 4, "n_positions": 64},
    "gpt_neox": SIZES | {"intermediate_size": 64},
    "qwen3": LLAMA_SIZES,  # has a list with one entry a layer
    "gemma3_text": LLAMA_SIZES,  # scales its embeddings
}


def save_random(directory: Path, model_type: str, sizes: dict[str, Any]) -> Any:
    """Save a random model, and return its base model."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    tokens = {"vocab_size": TOKENS, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **sizes, **tokens))
    for name, weight in model.named_parameters():
        if "norm" in name or "ln_" in name:
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    model.save_pretrained(directory)
    return model.eval().base_model


def rebuilt(backbone: Backbone) -> Any:
    """The network's own way from a backbone to a model."""
    weights = {key: torch.from_numpy(values) for key, values in backbone.weights.items()}
    return LanguageModelBackbone(backbone.config, weights).llm.eval()


@pytest.fixture
def states() -> Tensor:
    """Embedded windows, ``(batch, n, width)``."""
    return torch.randn(2, 7, WIDTH, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def hidden(model: Any, states: Tensor, layer: int) -> Tensor:
    """What `layer` layers make of `states`, before the final norm."""
    outputs: list[Tensor] = []
    stack = getattr(model, "layers", None) or model.h
    hook = stack[layer - 1].register_forward_hook(
        lambda _module, _inputs, output: outputs.append(
            output[0] if isinstance(output, tuple) else output
        )
    )
    model(inputs_embeds=states, use_cache=False)
    hook.remove()
    return outputs[0]


@pytest.mark.parametrize("layers", [1, 2])
def test_a_directory_gives_its_first_layers(tmp_path: Path, states: Tensor, layers: int) -> None:
    """What the network computes with must be the full model's own states after K layers."""
    from transformers import AutoModel

    directory = write_tiny_backbone(tmp_path / "llm")
    backbone = load_backbone(str(directory), layers)
    assert backbone.config["num_hidden_layers"] == layers
    full = AutoModel.from_pretrained(directory).eval()
    torch.testing.assert_close(
        hidden(rebuilt(backbone), states, layers), hidden(full, states, layers), atol=5e-3, rtol=0
    )


def test_the_helper_writes_what_it_draws(tmp_path: Path) -> None:
    """All tests that need an LLM rest on it: names, shapes and values must arrive."""
    backbone = load_backbone(str(write_tiny_backbone(tmp_path, seed=3)), 2)
    weights = tiny_weights(seed=3)
    embeddings = weights.pop("embed_tokens.weight")
    assert backbone.embedding_norm == pytest.approx(np.linalg.norm(embeddings, axis=1).mean())
    assert backbone.weights.keys() == weights.keys()
    for name, values in weights.items():
        assert np.array_equal(backbone.weights[name], values.astype(np.float16)), name


@pytest.mark.parametrize("model_type", OTHER_MODELS)
def test_other_families_are_cut_too(model_type: str, tmp_path: Path, states: Tensor) -> None:
    """Each family names its layers, its vocabulary and its configuration differently."""
    full = save_random(tmp_path, model_type, OTHER_MODELS[model_type])
    backbone = load_backbone(str(tmp_path), 2)
    assert not any(values.shape[0] == TOKENS for values in backbone.weights.values())
    torch.testing.assert_close(
        hidden(rebuilt(backbone), states, 2), hidden(full, states, 2), atol=2e-2, rtol=2e-2
    )
    embedded = full.get_input_embeddings()(torch.arange(TOKENS))
    assert backbone.embedding_norm == pytest.approx(embedded.norm(dim=1).mean().item(), rel=1e-5)


def test_the_configuration_is_json_and_free_of_files(tmp_path: Path) -> None:
    """A model directory keeps it as JSON; special tokens outside the vocabulary would warn."""
    config = load_backbone(str(write_tiny_backbone(tmp_path)), 1).config
    assert json.loads(json.dumps(config)) == config
    assert (config["model_type"], config["vocab_size"]) == ("llama", 1)
    assert config["bos_token_id"] is config["eos_token_id"] is config["pad_token_id"] is None
    assert str(tmp_path) not in json.dumps(config)


def test_nothing_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Transformers reports left-out layers and draws bars on stderr, where aster's words belong."""
    directory = write_tiny_backbone(tmp_path)
    logger, records = logging.getLogger("transformers"), logging.handlers.BufferingHandler(1000)
    logger.addHandler(records)
    try:
        level = logger.level
        rebuilt(load_backbone(str(directory), 1))
        assert logger.level == level
    finally:
        logger.removeHandler(records)
    assert [record.getMessage() for record in records.buffer] == []
    assert capfd.readouterr() == ("", "")


def test_more_layers_than_there_are(tmp_path: Path) -> None:
    """Transformers would add random ones."""
    with pytest.raises(BackboneError, match=r"has 2 layers, 3 were asked for; take at most 2"):
        load_backbone(str(write_tiny_backbone(tmp_path)), 3)


def test_missing_weights_are_not_made_up(tmp_path: Path) -> None:
    """Transformers fills holes with random numbers and a log line."""
    directory = write_tiny_backbone(tmp_path, layers=1)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    with pytest.raises(BackboneError, match=r"its files lack layers\.1\."):
        load_backbone(str(directory), 2)


def test_pickled_weights_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wrote them could have code run: not even a weights-only reader is let near."""
    from safetensors.torch import load_file

    directory = write_tiny_backbone(tmp_path)
    weights = directory / "model.safetensors"
    torch.save(load_file(weights), directory / "pytorch_model.bin")
    weights.unlink()
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was opened"))
    with pytest.raises(
        BackboneError, match=r"has no model\.safetensors, and pickled weights"
    ) as at:
        load_backbone(str(directory), 1)
    assert "\n" not in str(at.value)


def test_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    """It has no single stack of layers to take the first of."""
    from transformers import T5Config

    T5Config(num_layers=2, d_model=WIDTH, vocab_size=16).save_pretrained(tmp_path)
    with pytest.raises(BackboneError, match="t5 is not a decoder-only language model"):
        load_backbone(str(tmp_path), 1)


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    """Packed integers under the names of weights would load as numbers without meaning."""
    directory = write_tiny_backbone(tmp_path)
    config = json.loads((directory / "config.json").read_text())
    packed = config | {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    (directory / "config.json").write_text(json.dumps(packed))
    with pytest.raises(BackboneError, match="its weights are quantised"):
        load_backbone(str(directory), 1)


def test_weights_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    """bfloat16 reaches further than float16: infinities would come out as scores."""
    from safetensors.torch import load_file, save_file

    directory = write_tiny_backbone(tmp_path)
    weights = load_file(directory / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = 1e6
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=r"layers\.0\.mlp\.up_proj\.weight does not fit half"):
        load_backbone(str(directory), 1)


@pytest.mark.parametrize("name", ["./absent", "/absent/llm", "~/absent-llm", "some/deep/path"])
def test_a_path_that_does_not_exist(name: str) -> None:
    """A mistyped path must not be looked up on the Hub."""
    with pytest.raises(BackboneError, match="does not exist"):
        load_backbone(name, 1)


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    """The likely file is a GGUF, and another command takes that."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(BackboneError, match=r"is a file.*aster backbone fetch --from FILE"):
        load_backbone(str(tmp_path / "model.gguf"), 1)


def test_a_directory_without_a_model(tmp_path: Path) -> None:
    """Transformers' message has several lines; the reader gets one, with what to give."""
    with pytest.raises(BackboneError) as caught:
        load_backbone(str(tmp_path), 1)
    assert "\n" not in str(caught.value)
    assert "config.json and model.safetensors" in str(caught.value)


def test_offline_is_honoured(tmp_path: Path) -> None:
    """HF_HUB_OFFLINE must keep aster off the network; it is read once, so by a fresh process."""
    code = (
        "from aster_cli.backbones import load_backbone\n"
        "from aster_cli.errors import BackboneError\n"
        "try:\n    load_backbone('openai-community/gpt2', 1)\n"
        "except BackboneError as error:\n    print(error)\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert said.stdout.startswith("backbone openai-community/gpt2: transformers cannot load it: ")
    assert said.stdout.count("\n") == 1
    assert "HF_HUB_OFFLINE" in said.stdout
    assert said.stderr == ""
