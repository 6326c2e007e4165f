"""``python -m tests.sim.replication --seeds 2000``: many schedules, and what came of them.

The same seed gives the same run. ``--controls`` looks for the first seed that catches each of the broken
variants (ceasing to be live does not count as caught). Exits with 1 if an invariant failed, or a
control was not caught.
"""

from __future__ import annotations

import sys

from tests.sim.replication.broken import VARIANTS, caught
from tests.sim.replication.world import World
from tests.sim.schedules import main


def caught_unsafe(name: str, seed: int) -> str | None:
    what = caught(name, seed)
    return what if what and "liveness" not in what else None


if __name__ == "__main__":
    sys.exit(
        main(
            "tests.sim.replication",
            __doc__,
            World,
            World.check_all,
            VARIANTS,
            caught_unsafe,
            moment=lambda world: f" at {world.now:.1f} ms",
        )
    )
