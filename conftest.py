"""What all tests share: examples are the same in every run, unless new ones are asked for (`make fuzz`)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# How long an example takes is the machine's affair, and says nothing about the code.
settings.register_profile(
    "fixed", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fuzz", print_blob=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
