"""The durable engine: runs that survive whatever is killed."""

from filemill.durable.queue import DurableQueue, Lock

__all__ = ["DurableQueue", "Lock"]
