"""From a window to its local hidden state: patches, and a small Transformer over them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PatchEmbedding(nn.Module):
    """Cuts a window into tokens of `patch_size` rows and embeds each linearly."""

    def __init__(self, n_sensors: int, patch_size: int, width: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.linear = nn.Linear(patch_size * n_sensors, width)

    def forward(self, window: Float[Tensor, "batch time sensor"]) -> Float[Tensor, "batch n d"]:
        """Embed the ``time / patch_size`` patches of every window."""
        rows = window.unflatten(1, (-1, self.patch_size))  # type: ignore[no-untyped-call]
        patches: Tensor = self.linear(rows.flatten(start_dim=2))
        return patches


class TransformerStack(nn.Module):
    """Pre-norm Transformer blocks over tokens, with a learnt position each."""

    def __init__(self, width: int, n_tokens: int, n_layers: int, n_heads: int = 4) -> None:
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(n_tokens, width))
        block = nn.TransformerEncoderLayer(
            width,
            n_heads,
            dim_feedforward=2 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.blocks = nn.TransformerEncoder(block, n_layers, enable_nested_tensor=False)

    def forward(self, tokens: Float[Tensor, "batch n d"]) -> Float[Tensor, "batch n d"]:
        """Let every token see all others."""
        mixed: Tensor = self.blocks(tokens + self.position)
        return mixed


class LocalEncoder(nn.Module):
    """Patch embedding and a small Transformer, trained from scratch on the log itself."""

    def __init__(
        self, n_sensors: int, patch_size: int, width: int, n_tokens: int, n_layers: int = 2
    ) -> None:
        super().__init__()
        self.patches = PatchEmbedding(n_sensors, patch_size, width)
        self.stack = TransformerStack(width, n_tokens, n_layers)
        self.norm = nn.LayerNorm(width)

    def forward(self, window: Float[Tensor, "batch time sensor"]) -> Float[Tensor, "batch n d"]:
        """Return the local part of the hidden state."""
        state: Tensor = self.norm(self.stack(self.patches(window)))
        return state
