"""Tables that aster keeps in its own files, read as if anyone could have written them.

PyArrow reads them, whose failures are exceptions, and every buffer is checked before Polars takes them
over.
"""

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from aster_cli.logs.arrow_claims import require_modest_ipc
from aster_cli.logs.packing import require_modest_footer
from aster_cli.logs.takeover import taken_over


def parquet_table(data: bytes) -> pl.DataFrame:
    """Read a table from the bytes of a Parquet file.

    Raises:
        ValueError: They are none, or unpack to more than they may.
    """
    try:
        with pyarrow.parquet.ParquetFile(pa.BufferReader(data)) as file:
            require_modest_footer(file.metadata, len(data))
            return taken_over(file.read(use_threads=False))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"no Parquet: {error}") from error


def arrow_table(data: bytes) -> pl.DataFrame:
    """Read a table from the bytes of an Arrow IPC file.

    Raises:
        ValueError: They are none, or unpack to more than they may.
    """
    try:
        require_modest_ipc(pa.BufferReader(data))
        with pyarrow.ipc.open_file(pa.BufferReader(data)) as file:
            return taken_over(file.read_all())
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"no Arrow table: {error}") from error
