"""Spoiled files end in an `AsterError` and in nothing else; the long run is ``python -m
benchmarks.reliability fuzz``."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.reliability import guided
from benchmarks.reliability.hostile import LOGS, Target, log_and_state_targets, spoiled


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    return log_and_state_targets(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", [*LOGS, "state"])
def test_what_is_in_order_is_read(name: str, targets: dict[str, Target]) -> None:
    """Otherwise nothing would be fuzzed but the first check."""
    targets[name].read(targets[name].seed)


@pytest.mark.parametrize("name", [*LOGS, "state"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_spoiled_file_is_an_error_and_no_crash(
    name: str, targets: dict[str, Target], seed: int
) -> None:
    """A traceback tells a user nothing, and a killed process even less."""
    data = spoiled(targets[name].seed, random.Random(seed))
    assert targets[name].crashes(data) is None


@pytest.mark.slow
def test_guided_inputs_are_no_crash_either(tmp_path: Path) -> None:
    """Those that reach new code are changed further; ``python -m benchmarks.reliability guided``."""
    pytest.importorskip("atheris", reason="atheris has no wheel for this system")
    found = guided.run(tmp_path, seed=0, minutes=0.1, only="ndjson")
    assert found["guided"]["ndjson"] > 50
    assert found["crashes"] == 0
    assert len(list((tmp_path / "ndjson" / "corpus").iterdir())) > 1, "nothing led anywhere new"
