"""Streams end before the disk is full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from filemill.disk import LOOK, Watermark
from filemill.errors import ServiceUnavailable

MB = 1 << 20


async def stream(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(MB)


async def received(mark: Watermark, count: int) -> int:
    return sum([len(chunk) async for chunk in mark.watching(stream(count))])


def test_a_long_stream_ends_where_there_is_no_more_room(tmp_path: Path) -> None:
    full = Watermark(tmp_path, min_free=1 << 60)
    assert asyncio.run(received(full, LOOK // MB)) == LOOK, "its beginning was let in"
    with pytest.raises(ServiceUnavailable):
        asyncio.run(received(full, LOOK // MB + 1))
    assert asyncio.run(received(Watermark(tmp_path, min_free=0), 40)) == 40 * MB
