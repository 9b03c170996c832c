"""Bytes of a text file that its character encoding does not have, and which encoding the file may have instead."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from mlbaseline.errors import DataError

_CHUNK_BYTES = 1 << 20
_SHOWN_BYTES = 20
"""On each side of the broken byte."""
_USUAL = ("utf-8", "cp1252", "mac_roman", "cp850", "shift_jis", "gb18030", "euc_kr")
"""What files of spreadsheets and older systems are written in, the more usual ones first."""
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF32_LE: "utf-32"}
"""How a file begins ─▶ its encoding; the later of two that fit is the longer one."""


@dataclass(frozen=True, slots=True)
class BrokenByte:
    """The first byte that cannot be decoded. line: counted from 1. around: the bytes of its line that are near."""

    value: int
    line: int
    around: bytes


def find_broken_byte(path: Path, encoding: str | None) -> BrokenByte | None:
    """Find the first byte that an encoding does not have.

    Args:
        path: A text file.
        encoding: None for UTF-8.
    """
    decoder = codecs.getincrementaldecoder(encoding or "utf-8-sig")()
    newlines, returns, chunk, before = 0, 0, b"", b""
    with path.open("rb") as file:
        try:
            while chunk := file.read(_CHUNK_BYTES):
                text = decoder.decode(chunk)
                newlines, returns, before = newlines + text.count("\n"), returns + text.count("\r"), chunk
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            place = error.start - (len(error.object) - len(chunk))  # the decoder may hold the beginning of a character
            text = decoder.decode(chunk[: max(place, 0)])
            newlines, returns = newlines + text.count("\n"), returns + text.count("\r")
            near = before[-_SHOWN_BYTES:] + chunk + file.read(_SHOWN_BYTES)
            offset = place + len(before[-_SHOWN_BYTES:])
            left = re.split(rb"[\r\n]", near[max(offset - _SHOWN_BYTES, 0) : offset])[-1]
            right = re.split(rb"[\r\n]", near[offset : offset + _SHOWN_BYTES])[0]
            return BrokenByte(error.object[error.start], (newlines or returns) + 1, left + right)
    return None


def require_decodable(path: Path, encoding: str | None) -> None:
    """Check that a text file is of its encoding.

    Args:
        path: The file.
        encoding: None for UTF-8.

    Raises:
        DataError: It is not. The message has the line, and the encodings that decode the file.
    """
    broken = find_broken_byte(path, encoding)
    if broken is None:
        return
    with path.open("rb") as file:
        start = file.read(4)
    marked = [name for mark, name in _MARKS.items() if start.startswith(mark)][-1:]
    fitting = [name for name in marked or _USUAL if name != encoding and find_broken_byte(path, name) is None]
    read = "; ".join(f"{name}: {broken.around.decode(name, 'replace')!r}" for name in fitting if name not in marked)
    named = encoding or "UTF-8"
    raise DataError(
        f"{path}: line {broken.line:,} is not {named}: byte 0x{broken.value:02X}. "
        + (f"Encodings that decode the file: {', '.join(fitting)}. " if fitting else "")
        + (f"How they read the place: {read}. " if read else "")
        + f"In `task.data`, write `encoding: {fitting[0] if fitting else '…'}`, or the one that reads right "
        "(`mlbaseline init` has --encoding), or `encoding_errors: replace`, which reads each such place as U+FFFD and "
        "counts it. Any other file, such as one of answers or labels, must be saved as UTF-8"
    )
