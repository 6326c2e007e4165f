"""``python -m tests.sim.controller --seeds 2000``: many schedules, and what came of them.

The same seed gives the same run. ``--controls`` looks for the first seed that catches the controller with a
rule left out. Exits with 1 if an invariant failed, or the control was not caught.
"""

from __future__ import annotations

import sys

from tests.sim.controller.broken import VARIANTS, caught
from tests.sim.controller.world import World
from tests.sim.schedules import main

if __name__ == "__main__":
    sys.exit(main("tests.sim.controller", __doc__, World, World.run, VARIANTS, caught))
