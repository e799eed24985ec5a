"""A two-layer random language model in Hugging Face's layout: what tests use in an LLM's place."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

VOCABULARY = 16
WIDTH = 32
HEADS = 4
KEY_VALUE_HEADS = 2
HIDDEN = 64  # of the feed-forward part
CONTEXT = 64

Weights = dict[str, NDArray[np.float32]]


def tiny_weights(layers: int = 2, seed: int = 0) -> Weights:
    """Draw a llama's weights under the names of its base model; no norm's gains are ones."""
    rng = np.random.default_rng(seed)

    def matrix(n_out: int, n_in: int) -> NDArray[np.float32]:
        return rng.normal(0.0, n_in**-0.5, (n_out, n_in)).astype(np.float32)

    def gains() -> NDArray[np.float32]:
        return rng.uniform(0.5, 1.5, WIDTH).astype(np.float32)

    key_value_width = WIDTH // HEADS * KEY_VALUE_HEADS
    weights = {"embed_tokens.weight": matrix(VOCABULARY, WIDTH), "norm.weight": gains()}
    for layer in range(layers):
        weights |= {
            f"layers.{layer}.input_layernorm.weight": gains(),
            f"layers.{layer}.self_attn.q_proj.weight": matrix(WIDTH, WIDTH),
            f"layers.{layer}.self_attn.k_proj.weight": matrix(key_value_width, WIDTH),
            f"layers.{layer}.self_attn.v_proj.weight": matrix(key_value_width, WIDTH),
            f"layers.{layer}.self_attn.o_proj.weight": matrix(WIDTH, WIDTH),
            f"layers.{layer}.post_attention_layernorm.weight": gains(),
            f"layers.{layer}.mlp.gate_proj.weight": matrix(HIDDEN, WIDTH),
            f"layers.{layer}.mlp.up_proj.weight": matrix(HIDDEN, WIDTH),
            f"layers.{layer}.mlp.down_proj.weight": matrix(WIDTH, HIDDEN),
        }
    return weights


def write_tiny_backbone(directory: Path, *, layers: int = 2, seed: int = 0) -> Path:
    """Write ``config.json`` and ``model.safetensors``; return `directory`, made where missing.

    The same seed gives the same bytes. Neither torch nor transformers is imported.
    """
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": layers,
        "hidden_size": WIDTH,
        "intermediate_size": HIDDEN,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "max_position_embeddings": CONTEXT,
        "vocab_size": VOCABULARY,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "dtype": "float32",
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    weights = {f"model.{name}": values for name, values in tiny_weights(layers, seed).items()}
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory
