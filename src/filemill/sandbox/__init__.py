"""Every conversion in a process of its own that can reach nothing but its directory."""

from filemill.sandbox.box import Box

__all__ = ["Box"]
