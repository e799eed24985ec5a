"""The network built, taken apart into what is kept, and put together again for scoring."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from aster_cli.backbones import Backbone, load_backbone
from aster_cli.checkpoint import Adapter, Arrays, Checkpoint, Scoring
from aster_cli.checkpoint.checking import require_adapter
from aster_cli.config import ModelConfig
from aster_cli.errors import ModelDirectoryError
from aster_cli.model.aster import AsterNetwork, build_network
from aster_cli.model.backbone import lora_of, merge_lora
from aster_cli.model.compiling import compile_network
from aster_cli.model.device import batch_windows, dtype_of
from aster_cli.model.forecast import Forecast
from aster_cli.model.neighbours import NormalWindows, without_forecast
from aster_cli.model.whitening import Whitening
from aster_cli.reading import WindowReader

NO_BACKBONE = "none"
_NORMAL = "normal."  # prefix of what normal windows are, among the kept arrays
WHITENING = ("sensors", "together", "alone", "weight")
FORECAST = ("coefficients", "scale")
_LLM = "context.backbone.llm."  # prefix of the layers that are kept apart
_SPARE_BYTES = 1 << 26  # of what a language model keeps beside its weights: masks, rotations


@dataclass(frozen=True, slots=True)
class Trained:
    """What training put into a network, on the CPU and apart from it."""

    adapter: Adapter | None
    weights: Arrays


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What it takes to build a network, but for what training puts into it.

    Attributes:
        model: With nothing left open.
        n_sensors: Sensors of a row.
        backbone: The LLM's layers; None without that branch.
        scoring: Among others, what the LLM computes in.
        device: Where the network will live.
        compiled: Whether torch.compile makes kernels of a network for scoring.
    """

    model: ModelConfig
    n_sensors: int
    backbone: Backbone | None
    scoring: Scoring
    device: torch.device
    compiled: bool = False

    def untrained(self) -> AsterNetwork:
        """A new network, LoRA included."""
        dtype = dtype_of(self.scoring.precision)
        network = build_network(self.model, self.n_sensors, self.backbone, compute_dtype=dtype)
        if network.context is not None and self.model.lora_rank:
            network.context.backbone.add_lora(self.model.lora_rank)
        return network.to(self.device)

    def reader(self, trained: Trained, absent: NDArray[np.int64] | None = None) -> WindowReader:
        """The trained network for scoring: LoRA folded into the LLM's layers, no peft.

        Args:
            trained: What training put into it.
            absent: Sensors that the log lacks; no distance to normal windows is measured in them.

        Raises:
            UsageError: It is to be compiled, and torch.compile does not work here.
        """
        merged = None
        if self.backbone is not None and trained.adapter is not None:
            merged = merge_lora(
                {name: torch.from_numpy(w) for name, w in self.backbone.weights.items()},
                trained.adapter.config,
                {name: torch.from_numpy(w) for name, w in trained.adapter.weights.items()},
            )
        network = build_network(
            self.model,
            self.n_sensors,
            self.backbone,
            llm_weights=merged,
            compute_dtype=dtype_of(self.scoring.precision),
        )
        own = {name: torch.from_numpy(value) for name, value in trained.weights.items()}
        stored = own.pop(f"{_NORMAL}windows")
        remoteness, shares = (own.pop(f"{_NORMAL}{part}") for part in ("remoteness", "shares"))
        whitening = Whitening(*(own.pop(f"{_NORMAL}whitening.{part}") for part in WHITENING))
        forecast = Forecast(*(own.pop(f"{_NORMAL}forecast.{part}") for part in FORECAST))
        if absent is not None and len(absent):
            stored = stored.clone()
            stored[:, :, absent] = 0.0  # the scaled value of the usual level, as in the log
            whitening, shares = whitening.without(absent), without_forecast(shares)
        normal = NormalWindows(stored, whitening, remoteness, forecast, shares)
        llm = {k: v for k, v in network.state_dict().items() if k.startswith(_LLM)}
        network.load_state_dict(llm | own)
        as_recorded = self.device.type == self.scoring.device
        n_tokens = stored.shape[1] // self.model.patch_size
        network.to(self.device).eval()
        if self.compiled:
            compile_network(network, self.device)
        return WindowReader(
            network,
            normal.to(self.device),
            self.device,
            self.scoring.batch_windows if as_recorded else batch_windows(self.device, n_tokens),
        )


