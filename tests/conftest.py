"""What every test shares: shapes that are checked, random numbers that are the same.

Pytest imports this file before any test module, so the hook is there before what it checks.
"""

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

# The rooms whose signatures state shapes and dtypes. Not the whole package: some tests elsewhere
# pass wrong types on purpose, and beartype cannot read a tuple that holds Polars' DataType.
CHECKED_ROOMS = (
    "alerts",
    "attribution",
    "calibration",
    "drift",
    "events",
    "model",
    "preparation",
    "reference",
    "reading",
    "relabelling",
    "scaling",
    "scoring",
    "segments",
    "streams",
    "thresholds",
    "training",
    "windows",
)
install_import_hook([f"aster_cli.{room}" for room in CHECKED_ROOMS], "beartype.beartype")

settings.register_profile("aster", deadline=None)  # a first call compiles its checks
settings.load_profile("aster")

torch.set_num_threads(1)  # tiny networks lose time to a second thread


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every test, whichever ran before it."""
    torch.manual_seed(0)
