"""Blobs: where files rest. One class a kind of store, chosen by URL."""

from filemill.blobs.disk import DiskBlobs
from filemill.blobs.objects import ObjectBlobs, open_blobs

__all__ = ["DiskBlobs", "ObjectBlobs", "open_blobs"]
