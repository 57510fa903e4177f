"""The HTTP door: parse, ask the service, render. HTTP types stop here."""
