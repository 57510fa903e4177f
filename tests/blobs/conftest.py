from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest
from obstore.store import MemoryStore, S3Store

from blobs.s3 import serving
from filemill.blobs import DiskBlobs, ObjectBlobs
from filemill.blobs.objects import CloudBlobs

_numbers = count(1)


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server."""
    with serving(tmp_path_factory.mktemp("s3") / "log") as url:
        yield url


@pytest.fixture
def bucket(s3_url: str) -> str:
    """The name of a new bucket."""
    name = f"bucket-{next(_numbers)}"
    httpx.put(f"{s3_url}/{name}").raise_for_status()
    return name


@pytest.fixture
def s3(s3_url: str, bucket: str) -> CloudBlobs:
    return CloudBlobs(s3_store(s3_url, bucket))


def s3_store(url: str, bucket: str) -> S3Store:
    return S3Store(
        bucket,
        endpoint=url,
        access_key_id="test",
        secret_access_key="test",
        region="us-east-1",
        client_options={"allow_http": True},
    )


@pytest.fixture(params=["disk", "s3", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectBlobs:
    if request.param == "disk":
        return DiskBlobs(tmp_path / "blobs")
    if request.param == "memory":
        return ObjectBlobs(MemoryStore())
    return request.getfixturevalue("s3")