def require_fitting(made: Checkpoint, where: str) -> None:
    """Check that a model's arrays are those that its configuration asks for, before it is built.

    The network is laid out without memory: forged sizes cost nothing, and are found out.

    Raises:
        ModelDirectoryError: They are not; `where` is its directory.
    """
    try:
        layers = {} if made.backbone is None else made.backbone.weights
        if made.adapter is not None:
            require_adapter(made.adapter, layers)
        _require_laid_out(made, layers)
    except ValueError as error:
        raise _unfit(where, str(error)) from error


def require_alike(own: Checkpoint, pooled: Checkpoint, where: str) -> None:
    """Check that a single machine's arrays are like those of the whole model, which were checked.

    Raises:
        ModelDirectoryError: They are not; `where` is the machine's directory.
    """
    if _shapes(own) != _shapes(pooled) or own.schema.log.sensors != pooled.schema.log.sensors:
        raise _unfit(where, "its arrays are not like those of the whole model")


def _shapes(made: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Of all arrays; of the stored windows only what one of them is like."""
    arrays = made.weights | ({} if made.adapter is None else made.adapter.weights)
    shapes = {name: array.shape for name, array in arrays.items()}
    stored = (f"{_NORMAL}windows", f"{_NORMAL}remoteness")
    return shapes | {name: shapes[name][1:] for name in stored}


def _unfit(where: str, how: str) -> ModelDirectoryError:
    return ModelDirectoryError(
        f"cannot be understood ({how})", where=where, hint="restore it or train again"
    )


def _require_laid_out(made: Checkpoint, layers: Arrays) -> None:
    arrays = {name: w for name, w in made.weights.items() if not name.startswith(_NORMAL)}
    arrays |= {f"{_LLM}{name}": w for name, w in layers.items()}
    try:
        with torch.device("meta"):
            unfilled = {name: torch.empty(w.shape) for name, w in layers.items()}
            laid_out = build_network(
                made.config.model,
                len(made.schema.log.sensors),
                made.backbone,
                llm_weights=unfilled or None,
            )
    # transformers, torch and the network itself each have their own exceptions for what is impossible
    except Exception as error:
        raise ValueError(f"no network is laid out like this ({error})") from error
    buffers = sum(buffer.nbytes for buffer in laid_out.buffers())
    wanted = {name: tuple(value.shape) for name, value in laid_out.state_dict().items()}
    vocabulary = {name for name in wanted.keys() - arrays.keys() if name.startswith(_LLM)}
    given = {name: array.shape for name, array in arrays.items()}
    if {name: shape for name, shape in wanted.items() if name not in vocabulary} != given:
        raise ValueError("its arrays are not those that its configuration asks for")
    spare = sum(math.prod(wanted[name]) for name in vocabulary)
    if buffers + 4 * spare > _SPARE_BYTES + sum(array.nbytes for array in arrays.values()):
        raise ValueError("its language model asks for memory that it has no weights for")


def configured_backbone(model: ModelConfig) -> Backbone | None:
    """The LLM that a configuration names; None where it names none.

    Raises:
        BackboneError: It is not at hand.
    """
    if model.backbone == NO_BACKBONE:
        return None
    return load_backbone(model.backbone, model.backbone_layers)


def keep(network: AsterNetwork, normal: NormalWindows) -> Trained:
    """Copy what scoring needs of a network and of the normal windows."""
    adapter = None
    if network.context is not None and network.context.backbone.has_lora:
        config, weights = lora_of(network.context.backbone.llm)
        adapter = Adapter(config, {name: w.numpy().copy() for name, w in weights.items()})
    own = {
        name: value.detach().cpu().numpy().copy()
        for name, value in network.state_dict().items()
        if not name.startswith(_LLM)
    }
    stored = {f"{_NORMAL}{name}": w.cpu().numpy().copy() for name, w in normal.state_dict().items()}
    n_sensors, size, _ = normal.whitening.alone.shape
    stored[f"{_NORMAL}windows"] = stored[f"{_NORMAL}windows"].reshape(-1, size, n_sensors)
    return Trained(adapter, own | stored)
