"""What the YAML at the head of a text asks for (YAML 1.2), before a parser that follows its
aliases reads it: a few lines of them make billions of values.
"""

from __future__ import annotations

from pathlib import Path

from filemill.limits import Ceilings, refuse

_MARK = "---"


def bounded(path: Path, encoding: str, ceilings: Ceilings) -> None:
    """Raises `LimitExceeded` where the front matter has too many values, those that aliases
    repeat counted each time, or is nested too deep. What is no YAML is left to the reader."""
    with path.open(encoding=encoding, errors="replace") as file:
        first = file.readline(64)
        if first.rstrip() != _MARK:
            return
        import yaml

        inside: list[tuple[str | None, int]] = []
        """Of each collection that is open: its anchor, and the sum when it began."""
        named: dict[str | None, int] = {}
        total = 0
        try:
            for event in yaml.parse(file, yaml.CSafeLoader):
                if isinstance(event, yaml.DocumentEndEvent):
                    return
                if isinstance(event, yaml.AliasEvent):
                    total += named.get(event.anchor, 1)
                elif isinstance(event, yaml.ScalarEvent):
                    total += 1
                    if event.anchor:
                        named[event.anchor] = 1
                elif isinstance(event, yaml.CollectionStartEvent):
                    inside.append((event.anchor, total))
                    total += 1
                elif isinstance(event, yaml.CollectionEndEvent):
                    anchor, before = inside.pop()
                    if anchor:
                        named[anchor] = total - before
                _check(total, len(inside), ceilings)
        except yaml.YAMLError:
            return


def _check(values: int, depth: int, ceilings: Ceilings) -> None:
    for limit, value, allowed, message in (
        ("front_matter", values, ceilings.front_matter, "holds more than {allowed} values"),
        ("json_depth", depth, ceilings.json_depth, "is nested more than {allowed} deep"),
    ):
        refuse(
            limit,
            value,
            allowed,
            f"The metadata at its head {message}.",
            "Take out what repeats itself.",
        )
