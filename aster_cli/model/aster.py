"""ASTER: pseudo-anomalies in latent space, an LLM for context, a classifier against a generator.

Notable:
    * the LLM *enriches* a hidden state that a small Transformer computes; it does not replace it
    * pseudo-anomalies are decoded from latent codes into displacements of sensors, over random
      segments of a window, and encoded again: real anomalies come in by the same door
    * their size is measured in the novelty of normal windows, so that drift sets the smallest
    * the generator sees the classifier's gradient reversed, so its work gets harder
    * the classifier sees the VAE's residual and the window's novelty beside the hidden state

Symbols:
    b      batch                      n      tokens of a window, n = t / patch_size
    t      rows of a window           d      width of the hidden state
    c      sensors                    d_llm  width of the LLM
    h      hidden state, b n d        z      width of the latent code
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from aster_cli.backbones import Backbone
from aster_cli.config import ClassifierKind, ModelConfig
from aster_cli.model.backbone import LanguageModelBackbone
from aster_cli.model.classifier import AnomalyClassifier
from aster_cli.model.decoder import LatentDecoder, SensorHead
from aster_cli.model.encoder import LocalEncoder, PatchEmbedding
from aster_cli.model.gradient_reversal import reverse_gradient
from aster_cli.model.losses import LossTerms, kl_to_unit_gaussian, real_against_generated
from aster_cli.model.neighbours import NormalWindows
from aster_cli.model.ranks import averaged, drawn
from aster_cli.model.vae import VaeEncoder, sample_posterior, sample_relaxed_prior

RADII = (0.5, 10.0)
"""Range of a pseudo-anomaly's radius: of its novelty, which is up to about 1 for normal windows."""

SMALLEST_SPREAD = 1e-3
"""Of the hidden state, whose norms inside are near 1: sensors at rest give none of their own."""


class Comparison(NamedTuple):
    """Normal windows beside the pseudo-anomalies made of them.

    Attributes:
        terms: Of the joint loss.
        real: Logits of the normal windows.
        generated: Logits of the pseudo-anomalies.
        displaced: Which of their tokens are.
    """

    terms: LossTerms
    real: Float[Tensor, "batch n"]
    generated: Float[Tensor, "batch n"]
    displaced: Bool[Tensor, "batch n"]


