"""Every command starts by importing this package, so it must stay light."""

import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "transformers", "gguf", "peft", "pip", "safetensors", "platformdirs", "polars")


def test_importing_and_listing_needs_nothing_heavy(tmp_path: Path) -> None:
    """`aster --help` must not wait for torch, and `aster backbone list` has no use for it."""
    code = (
        "import os, sys\n"
        "import aster_cli.backbones as backbones\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
        f"os.environ['ASTER_CACHE_DIR'] = {str(tmp_path)!r}\n"
        "assert [info.name for info in backbones.list_backbones()] == ['smollm2-135m']\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
