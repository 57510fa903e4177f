"""Where long work is cut. Floor 1, pure.

Costs are seconds of one core, from pictures and pixels; the speeds are estimates that
only have to be right within a factor of two or three (`bench/parallel.py` can check them).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from filemill.model import Facts

LEAST = 3
"""Parts; for fewer the join is not worth it."""
MOST = 250
SHORTEST = 1.0
"""Seconds of film in a part: each begins with a whole picture, which is large."""
MARGIN = Fraction(1, 4)
"""Of a picture: cuts lie so much before one, so that rounded times fall on the right side."""
DECODED = 120e6
"""Pixels a second of one core."""
ENCODED: Mapping[str, Mapping[str, float]] = {
    "h264": {"fast": 60e6, "balanced": 20e6, "smaller": 10e6},
    "hevc": {"fast": 15e6, "balanced": 5e6, "smaller": 1.5e6},
    "vp9": {"fast": 30e6, "balanced": 4e6, "smaller": 1e6},
    "av1": {"fast": 20e6, "balanced": 10e6, "smaller": 3e6},
}
"""Codec -> effort -> pixels a second of one core."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive pictures of a film."""

    begin: float
    """When, seconds from the beginning of the file; a little before its first picture."""
    length: float | None
    """Seconds; None: to the end."""
    pictures: int | None
    """None: as many as are left."""
    micros: int
    """Exactly how much of the joined film it fills, microseconds."""


def film(
    facts: Facts, codec: str, effort: str, pixels: int, grain: float
) -> tuple[Segment, ...] | None:
    """Segments that take about `grain` seconds each; None: it does not pay, or the film's
    pictures do not come at equal times. `pixels`: of a picture of the result."""
    if not (facts.rate and facts.duration and facts.width and facts.height):
        return None
    rate = Fraction(facts.rate)
    pictures = facts.frames or int(facts.duration * rate)
    cost = pictures * (
        facts.width * facts.height / DECODED + pixels / ENCODED[codec].get(effort, 1e6)
    )
    parts = min(int(cost / grain), int(facts.duration / SHORTEST), MOST)
    if parts < LEAST:
        return None
    firsts = [pictures * number // parts for number in range(parts)]
    delay = Fraction(facts.delay or 0).limit_denominator(1_000_000)

    def segments() -> Iterator[Segment]:
        for first, following in zip(firsts, [*firsts[1:], None], strict=True):
            begin = delay + (first - MARGIN) / rate if first else Fraction(0)
            micros = round((following or pictures) / rate * 10**6) - round(first / rate * 10**6)
            if following is None:
                yield Segment(float(begin), None, None, micros)
            else:
                end = delay + (following - MARGIN) / rate
                yield Segment(float(begin), float(end - begin), following - first, micros)

    return tuple(segments())


def ranges(count: int, seconds: float, grain: float) -> tuple[range, ...] | None:
    """`count` things of `seconds` each, in ranges of at least two that take about `grain`
    seconds; None: it does not pay."""
    parts = min(int(count * seconds / grain), count // 2, MOST)
    if parts < LEAST:
        return None
    edges = [count * number // parts for number in range(parts + 1)]
    return tuple(map(range, edges, edges[1:]))