class LanguageContext(nn.Module):
    """The LLM's branch: patches at the scale of its own embeddings, its states projected back."""

    def __init__(
        self,
        backbone: LanguageModelBackbone,
        embedding_norm: float,
        n_sensors: int,
        patch_size: int,
        width: int,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.embedding_norm = embedding_norm
        self.patches = PatchEmbedding(n_sensors, patch_size, backbone.width)
        self.norm = nn.LayerNorm(backbone.width)
        self.project = nn.Linear(backbone.width, width)
        self.gate = nn.Parameter(torch.tensor(0.5))

    def forward(self, window: Float[Tensor, "batch time sensor"]) -> Float[Tensor, "batch n d"]:
        """Return the gated context of every token."""
        embedded = self.patches(window)
        scale = self.embedding_norm / embedded.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        context: Tensor = self.project(self.norm(self.backbone(embedded * scale)))
        return self.gate * context


class AsterNetwork(nn.Module):
    """Everything that is trained, and the LLM's layers that are not."""

    spread: Tensor

    def __init__(
        self,
        *,
        n_sensors: int,
        window_size: int,
        patch_size: int,
        width: int,
        latent_width: int,
        classifier: ClassifierKind,
        context: LanguageContext | None,
    ) -> None:
        super().__init__()
        n_tokens = window_size // patch_size
        self.local = LocalEncoder(n_sensors, patch_size, width, n_tokens)
        self.skip = PatchEmbedding(n_sensors, patch_size, width)
        self.context = context
        self.vae = VaeEncoder(width, latent_width)
        self.decoder = LatentDecoder(width, latent_width, n_tokens)
        self.sensors = SensorHead(n_sensors, patch_size, width)
        self.classifier = AnomalyClassifier(classifier, width, n_tokens, patch_size, n_sensors)
        self.patch_size = patch_size
        self.register_buffer("spread", torch.tensor(0.0))

    def hidden(self, window: Float[Tensor, "batch time sensor"]) -> Float[Tensor, "batch n d"]:
        """``h``: the local state, the LLM's context, and a linear skip that keeps magnitude."""
        state: Tensor = self.local(window) + self.skip(window)
        return state if self.context is None else state + self.context(window)

    def judge(
        self,
        hidden: Float[Tensor, "batch n d"],
        novelty: Float[Tensor, "batch time sensor"],
    ) -> Float[Tensor, "batch n"]:
        """Logits of windows, real or generated, whose novelty is that of all sensors together."""
        mean, _ = self.vae(hidden)
        residual = hidden - self.decoder(mean, "reconstruct")
        logits: Tensor = self.classifier(hidden, residual, novelty)
        return logits

    def forward(
        self,
        window: Float[Tensor, "batch time sensor"],
        novelty: Float[Tensor, "batch time sensor"],
    ) -> Float[Tensor, "batch n"]:
        """Score a batch: a logit a token."""
        return self.judge(self.hidden(window), novelty)

    def generate(
        self,
        window: Float[Tensor, "batch time sensor"],
        hidden: Float[Tensor, "batch n d"],
        normal: NormalWindows,
        strength: float,
    ) -> tuple[Float[Tensor, "batch time sensor"], Bool[Tensor, "batch n"]]:
        """Pseudo-anomalies ``x + m·r·Δ/‖Δ‖`` and which of their tokens are displaced.

        Δ is what the displacement of h that the decoder makes of a latent code, behind gradient
        reversal of `strength`, does to the sensors; m is a random segment; r is drawn log-uniformly
        over `RADII`; ‖Δ‖ is the root mean square over the segment's rows, measured as novelty is.
        """
        codes, _ = self.vae(hidden.detach())
        code = sample_relaxed_prior(codes.detach())
        delta = self.sensors.displacement(
            reverse_gradient(self.decoder(code, "displace"), strength)
        )
        batch, n_tokens, _ = hidden.shape
        displaced = random_segments(batch, n_tokens, hidden.device)
        delta = delta * displaced.repeat_interleave(self.patch_size, dim=1).unsqueeze(-1)
        share = displaced.float().mean(dim=1)
        norm = (normal.whitening(delta).square() / share).sqrt().view(-1, 1, 1)
        low, high = RADII
        radius = low * (high / low) ** drawn(torch.rand, batch, 1, 1, device=hidden.device)
        return window + radius * delta / norm, displaced

    def compare(
        self,
        window: Float[Tensor, "batch time sensor"],
        normal: NormalWindows,
        strength: float,
    ) -> Comparison:
        """Generate from a batch of normal windows, judge both, and say what is lost.

        Args:
            window: Normal windows.
            normal: Stored windows of another time than theirs.
            strength: Of the gradient reversal.
        """
        hidden = self.hidden(window)
        self.track_spread(hidden.detach())
        mean, log_variance = self.vae(hidden)
        decoded = self.decoder(sample_posterior(mean, log_variance), "reconstruct")
        generated, displaced = self.generate(window, hidden, normal, strength)
        both = torch.cat((hidden, self.hidden(generated)))
        logits = self.judge(both, normal.novelty(torch.cat((window, generated))).together)
        real_logits, generated_logits = logits.chunk(2)
        terms = LossTerms(
            window_reconstruction=(self.sensors(decoded) - window).square().mean(),
            hidden_reconstruction=(decoded - hidden.detach()).square().mean()
            / self.spread.square(),
            kl=kl_to_unit_gaussian(mean, log_variance),
            classification=real_against_generated(real_logits, generated_logits, displaced),
        )
        return Comparison(terms, real_logits, generated_logits, displaced)

    def track_spread(self, hidden: Float[Tensor, "batch n d"]) -> None:
        """Follow the root mean square deviation of h from its mean over the batch."""
        if self.training:
            mean = averaged(hidden.mean(dim=0))
            square = averaged((hidden - mean).square().mean())
            now = square.sqrt().clamp_min(SMALLEST_SPREAD)
            self.spread.copy_(now if self.spread == 0 else 0.95 * self.spread + 0.05 * now)


def random_segments(batch: int, n_tokens: int, device: torch.device) -> Bool[Tensor, "batch n"]:
    """One segment a window, of uniformly drawn length (1 to n tokens) and place."""

    def lengths(*size: int, device: torch.device) -> Tensor:
        return torch.randint(1, n_tokens + 1, size, device=device)

    length = drawn(lengths, batch, 1, device=device)
    start = (drawn(torch.rand, batch, 1, device=device) * (n_tokens - length + 1)).long()
    token = torch.arange(n_tokens, device=device)
    return (token >= start) & (token < start + length)


def build_network(
    model: ModelConfig,
    n_sensors: int,
    backbone: Backbone | None,
    *,
    llm_weights: dict[str, Tensor] | None = None,
    compute_dtype: torch.dtype = torch.float32,
) -> AsterNetwork:
    """Build the network that a resolved configuration describes.

    Args:
        model: With window size and latent width set.
        n_sensors: Sensors of a row.
        backbone: The LLM's layers; None leaves the branch out.
        llm_weights: In place of the backbone's own: those with LoRA folded in.
        compute_dtype: What the LLM computes in.
    """
    if model.window_size is None or model.latent_width is None:
        raise ValueError("window size and latent width must be set")
    context = None
    if backbone is not None:
        weights = llm_weights or {k: torch.from_numpy(v) for k, v in backbone.weights.items()}
        llm = LanguageModelBackbone(backbone.config, weights, compute_dtype=compute_dtype)
        context = LanguageContext(
            llm, backbone.embedding_norm, n_sensors, model.patch_size, model.width
        )
    return AsterNetwork(
        n_sensors=n_sensors,
        window_size=model.window_size,
        patch_size=model.patch_size,
        width=model.width,
        latent_width=model.latent_width,
        classifier=model.classifier,
        context=context,
    )
