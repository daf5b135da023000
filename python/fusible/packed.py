"""Weights in the layout that the kernels of products read, packed once and kept in files.

packed = fusible.pack_weight(w)          # [N, K]: f32, bf16, f16, fp8 or int8
y = ops.matmul(x, packed)                # the same bits as ops.matmul(x, w)
packed.save("w.packed")
packed = fusible.PackedWeight.load("w.packed")  # mapped, not copied
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from fusible import _core
from fusible.files import write_whole_bytes

Array = np.ndarray[Any, np.dtype[Any]]

MAGIC = b"fusiblPW"
VERSION = 1
HEADER = struct.Struct("<8sI12sQQQ32s")  # magic, version, dtype, N, K, bytes behind, digest
BEGIN = 4096  # where the weight begins in a file: a page, so that it can be mapped
ALIGNMENT = 64  # bytes, of a packed weight in memory
MOST = 1 << 46  # bytes of a weight in a file: more is damage

PACKED = ("f32", "bf16", "f16", "e4m3fn", "e4m3fnuz", "e5m2", "i8")

_NAMES = {numpy: text for text, numpy in _core.dtypes().items()}


class PackedWeight:
    """A weight [N, K] as kernels of products read it: `ops.matmul` takes it in place of the array.

    The layout is the same for every instruction set, so a file made on one machine is right on all
    little-endian ones. Make it with `pack_weight`, or `load` it.
    """

    __slots__ = ("_bytes", "_digest", "_dtype", "_shape")

    def __init__(self, data: Array, dtype: str, shape: tuple[int, int], digest: str) -> None:
        expected = _core.packed_bytes(dtype, shape)
        if data.nbytes != expected:
            raise _core.ArgumentError(
                f"PackedWeight: expected {expected} bytes for {dtype}{list(shape)}, "
                f"got {data.nbytes}"
            )
        self._bytes, self._dtype, self._shape, self._digest = data, dtype, shape, digest

    @property
    def dtype(self) -> str:
        """Of the weight, as in graph text: "bf16"."""
        return self._dtype

    @property
    def shape(self) -> tuple[int, int]:
        """Of the weight: (N, K)."""
        return self._shape

    @property
    def nbytes(self) -> int:
        """Bytes of the packed weight."""
        return int(self._bytes.nbytes)

    @property
    def digest(self) -> str:
        """SHA-256 of the weight's own elements, row by row: which weight this is."""
        return self._digest

    def __fusible_packed__(self) -> tuple[Array, str, tuple[int, int]]:
        return self._bytes, self._dtype, self._shape

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, (self._bytes, self._dtype, self._shape, self._digest)

    def __repr__(self) -> str:
        rows, depth = self._shape
        return f"<fusible.PackedWeight {self._dtype}[{rows}, {depth}] of {self._digest[:12]}>"

    def save(self, path: str | Path) -> None:
        """Writes it to a file, all of it or nothing."""
        head = HEADER.pack(
            *(MAGIC, VERSION, self._dtype.encode(), *self._shape, self.nbytes),
            bytes.fromhex(self._digest),
        )
        write_whole_bytes(Path(path), (head.ljust(BEGIN, b"\0"), self._bytes.data))

    @classmethod
    def load(cls, path: str | Path) -> PackedWeight:
        """Maps a file that `save` has written; its pages are read when they are first used.

        Args:
            path: the file. Nobody may change it while the weight is in use.

        Returns:
            The weight, on the file's own memory.

        Raises:
            ArgumentError: what is not such a file, or not of the size that it says, says how.
                What the weight's own bytes are is not looked at: that would read all of them.
        """
        with Path(path).open("rb") as file:
            dtype, shape, digest, count = _read_header(path, file.read(BEGIN))
            size = os.fstat(file.fileno()).st_size
            if size != BEGIN + count:
                raise _refused(path, f"{BEGIN + count} bytes", f"{size}")
            if count == 0:
                return cls(np.empty(0, np.int8), dtype, shape, digest)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return cls(np.frombuffer(mapped, np.int8, offset=BEGIN), dtype, shape, digest)


def pack_weight(w: Any) -> PackedWeight:
    """Packs a weight for products: this takes about as long as to copy it a few times.

    Args:
        w: an array [N, K] in f32, bf16, f16, fp8 or int8, whose rows may be apart; anything that
            operators take, as a tensor of PyTorch.

    Returns:
        The packed weight; w may go.

    Raises:
        ShapeError, DTypeError: w is not such an array.
    """
    array = _core.as_array(w)
    data = _core.pack_weight(array).view(np.int8)
    digest = hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).hexdigest()
    rows, depth = array.shape
    return PackedWeight(data, _NAMES[array.dtype.name], (rows, depth), digest)


def _copied(data: Array, dtype: str, shape: tuple[int, int], digest: str) -> PackedWeight:
    """The same weight in memory aligned as kernels want it: unpickled arrays lie anywhere."""
    room = np.empty(data.nbytes + ALIGNMENT, np.int8)
    begin = -room.ctypes.data % ALIGNMENT
    aligned = room[begin : begin + data.nbytes]
    aligned[:] = data
    return PackedWeight(aligned, dtype, shape, digest)


def _refused(path: str | Path, expected: str, got: str) -> _core.ArgumentError:
    return _core.ArgumentError(f"{path}: packed weight: expected {expected}, got {got}")


def _read_header(path: str | Path, head: bytes) -> tuple[str, tuple[int, int], str, int]:
    """Dtype, shape, digest, and bytes behind the header."""
    if head[: len(MAGIC)] != MAGIC:
        raise _refused(path, f"a file that begins with {MAGIC!r}", f"{head[: len(MAGIC)]!r}")
    if len(head) < BEGIN:
        raise _refused(path, f"{BEGIN} bytes and more", f"{len(head)}")
    _, version, name, rows, depth, count, digest = HEADER.unpack_from(head)
    if version != VERSION:
        raise _refused(path, f"version {VERSION}", f"{version}")
    dtype = name.rstrip(b"\0").decode("ascii", "replace")
    if dtype not in PACKED:
        raise _refused(path, f"one of {', '.join(PACKED)}", repr(dtype))
    if max(rows, depth, rows * depth, count) > MOST:
        raise _refused(path, f"at most {MOST} bytes", f"{rows} x {depth}")
    try:
        expected = _core.packed_bytes(dtype, (rows, depth))
    except _core.ShapeError as error:
        raise _core.ArgumentError(f"{path}: {error}") from None
    if count != expected:
        raise _refused(path, f"{expected} bytes for {dtype}[{rows}, {depth}]", f"{count}")
    return dtype, (rows, depth), digest.hex(), count
