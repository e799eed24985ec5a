"""The anomaly classifier: hidden state and residual in, one logit a token out."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aster_cli.config import ClassifierKind
from aster_cli.model.encoder import TransformerStack


class AnomalyClassifier(nn.Module):
    """Tells real tokens from generated ones by the hidden state *and* what the VAE missed of it.

    On the hidden state alone it would learn the generator's fingerprint instead of anomaly. The
    size of the residual is given as its logarithm too: norms inside the network throw it away.
    """

    def __init__(self, kind: ClassifierKind, width: int, n_tokens: int) -> None:
        super().__init__()
        n_inputs = 2 * width + 1
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
        self, hidden: Float[Tensor, "batch n d"], residual: Float[Tensor, "batch n d"]
    ) -> Float[Tensor, "batch n"]:
        """Return logits; positive means generated, that is anomalous."""
        size = torch.log(residual.square().mean(dim=-1, keepdim=True) + 1e-6)
        logits: Tensor = self.body(torch.cat((hidden, residual, size), dim=-1)).squeeze(-1)
        return logits
