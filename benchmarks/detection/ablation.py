"""Aster with one part taken away or replaced: run by name, kept out of the ranks.

Every variant trains `STEPS` steps, the reference too, so that a row costs minutes. A variant that
the configuration cannot say alters the code of its own process: the product has no switch that only
a benchmark would turn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aster_cli.config import DetectorConfig, ModelConfig, TrainingConfig

STEPS = 80


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of the ablation.

    Attributes:
        label: What it is called there.
        config: Its configuration.
        change: What it does to the code of its process.
    """

    label: str
    config: DetectorConfig
    change: Callable[[], None] | None = None


def _config(**model: Any) -> DetectorConfig:
    return DetectorConfig(model=ModelConfig(**model), training=TrainingConfig(steps=STEPS))


def _plain_prior() -> None:
    """Codes from the unit Gaussian, whatever the windows' own are."""
    from aster_cli.model import aster

    def plain(mean: Tensor, widest: float = 1.0) -> Tensor:
        return widest * torch.randn_like(mean)

    aster.sample_relaxed_prior = plain  # type: ignore[attr-defined]


def _fixed_tokens() -> None:
    """The decoder's tokens stay as they were drawn."""
    from aster_cli.model.decoder import LatentDecoder

    made = LatentDecoder.__init__

    def fixed(self: LatentDecoder, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        self.tokens.requires_grad_(False)

    LatentDecoder.__init__ = fixed  # type: ignore[method-assign]


def _without(position: int) -> Callable[[], None]:
    """The classifier gets zeros for one of its inputs."""

    def change() -> None:
        from aster_cli.model.classifier import AnomalyClassifier

        judged = AnomalyClassifier.forward

        def blind(self: AnomalyClassifier, *inputs: Tensor) -> Tensor:
            seen = list(inputs)
            seen[position] = torch.zeros_like(seen[position])
            return judged(self, *seen)

        AnomalyClassifier.forward = blind  # type: ignore[method-assign, assignment]

    return change


def _balanced_losses() -> None:
    """ELBO and classification each weigh the inverse of their own moving average.

    The optimum of learned uncertainty weights (Kendall, Gal, Cipolla, CVPR 2018), without learning.
    """
    from aster_cli.model.losses import LossTerms

    averages: list[Tensor] = []

    def balanced(self: LossTerms, beta: float) -> Tensor:
        elbo = self.window_reconstruction + self.hidden_reconstruction + beta * self.kl
        parts = [elbo, self.classification]
        if not averages:
            averages.extend(part.detach() for part in parts)
        for i, part in enumerate(parts):
            averages[i] = 0.95 * averages[i] + 0.05 * part.detach()
        return torch.stack([p / a for p, a in zip(parts, averages, strict=True)]).sum()

    LossTerms.total = balanced  # type: ignore[method-assign]


def _windows_over_row(count: int) -> Callable[[], None]:
    """Another stride: a window divided by the count."""

    def change() -> None:
        from aster_cli import defaults

        defaults.WINDOWS_OVER_ROW = count

    return change


def _without_llm(label: str, change: Callable[[], None] | None = None, **model: Any) -> Variant:
    return Variant(label, _config(backbone="none", **model), change)


WITH_LLM: dict[str, Variant] = {
    "aster": Variant("LLM: LoRA, K = 3 (the default)", DetectorConfig()),
    "ablation-no-llm": _without_llm("LLM: none"),
    "ablation-frozen-llm": Variant("LLM: frozen", _config(lora_rank=0)),
    "ablation-2-layers": Variant("LLM: LoRA, K = 2", _config(backbone_layers=2)),
    "ablation-6-layers": Variant("LLM: LoRA, K = 6", _config(backbone_layers=6)),
}
"""What the language model is worth; the first is what the others are compared with.

It is the benchmark's own method: on the core's logs its rule for steps gives `STEPS` too.
"""

WITHOUT_LLM: dict[str, Variant] = {
    "ablation-no-llm": _without_llm("all parts but the LLM"),
    "ablation-linear": _without_llm("classifier: linear", classifier="linear"),
    "ablation-mlp": _without_llm("classifier: MLP", classifier="mlp"),
    "ablation-no-reversal": _without_llm("gradient reversal: off", reversal_strength=0.0),
    "ablation-plain-prior": _without_llm("prior: plain", _plain_prior),
    "ablation-fixed-tokens": _without_llm("decoder tokens: fixed", _fixed_tokens),
    "ablation-no-residual": _without_llm("residual input: off", _without(1)),
    "ablation-no-novelty": _without_llm("novelty input: off", _without(2)),
    "ablation-balanced": _without_llm("loss balancing: on", _balanced_losses),
}
"""What every other part is worth, at half the time: none of them has the language model."""

STRIDES: dict[str, Variant] = {
    "ablation-no-llm": _without_llm("stride: a quarter of a window (the default)"),
    "ablation-stride-1": _without_llm("stride: a window", _windows_over_row(1)),
    "ablation-stride-2": _without_llm("stride: half a window", _windows_over_row(2)),
    "ablation-stride-8": _without_llm("stride: an eighth of a window", _windows_over_row(8)),
}
"""What scoring fewer or more windows is worth."""

VARIANTS = {
    name: variant for name, variant in (STRIDES | WITHOUT_LLM | WITH_LLM).items() if name != "aster"
}
"""Each that is no method of the benchmark already, by its name as one."""
