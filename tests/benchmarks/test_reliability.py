"""Faults put into real runs, a few of each kind; thousands take `python -m benchmarks.reliability`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def put(folder: Path, *arguments: object) -> dict[str, Any]:
    """Run the command; its figures. What is not survived ends it with an error."""
    command = [sys.executable, "-m", "benchmarks.reliability", "--folder", folder, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.slow
def test_killed_and_done_again_is_undisturbed(tmp_path: Path) -> None:
    """`kill -9` at write points and at random times, of a training and of a scoring."""
    kills = put(tmp_path / "kills", "kills", "--train", 3, "--score", 4)["kills"]
    for command, least in (("train", 3), ("score", 4)):
        of_it = (n for name, n in kills.items() if name.startswith(command) and "killed" in name)
        assert sum(of_it) >= least


@pytest.mark.slow
def test_many_runs_with_faults_are_one(tmp_path: Path) -> None:
    """Rows late, doubled, too late; disks full; processes killed: and no row lost or doubled."""
    found = put(tmp_path / "soak", "soak", "--runs", 120, "--processes", 1)
    assert (found["lost"], found["doubled"], found["different"]) == (0, 0, 0)
    assert {"killed", "disk full", "input/output error"} <= found["faults"].keys()


def may_mount() -> bool:
    """Whether this user can mount a small file system of their own."""
    if shutil.which("unshare") is None:
        return False
    mount = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not may_mount(), reason="no right to mount a small disk")
def test_bad_places_leave_what_was_there(tmp_path: Path) -> None:
    """Full and read-only disks, two runs at once, and a clock that jumps back."""
    met = put(tmp_path / "places", "places", "--full", 1, "--together", 1)["met"]
    for command in ("train", "score"):
        assert met[f"{command}: read-only disk"] == met[f"{command}: a clock that jumped back"] == 1


@pytest.mark.slow
def test_machines_are_scored_within_bounds(tmp_path: Path) -> None:
    """A few machines only, so that the command stays one that runs; its figures are not judged."""
    found = put(tmp_path / "machines", "machines", "--machines", 6)
    assert all(peak > 0 for peak in found["peak_mb"].values())
