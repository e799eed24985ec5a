"""How much a file may turn out to hold: a small one that unpacks without end is refused.

The bounds are far from any log of a plant, and every one is checked before what it bounds is in memory
or time.
"""

import pyarrow as pa
import pyarrow.parquet

MOST_COLUMNS = 10_000
BLOCK_BYTES = 1 << 20
"""Of text at a time; the longest line that is taken."""

TOO_LONG = f"a line is longer than {BLOCK_BYTES >> 20} MiB"
FREE_BYTES = 1 << 28
"""What any file may unpack to."""

MOST_RATIO = 250
"""How many times its size a file may unpack to, beyond that."""

LARGEST_FOOTER = 1 << 26
"""Bytes of a Parquet footer: reading it takes minutes and gigabytes where there are millions of columns."""

_NUMBER_BYTES = 8  # of a cell, however few the same number again and again takes in the file


class Allowance:
    """What a file may still unpack to, in bytes.

    Args:
        packed: The file's size.
    """

    def __init__(self, packed: int) -> None:
        self._left = FREE_BYTES + MOST_RATIO * packed

    def take(self, n_bytes: int, n_cells: int) -> None:
        """Account for cells; one takes a byte at least, for a cell without any takes time too.

        Raises:
            pyarrow.ArrowInvalid: There are more than the file may hold.
        """
        self._left -= max(n_bytes, n_cells)
        if self._left < 0:
            raise pa.ArrowInvalid(
                f"it unpacks to more than {MOST_RATIO} times its size, as no log does"
            )


def require_modest_parquet(file: pa.NativeFile) -> None:
    """Refuse a Parquet file by what its footer says, and by the footer's own length.

    Args:
        file: Seekable.

    Raises:
        pyarrow.ArrowInvalid: It is too large.
    """
    size = file.size()
    file.seek(max(size - 8, 0))
    end = file.read(8)
    if len(end) == 8 and int.from_bytes(end[:4], "little") > LARGEST_FOOTER:
        raise pa.ArrowInvalid(f"its footer is longer than {LARGEST_FOOTER >> 20} MiB")
    require_modest_footer(pyarrow.parquet.read_metadata(file), size)


def require_modest_footer(metadata: pyarrow.parquet.FileMetaData, size: int) -> None:
    """Refuse a Parquet file by what its footer says.

    Args:
        metadata: The footer.
        size: Of the file.

    Raises:
        pyarrow.ArrowInvalid: It unpacks to too much.
    """
    allowance = Allowance(size)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        cells = group.num_rows * group.num_columns
        allowance.take(max(group.total_byte_size, _NUMBER_BYTES * cells), cells)
