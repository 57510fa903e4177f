"""What the core needs from the outside, as Protocols: a module a thing. Floor 1.

Each is as small as the core allows; what only some adapters can do is a Protocol
of its own that an adapter may have besides.
"""
