"""The LLM: frozen, seen from both sides, adapted by LoRA that folds away without a trace."""

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from aster_cli.backbones import load_backbone
from aster_cli.errors import BackboneError
from aster_cli.model.backbone import LanguageModelBackbone, lora_of, merge_lora
from tests.tiny_backbone import WIDTH, write_tiny_backbone

Weights = dict[str, Tensor]
# keeps its projections transposed, all three in one
GPT2 = {"model_type": "gpt2", "n_embd": WIDTH, "n_head": 4, "n_layer": 2, "n_positions": 64}
# has attention of its own, which knows no other mask
MPT = {"model_type": "mpt", "d_model": WIDTH, "n_heads": 4, "n_layers": 1}
NO_VOCABULARY = {"vocab_size": 1, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Weights]:
    """The tiny backbone's configuration and weights."""
    backbone = load_backbone(str(write_tiny_backbone(tmp_path_factory.mktemp("llm"))), 2)
    return backbone.config, {name: torch.from_numpy(w) for name, w in backbone.weights.items()}


def random_model(config: dict[str, Any]) -> tuple[dict[str, Any], Weights]:
    """A configuration without a vocabulary, and random weights for it."""
    from transformers import AutoConfig, AutoModel

    config = config | NO_VOCABULARY
    sizes = {key: value for key, value in config.items() if key != "model_type"}
    return config, AutoModel.from_config(
        AutoConfig.for_model(config["model_type"], **sizes)
    ).state_dict()


@pytest.fixture(params=["llama", "gpt2"])
def model(request: pytest.FixtureRequest, llama: Any) -> tuple[dict[str, Any], Weights]:
    """Two families that LoRA treats differently."""
    return llama if request.param == "llama" else random_model(GPT2)


def adapted(config: dict[str, Any], weights: Weights) -> LanguageModelBackbone:
    """A backbone whose LoRA has been trained, as far as anyone can tell."""
    backbone = LanguageModelBackbone(config, weights)
    backbone.add_lora(4)
    for name, weight in backbone.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return backbone.eval()


