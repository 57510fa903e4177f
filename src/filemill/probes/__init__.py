"""Probes: reading the `Facts` of a file, one module a kind of file.

Each is a function `probe(report, path, format) -> dict` that runs in a sandboxed
worker process, reads headers and structure, never decodes more than it must,
and raises `FileInvalid` for a file it cannot make sense of.
"""
