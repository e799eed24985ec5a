"""Every method by name: how it is made, whether a seed matters, which code decides its scores."""

import ast
import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec

from aster_cli.config import DetectorConfig
from benchmarks.detection.ablation import VARIANTS, Variant
from benchmarks.detection.contract import Method
from benchmarks.detection.entities import ROOT
from benchmarks.detection.peers import PEERS
from benchmarks.detection.scaled import OnScaledLog

HERE = Path(__file__).parent
PACKAGE = ROOT / "aster_cli"

JUDGES = tuple(
    PACKAGE / "evaluation" / name for name in ("affiliation.py", "metrics.py", "runs.py", "vus.py")
)
"""What decides the figures of every method."""

APART = {"cli", "render", "inspection", "evaluation", "checkpoint", "logs", "report"}
APART_FILES = {
    *("__main__.py", "alerts.py", "attribution.py", "bands.py", "confined.py", "drift.py"),
    *("errors.py", "events.py", "explaining.py", "incremental.py", "locks.py", "plain.py"),
    *("reference.py", "relabelling.py", "snapshots.py", "sparklines.py", "state.py"),
}
"""Rooms and files of aster that decide no score; whatever is not named here does."""


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """A method of the benchmark.

    Attributes:
        make: Makes it, from a seed.
        draws: Whether its scores depend on the seed.
        sources: The files that decide its scores.
        library: The package that holds the model; None if none does.
        settings: What else decides its scores.
    """

    make: Callable[[int], Method]
    draws: bool
    sources: tuple[Path, ...]
    library: str | None = None
    settings: bytes = b""

    def code_hash(self) -> str:
        """Twelve hexadecimal digits that change with what decides its figures.

        Comments, docstrings and layout do not count: files are compared as syntax trees.

        Raises:
            PackageNotFoundError: Its library is not installed.
        """
        digest = hashlib.sha256(self.settings)
        if self.library is not None:
            digest.update(f"{self.library} {version(self.library)}".encode())
        for file in (*self.sources, *JUDGES):
            digest.update(_meaning(file).encode())
        return digest.hexdigest()[:12]


def _meaning(file: Path) -> str:
    """A module's syntax tree without its docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                part
                for part in body
                if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ]
    return ast.dump(tree)


def _own_sources() -> tuple[Path, ...]:
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE).parts
        if place[0] not in APART and place[-1] not in APART_FILES:
            found.append(file)
    return (*found, HERE / "ours.py")


def _aster() -> MethodEntry:
    def make(seed: int) -> Method:
        from benchmarks.detection.ours import Aster

        return Aster(DetectorConfig(), seed)

    return MethodEntry(make, True, _own_sources())


def _variant(variant: Variant) -> MethodEntry:
    def make(seed: int) -> Method:
        from benchmarks.detection.ours import Aster

        return Aster(variant.config, seed, variant.change)

    settings = msgspec.json.encode(variant.config)
    if variant.change is not None:
        settings += (variant.label + inspect.getsource(variant.change)).encode()
    return MethodEntry(make, True, _own_sources(), settings=settings)


def _peer(name: str, file: str, library: str | None, *, draws: bool = False) -> MethodEntry:
    def make(seed: int) -> Method:
        if name in PEERS:
            return OnScaledLog(PEERS[name](seed))
        from benchmarks.detection.deep_peers import DEEP_PEERS

        return OnScaledLog(DEEP_PEERS[name](seed))

    sources = (HERE / file, HERE / "windows.py", HERE / "scaled.py", PACKAGE / "scaling.py")
    return MethodEntry(make, draws, sources, library, name.encode())


METHODS: dict[str, MethodEntry] = {
    "aster": _aster(),
    "knn-20": _peer("knn-20", "peers.py", "pyod"),
    "knn-40": _peer("knn-40", "peers.py", "pyod"),
    "kmeans": _peer("kmeans", "peers.py", "scikit-learn", draws=True),
    "pca": _peer("pca", "peers.py", "scikit-learn"),
    "mahalanobis": _peer("mahalanobis", "peers.py", "scikit-learn"),
    "isolation-forest": _peer("isolation-forest", "peers.py", "pyod", draws=True),
    "hbos": _peer("hbos", "peers.py", "pyod"),
    "lof": _peer("lof", "peers.py", "pyod"),
    "ocsvm": _peer("ocsvm", "peers.py", "pyod"),
    "dense-autoencoder": _peer("dense-autoencoder", "peers.py", "pyod", draws=True),
    "lstm-autoencoder": _peer("lstm-autoencoder", "deep_peers.py", "torch", draws=True),
    "transformer": _peer("transformer", "deep_peers.py", "torch", draws=True),
    "random": _peer("random", "peers.py", None, draws=True),
}
"""Those that are ranked, in the order in which they are run."""

ALL_METHODS = METHODS | {name: _variant(variant) for name, variant in VARIANTS.items()}
"""Those and the variants of aster."""
