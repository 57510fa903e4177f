"""2,000 mixed conversions through the server, a tenth hostile: is it at the end as at the start?

.venv/bin/python -m bench.soak [COUNT]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hostile.soaking import lines, soak
from hostile.traps import planted


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with planted() as traps, tempfile.TemporaryDirectory() as folder:
        for line in lines(soak(count, traps, Path(folder), warm_up=200)):
            print(line)


if __name__ == "__main__":
    main()
