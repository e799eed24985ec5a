"""What every test shares: shapes that are checked, random numbers that are the same.

Pytest imports this file before any test module, so the hook is there before what it checks.
"""

from collections.abc import Iterator

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


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The URL of a bucket in an S3-compatible server of this machine."""
    from moto.server import ThreadedMotoServer
    from pyarrow.fs import FileSystem

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    surroundings = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in surroundings.items():
            patch.setenv(name, value)
        FileSystem.from_uri("s3://logs/?allow_bucket_creation=true")[0].create_dir("logs")
        yield "s3://logs"
    server.stop()
