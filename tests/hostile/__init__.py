"""Attacks: files made to read, call out, swell, hang or break, and what comes of them."""
