"""The engines of this host, ready to convert: what the server and the command line share.

Composition root for everything but stores and queues, so that a local conversion
does not load a database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filemill.conversion import Converter
from filemill.cores import Cores
from filemill.engines import ENGINES
from filemill.inventory import Inventory
from filemill.limits import Ceilings
from filemill.planner import Graph
from filemill.probes import MODULES, Probes
from filemill.sandbox import Box
from filemill.sandbox.landlock import abi
from filemill.settings import Settings, ceilings


@dataclass(frozen=True, slots=True)
class Workshop:
    inventory: Inventory
    graph: Graph
    ceilings: Ceilings

    @classmethod
    def here(cls) -> Workshop:
        """What this host can do; starts nothing."""
        landlock = abi() > 0 or Settings().without_landlock == "allow"
        inventory = Inventory.of(ENGINES, landlock=landlock)
        return cls(inventory, Graph(inventory.engines), ceilings())

    @contextmanager
    def open(
        self,
        *,
        preload: bool,
        cores: int | None = None,
        wall: float | None = None,
        output: int | None = None,
        spares: int = 0,
        tasks: int = 1,
        rooms: Path | None = None,
    ) -> Iterator[Converter]:
        """A converter with its sandbox running.

        `preload` loads the engines' libraries ahead: right for a server, a waste for one file.
        `cores` for all conversions together; default: this process's. `wall`: cap on the time
        of one process, seconds. `output`: the largest file one may write, bytes. `spares`: how
        many processes of each slow program wait ready, in the folder `rooms`; each does so many
        `tasks`."""
        # Our own modules too: a worker would spend 3 times a small picture's time on them.
        ours = ("filemill.engines", *MODULES)
        modules = (*ours, *self.inventory.modules) if preload else ()
        reads = self.inventory.reads
        engines = dict(self.graph.engines)
        if output is not None:
            for name, engine in engines.items():
                engines[name] = replace(engine, limits=engine.limits.writing(output))
        standby = [(e.standby(), e.limits) for e in engines.values() if e.standby]
        with Box.start(
            self.inventory.tools,
            modules,
            reads=reads,
            standby=standby if spares else (),
            spares=spares,
            tasks=tasks,
            rooms=rooms,
        ) as box:
            yield Converter(
                engines=engines,
                sandbox=box,
                probe=Probes(self.ceilings),
                ceilings=self.ceilings,
                cores=Cores(cores or len(os.sched_getaffinity(0))),
                wall=wall,
            )
