"""The pre-trained language model: its first K layers, fed by embedded patches.

Notable:
    * tokens come through ``inputs_embeds``; the vocabulary is not kept
    * attention runs over the whole window: an anomaly may only be seen from both sides
    * the layers are frozen; LoRA (peft) on the attention projections is what trains
    * the layers live in half precision where the device computes in it; LoRA stays in float32
"""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aster_cli.errors import BackboneError

ATTENTION_PROJECTIONS = (
    "q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "c_attn", "query_key_value",
)  # fmt: skip


class LanguageModelBackbone(nn.Module):
    """The first layers of a decoder-only LLM as an encoder of embedded windows."""

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        *,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        """Build the layers from a transformers configuration and their weights.

        Raises:
            BackboneError: Where transformers cannot run this kind of model without a causal mask.
            RuntimeError: Where the weights are not those that the configuration asks for.
        """
        from transformers import AutoConfig, AutoModel

        super().__init__()
        settings = {key: value for key, value in config.items() if key != "model_type"}
        llm_config = AutoConfig.for_model(config["model_type"], **settings)
        llm_config._attn_implementation = "sdpa"
        try:
            llm = AutoModel.from_config(llm_config, trust_remote_code=False)
        except ValueError as error:
            raise BackboneError(
                "its attention cannot run without a causal mask here",
                where=f"backbone of type {config['model_type']}",
                hint="take one like gpt2, llama or qwen",
            ) from error
        missing, unexpected = llm.load_state_dict(dict(weights), strict=False)
        vocabulary = llm.get_input_embeddings()
        unused = {name for name, module in llm.named_modules() if module is vocabulary}
        absent = [name for name in missing if name.rpartition(".")[0] not in unused]
        if absent or unexpected:
            raise RuntimeError(f"backbone weights do not fit: {[*absent, *unexpected][:3]}")
        self.model_type: str = config["model_type"]
        self.compute_dtype = compute_dtype
        self.width: int = llm_config.hidden_size
        self.has_lora = False
        self.llm: nn.Module = llm.to(compute_dtype).requires_grad_(False)

    def add_lora(self, rank: int) -> None:
        """Wrap the attention projections in trainable low-rank updates (Hu et al., 2022).

        Raises:
            BackboneError: None of the model's layers has the name of a known projection.
        """
        from peft import LoraConfig, get_peft_model
        from transformers.pytorch_utils import Conv1D

        present = {name.rpartition(".")[2]: module for name, module in self.llm.named_modules()}
        targets = [name for name in ATTENTION_PROJECTIONS if name in present]
        if not targets:
            raise BackboneError(
                "has no attention projections that LoRA could adapt",
                where=f"backbone of type {self.model_type}",
                hint="take another model, or --lora-rank 0",
            )
        transposed = any(isinstance(present[name], Conv1D) for name in targets)
        lora = LoraConfig(
            r=rank, lora_alpha=2 * rank, target_modules=targets, fan_in_fan_out=transposed
        )
        with warnings.catch_warnings():
            # peft still asks transformers by the old name; nobody here can do anything about it
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            self.llm = get_peft_model(self.llm, lora)
        self.has_lora = True

    def forward(self, embedded: Float[Tensor, "batch n d_llm"]) -> Float[Tensor, "batch n d_llm"]:
        """Return the last kept layer's states in float32."""
        batch, n_tokens, _ = embedded.shape
        seen = torch.zeros(
            batch, 1, n_tokens, n_tokens, device=embedded.device, dtype=self.compute_dtype
        )
        with torch.autocast(
            embedded.device.type, torch.bfloat16, enabled=self.compute_dtype == torch.bfloat16
        ):
            states: Tensor = self.llm(
                inputs_embeds=embedded.to(self.compute_dtype), attention_mask=seen, use_cache=False
            ).last_hidden_state
        return states.float()


def lora_of(llm: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The adapter's configuration and weights, named as PEFT names them in its files."""
    from peft import get_peft_model_state_dict

    config = llm.peft_config["default"].to_dict()  # type: ignore[index, union-attr]
    plain = {
        key: sorted(value) if isinstance(value, set) else getattr(value, "value", value)
        for key, value in config.items()
        if isinstance(value, str | int | float | bool | list | set | dict | None)
    }
    weights = {name: w.detach().cpu() for name, w in get_peft_model_state_dict(llm).items()}
    return plain | {"inference_mode": True}, weights


def merge_lora(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], adapter: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Fold LoRA into the layers, ``W + (alpha / r) B A``: scoring then needs no peft.

    Layers that keep their weights transposed (GPT-2's) get the update transposed.

    Raises:
        KeyError: Where the adapter names a layer that is not there.
    """
    merged = {name: weight.float() for name, weight in weights.items()}
    prefix, suffix = "base_model.model.", ".lora_A.weight"
    scale = config["lora_alpha"] / config["r"]
    for name, down in adapter.items():
        if name.endswith(suffix):
            layer = name.removeprefix(prefix).removesuffix(suffix)
            update = scale * (adapter[f"{prefix}{layer}.lora_B.weight"].float() @ down.float())
            if config.get("fan_in_fan_out"):
                update = update.T
            merged[f"{layer}.weight"] = merged[f"{layer}.weight"] + update
    return merged
