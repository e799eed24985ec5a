"""NDJSON as blocks of whole lines that a parser may be given: not too long, deep or scattered."""

import re
from collections.abc import Iterator

import msgspec
import pyarrow as pa

from aster_cli.logs.packing import MOST_COLUMNS, TOO_LONG

DEEPEST = 64
"""Objects and lists within each other; PyArrow's parser crashes where there are very many."""

MOST_EMPTY = 16
"""Cells to a byte at most: where every line has other names, nearly all cells are empty."""

_LINES = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{\]}]', re.DOTALL)  # strings, to pass over them
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


def blocks(stream: pa.NativeFile, size: int) -> Iterator[bytes]:
    """Cut a stream into blocks of whole lines.

    Args:
        stream: Unpacked.
        size: Of a block, in bytes; the longest line that is taken.

    Raises:
        pyarrow.ArrowInvalid: A line is longer, or nested too deeply.
    """
    block = stream.read(size)
    while block:
        more = stream.read(size)
        whole, newline, left = block.rpartition(b"\n") if more else (block, b"", b"")
        if len(left) > size:
            raise pa.ArrowInvalid(TOO_LONG)
        if whole.strip():
            yield _checked(whole + newline)
        block = left + more


def _checked(block: bytes) -> bytes:
    if any(_is_deep(line) for line in block.split(b"\n")):
        raise pa.ArrowInvalid(f"a line is nested more than {DEEPEST} deep")
    try:
        lines = _LINES.decode_lines(block)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return block  # PyArrow knows NaN, and has better words for what else is wrong
    names = {name for line in lines for name in line}
    if len(names) > MOST_COLUMNS:
        raise pa.ArrowInvalid(f"has more than {MOST_COLUMNS:,} columns")
    if len(names) * len(lines) > MOST_EMPTY * len(block):
        raise pa.ArrowInvalid("its lines have hardly a name in common")
    return block


def _is_deep(line: bytes) -> bool:
    if line.count(b"[") + line.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for token in _NESTING.finditer(line):
        depth += _STEPS.get(token[0], 0)
        if depth > DEEPEST:
            return True
    return False
