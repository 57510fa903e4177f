"""filemill: a self-hosted file conversion service."""

__version__ = "0.1.0"
