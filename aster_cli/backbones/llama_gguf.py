"""The first layers of a llama-like model, read from a GGUF file."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aster_cli.backbones.layers import Backbone

# GGUF's name of a weight: transformers' name of it
LAYER_WEIGHTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def read_first_layers(path: Path, name: str, most_layers: int) -> Backbone:
    """Dequantise at most `most_layers` layers; later ones are not touched.

    The final norm's gains are ones: those in the file were fitted to what the last layer puts out,
    and have no meaning for an earlier one.

    Raises:
        OSError: The file cannot be read.
        KeyError: It lacks a field or a weight of a llama-like model.
        ValueError: It is not GGUF.
    """
    from gguf import GGUFReader
    from gguf.quants import dequantize

    reader = GGUFReader(path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}

    def field(key: str) -> Any:
        return reader.fields[f"llama.{key}"].contents()

    def weight(key: str) -> NDArray[np.float32]:
        tensor = tensors[f"{key}.weight"]
        values: NDArray[np.float32] = dequantize(tensor.data, tensor.tensor_type)
        return values

    width: int = field("embedding_length")
    n_heads: int = field("attention.head_count")
    n_key_value_heads: int = field("attention.head_count_kv")
    layers = min(most_layers, field("block_count"))
    heads = {"attn_q": n_heads, "attn_k": n_key_value_heads}

    weights = {"norm.weight": np.ones(width, dtype=np.float16)}
    for layer in range(layers):
        for theirs, ours in LAYER_WEIGHTS.items():
            values = weight(f"blk.{layer}.{theirs}")
            if theirs in heads:
                values = undo_rotary_order(values, heads[theirs])
            weights[f"layers.{layer}.{ours}.weight"] = values.astype(np.float16)

    return Backbone(
        name=name,
        config={
            "model_type": "llama",
            "num_hidden_layers": layers,
            "hidden_size": width,
            "intermediate_size": field("feed_forward_length"),
            "num_attention_heads": n_heads,
            "num_key_value_heads": n_key_value_heads,
            "hidden_act": "silu",
            "rms_norm_eps": _shortest(field("attention.layer_norm_rms_epsilon")),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": _shortest(field("rope.freq_base")),
            },
            "max_position_embeddings": field("context_length"),
            "vocab_size": 1,
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": None,
        },
        embedding_norm=float(np.linalg.norm(weight("token_embd"), axis=1).mean()),
        weights=weights,
    )


def undo_rotary_order(rows: NDArray[np.float32], n_heads: int) -> NDArray[np.float32]:
    """Bring query or key rows, ``(head · 2 · half, in)``, into transformers' order.

    llama.cpp rotates neighbouring rows of a head, transformers the row at the same place in the
    other half; GGUF stores them for the former.
    """
    half = rows.shape[0] // n_heads // 2
    return rows.reshape(n_heads, half, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def _shortest(value: float) -> float:
    """The shortest number that float32 stores as `value`: 1e-5, not 9.999999747e-6."""
    return float(str(np.float32(value)))
