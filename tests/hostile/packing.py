"""Packed nothing: gigabytes of one byte in deflate (RFC 1951), made in no time."""

from __future__ import annotations

import functools
import zlib

MB = 1024 * 1024
_ADLER = 65521


@functools.cache
def _block(byte: bytes) -> bytes:
    """A MB that refers to nothing before it, so that it can be repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(byte * MB) + packer.flush(zlib.Z_FULL_FLUSH)


def deflated(size: int, byte: bytes = b" ") -> bytes:
    """Raw deflate of `size` times `byte`."""
    whole, rest = divmod(size, MB)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return _block(byte) * whole + packer.compress(byte * rest) + packer.flush()


def zeros(size: int) -> bytes:
    """A zlib stream (RFC 1950) of so many zeros."""
    check = size % _ADLER << 16 | 1
    return b"\x78\xda" + deflated(size, b"\0") + check.to_bytes(4, "big")
