"""``python -m tests.sim.resharding --seeds 500``: many schedules, and what came of them.

The same seed gives the same run. ``--controls`` looks for the first seed that catches each of the broken
variants. Exits with 1 if an invariant failed, or a control was not caught.
"""

from __future__ import annotations

import logging
import sys

from tests.sim.resharding.broken import VARIANTS, caught
from tests.sim.resharding.world import World
from tests.sim.schedules import main

if __name__ == "__main__":
    logging.disable()
    sys.exit(main("tests.sim.resharding", __doc__, World, World.run, VARIANTS, caught))
