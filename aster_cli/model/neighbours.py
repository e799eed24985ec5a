"""The window score: how far a whole window lies from the nearest normal ones.

Sub-sequence k-nearest neighbours (the strongest simple peer on server logs): the mean Euclidean
distance to the `k` nearest stored windows, per element, so that its unit is one scaled unit.
"""

from jaxtyping import Float
from torch import Tensor, nn


class NormalWindows(nn.Module):
    """Stored normal windows and the distance to them.

    Windows are stored flat. Squared distances come from one matrix product, so scoring a batch
    against thousands of stored windows costs less than the networks do.
    """

    windows: Tensor
    squared_norms: Tensor

    def __init__(self, windows: Float[Tensor, "stored time sensor"], k: int = 5) -> None:
        super().__init__()
        flat = windows.flatten(1).contiguous()
        self.k = min(k, len(flat))
        self.register_buffer("windows", flat)
        self.register_buffer("squared_norms", flat.square().sum(dim=1), persistent=False)

    def forward(self, window: Float[Tensor, "batch time sensor"]) -> Float[Tensor, " batch"]:
        """Return the root mean square distance per element to the nearest stored windows."""
        flat = window.flatten(1)
        squared = (
            flat.square().sum(dim=1, keepdim=True)
            + self.squared_norms
            - 2.0 * (flat @ self.windows.T)
        )
        nearest = squared.topk(self.k, dim=1, largest=False).values.clamp_min(0.0)
        return (nearest / flat.shape[1]).sqrt().mean(dim=1)
