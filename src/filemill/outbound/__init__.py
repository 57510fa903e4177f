"""Requests to addresses that clients name: webhooks, imports, exports. Floor 2, an adapter.

Whoever names an address must not reach with it what only this host can reach.
`addresses` decides, purely; `client` asks it about every connection it makes.
"""

from filemill.outbound.addresses import Target, check_url, refusal
from filemill.outbound.client import Download, Outbound

__all__ = ["Download", "Outbound", "Target", "check_url", "refusal"]