def embedded() -> Tensor:
    return torch.randn(2, 6, WIDTH, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_tokens_are_seen_from_both_sides(model: tuple[dict[str, Any], Weights]) -> None:
    """No causal mask: an anomaly may only show in what follows it."""
    backbone = LanguageModelBackbone(*model).eval()
    states = embedded()
    before = backbone(states)
    states[:, -1] *= -1.0
    assert ((backbone(states) - before).abs().amax(dim=2) > 1e-5).all()


@torch.no_grad()
def test_the_order_of_tokens_matters(model: tuple[dict[str, Any], Weights]) -> None:
    """With the mask gone, positions are all that tells before from after."""
    backbone = LanguageModelBackbone(*model).eval()
    states = embedded()
    assert not torch.allclose(backbone(states.flip(1)).flip(1), backbone(states), atol=1e-4)


def test_only_lora_trains_and_only_on_attention(model: tuple[dict[str, Any], Weights]) -> None:
    """A wrapper that unfroze the layers would turn LoRA into full fine-tuning, unsaid."""
    backbone = LanguageModelBackbone(*model)
    assert not any(weight.requires_grad for weight in backbone.parameters())
    backbone.add_lora(4)
    trained = [name for name, weight in backbone.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora_" in name and "attn" in name for name in trained)
    assert backbone.has_lora


@torch.no_grad()
def test_new_lora_changes_nothing(model: tuple[dict[str, Any], Weights]) -> None:
    """Training starts from the pre-trained model, not from noise around it."""
    backbone = LanguageModelBackbone(*model).eval()
    before = backbone(embedded())
    backbone.add_lora(4)
    torch.testing.assert_close(backbone.eval()(embedded()), before)


@torch.no_grad()
def test_folding_equals_pefts_own(model: tuple[dict[str, Any], Weights]) -> None:
    """Scoring computes with these weights and never sees peft: they must be the trained ones."""
    config, weights = model
    backbone = adapted(config, weights)
    merged = merge_lora(weights, *lora_of(backbone.llm))
    theirs = copy.deepcopy(backbone.llm).merge_and_unload().state_dict()  # type: ignore[operator]
    assert merged.keys() == weights.keys()
    assert any(not torch.equal(merged[name], weights[name].float()) for name in merged)
    for name, weight in merged.items():
        torch.testing.assert_close(weight, theirs[name], msg=name)
    plain = LanguageModelBackbone(config, merged).eval()
    torch.testing.assert_close(plain(embedded()), backbone(embedded()), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_adapter_is_in_pefts_own_layout(
    model: tuple[dict[str, Any], Weights], tmp_path: Path
) -> None:
    """Whoever has peft can use the adapter without this program."""
    from peft import PeftModel

    backbone = adapted(*model)
    config, weights = lora_of(backbone.llm)
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    save_file(
        {k: w.contiguous() for k, w in weights.items()}, tmp_path / "adapter_model.safetensors"
    )
    again = LanguageModelBackbone(*model)
    warnings.simplefilter("ignore", FutureWarning)  # peft's own: see add_lora
    again.llm = PeftModel.from_pretrained(again.llm, tmp_path)
    torch.testing.assert_close(again.eval()(embedded()), backbone(embedded()))
    assert not any(weight.requires_grad for weight in again.parameters())


def test_an_adapter_of_another_model_is_refused(llama: tuple[dict[str, Any], Weights]) -> None:
    """Skipping what does not fit would score with an LLM that was never trained."""
    config, weights = llama
    adapter = lora_of(adapted(config, weights).llm)
    fewer = {name: weight for name, weight in weights.items() if "layers.1." not in name}
    with pytest.raises(KeyError, match=r"layers\.1\."):
        merge_lora(fewer, *adapter)


def test_a_model_without_known_projections_is_refused_in_words(
    llama: tuple[dict[str, Any], Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """LoRA on nothing would be a frozen LLM under another name."""
    monkeypatch.setattr("aster_cli.model.backbone.ATTENTION_PROJECTIONS", ("qkv",))
    with pytest.raises(BackboneError, match=r"type llama: has no attention.*--lora-rank 0"):
        LanguageModelBackbone(*llama).add_lora(4)


def test_a_model_that_must_be_causal_is_refused_in_words() -> None:
    """It would not see what follows an anomaly, and nobody would know."""
    with pytest.raises(BackboneError, match="type mpt: its attention cannot"):
        LanguageModelBackbone(MPT | NO_VOCABULARY, {})


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_weights_must_be_those_of_the_configuration(
    llama: tuple[dict[str, Any], Weights], change: str
) -> None:
    """A layer that kept its random start would pass every check of shape."""
    config, weights = llama
    changed = dict(weights)
    if change == "missing":
        del changed["layers.1.self_attn.q_proj.weight"]
    else:
        changed["layers.2.self_attn.q_proj.weight"] = torch.zeros(WIDTH, WIDTH)
    with pytest.raises(RuntimeError, match=r"layers\.[12]\.self_attn\.q_proj"):
        LanguageModelBackbone(config, changed)


@torch.no_grad()
def test_half_precision_stays_inside(llama: tuple[dict[str, Any], Weights]) -> None:
    """The layers may compute in bfloat16; what trains and what comes out is float32."""
    exact = adapted(*llama)
    half = LanguageModelBackbone(*llama, compute_dtype=torch.bfloat16)
    half.add_lora(4)
    kept = {k: w for k, w in exact.state_dict().items() if "lora_" in k}
    half.load_state_dict(kept, strict=False)
    dtypes = {("lora_" in name): weight.dtype for name, weight in half.named_parameters()}
    assert dtypes == {True: torch.float32, False: torch.bfloat16}
    states = half.eval()(embedded())
    assert states.dtype == torch.float32
    assert (states - exact(embedded())).abs().mean() < 0.1
