"""What an Arrow IPC file says that it unpacks to, read off its messages before any is unpacked.

PyArrow takes a compressed buffer's word for how long it will be. The layouts are those of Arrow's
``Message.fbs`` and ``File.fbs``, in which tables are FlatBuffers.
"""

import struct
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from numpy.typing import NDArray

from aster_cli.logs.packing import Allowance

MAGIC = b"ARROW1"
_RECORD_BATCH, _DICTIONARY = 3, 2  # kinds of messages that hold cells

Message = tuple[bytes, NDArray[np.uint8]]  # what it says, and its body


def require_modest_ipc(file: pa.NativeFile) -> None:
    """Refuse an Arrow file, of either layout, that unpacks to more than it may.

    Args:
        file: Seekable; it is read through.

    Raises:
        pyarrow.ArrowInvalid: It is too large, or no such file.
    """
    size = file.size()
    allowance = Allowance(size)
    try:
        is_file = file.read(len(MAGIC)) == MAGIC
        file.seek(0)
        for message, body in _in_file(file, size) if is_file else _in_stream(file):
            allowance.take(*_claimed(message, body))
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        if isinstance(error, pa.ArrowException):
            raise
        raise pa.ArrowInvalid("a message in it is broken") from error


def _in_stream(file: pa.NativeFile) -> Iterator[Message]:
    for message in pyarrow.ipc.MessageReader.open_stream(file):
        yield bytes(message.metadata), np.frombuffer(message.body, dtype=np.uint8)


def _in_file(file: pa.NativeFile, size: int) -> Iterator[Message]:
    """The messages that the footer, at the file's end, points to."""
    (length,) = struct.unpack("<I", _at(file, size - len(MAGIC) - 4, 4))
    footer = _Table.of(_at(file, size - len(MAGIC) - 4 - length, length))
    for field in (2, 3):  # dictionaries, record batches
        for start, head, body in footer.structs(field, 3).tolist():
            head &= 0xFFFFFFFF  # an int32, and padding
            message = _at(file, start, head)
            skip = 8 if message[:4] == b"\xff" * 4 else 4
            yield message[skip:], np.frombuffer(_at(file, start + head, body), dtype=np.uint8)


def _at(file: pa.NativeFile, start: int, length: int) -> pa.Buffer:
    if start < 0 or length < 0 or start + length > file.size():
        raise ValueError("points outside")
    file.seek(start)
    return file.read_buffer(length)


def _claimed(message: bytes, body: NDArray[np.uint8]) -> tuple[int, int]:
    """Bytes and cells that a message says it unpacks to."""
    root = _Table.of(message)
    kind = root.scalar(1, "<B")
    if kind not in (_RECORD_BATCH, _DICTIONARY):
        return 0, 0
    batch = root.table(2)
    if kind == _DICTIONARY:
        batch = batch.table(1)
    rows, nodes = batch.scalar(0, "<q"), batch.structs(1, 2)
    cells = max(rows * max(len(nodes), 1), sum(nodes[:, 0].tolist()))
    if not batch.has(3):  # not compressed: no longer than it is
        return len(body), cells
    starts = batch.structs(2, 2)
    starts = starts[starts[:, 1] >= 8][:, 0]
    lengths = body[starts[:, None] + np.arange(8)].copy().view("<i8")
    return sum(length for length in lengths[:, 0].tolist() if length > 0), cells


class _Table:
    """A table of a FlatBuffer, read where it lies."""

    @classmethod
    def of(cls, data: bytes) -> "_Table":
        """The root of a buffer."""
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place
        self._fields = place - struct.unpack_from("<i", data, place)[0]
        if self._fields < 0:
            raise ValueError("points outside")

    def _at(self, field: int) -> int:
        """Where a field lies; 0 where it is left out."""
        slot = 4 + 2 * field
        (size,) = struct.unpack_from("<H", self._data, self._fields)
        if slot >= size:
            return 0
        offset: int = struct.unpack_from("<H", self._data, self._fields + slot)[0]
        return self._place + offset if offset else 0

    def has(self, field: int) -> bool:
        return self._at(field) > 0

    def scalar(self, field: int, kind: str) -> int:
        place = self._at(field)
        return int(struct.unpack_from(kind, self._data, place)[0]) if place else 0

    def _pointed(self, field: int) -> int:
        place = self._at(field)
        if not place:
            raise ValueError("lacks a part")
        target: int = place + struct.unpack_from("<I", self._data, place)[0]
        return target

    def table(self, field: int) -> "_Table":
        return _Table(self._data, self._pointed(field))

    def structs(self, field: int, width: int) -> NDArray[np.int64]:
        """A vector of structs, each of `width` numbers."""
        if not self.has(field):
            return np.empty((0, width), dtype=np.int64)
        place = self._pointed(field)
        (count,) = struct.unpack_from("<I", self._data, place)
        # aligned to eight bytes, so that the length before it may be
        numbers = np.frombuffer(self._data, dtype="<i8", count=width * count, offset=place + 4)
        return numbers.reshape(-1, width)
