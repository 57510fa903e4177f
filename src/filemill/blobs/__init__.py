"""Blobs: where files rest. One class a kind of store, chosen by URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from obstore.store import AzureStore, GCSStore, S3Store, from_url

from filemill.blobs.disk import DiskBlobs
from filemill.blobs.objects import CloudBlobs, ObjectBlobs

__all__ = ["DiskBlobs", "ObjectBlobs", "open_blobs"]


def open_blobs(url: str, *, spool: Path | None = None) -> ObjectBlobs:
    """The blobs at `url`: `s3://bucket/prefix`, `gs://...`, `az://...`, or `file:///folder` (one
    that hosts share). Credentials come from the usual variables of the store
    (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...). `spool`: a local folder for what is on its way."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return DiskBlobs(Path(unquote(parts.path)))
    store = from_url(url)
    if isinstance(store, S3Store | GCSStore | AzureStore):
        return CloudBlobs(store, spool=spool)
    return ObjectBlobs(store, spool=spool)
