"""The anomaly classifier: hidden state, residual and novelty in, one logit a token out."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aster_cli.config import ClassifierKind
from aster_cli.model.encoder import TransformerStack


class AnomalyClassifier(nn.Module):
    """Tells real tokens from generated ones by three things.

    * the hidden state,
    * its *residual*: what the VAE missed of it. On the hidden state alone the classifier would learn
      the generator's fingerprint instead of anomaly,
    * the *novelty* of the token's rows: what the nearest normal windows of another time missed of
      them. In training it shows how new normal windows are, drift included.

    The sizes of residual and novelty are given as logarithms too, as norms inside the network throw
    them away, and the novelty's over the whole window as well: rows are too small a unit.
    """

    def __init__(
        self, kind: ClassifierKind, width: int, n_tokens: int, patch_size: int, n_sensors: int
    ) -> None:
        super().__init__()
        self.n_tokens = n_tokens
        n_inputs = 2 * width + patch_size * n_sensors + 3
        self.body: nn.Module
        if kind == "linear":
            self.body = nn.Linear(n_inputs, 1)
        elif kind == "mlp":
            self.body = nn.Sequential(
                nn.Linear(n_inputs, width), nn.GELU(), nn.Linear(width, width), nn.GELU(),
                nn.Linear(width, 1),
            )  # fmt: skip
        else:
            self.body = nn.Sequential(
                nn.Linear(n_inputs, width),
                TransformerStack(width, n_tokens, n_layers=2),
                nn.LayerNorm(width),
                nn.Linear(width, 1),
            )

    def forward(
        self,
        hidden: Float[Tensor, "batch n d"],
        residual: Float[Tensor, "batch n d"],
        novelty: Float[Tensor, "batch time sensor"],
    ) -> Float[Tensor, "batch n"]:
        """Return logits; positive means generated, that is anomalous."""
        patches = novelty.reshape(len(novelty), self.n_tokens, -1)
        square = patches.square().mean(dim=-1, keepdim=True)
        whole = square.mean(dim=1, keepdim=True).expand_as(square)
        seen = (
            hidden,
            residual,
            torch.asinh(patches),
            torch.log(residual.square().mean(dim=-1, keepdim=True) + 1e-6),
            torch.log(square + 1e-3),
            torch.log(whole + 1e-3),
        )
        logits: Tensor = self.body(torch.cat(seen, dim=-1)).squeeze(-1)
        return logits
