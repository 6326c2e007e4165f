"""Benchmarks with bars: ``python -m vecraft.bench PART``; the parts are listed by ``--help``.

Lives here: a module or package per part, and what the parts share: sets of vectors with their truth
(``data``, ``sets``), engines in process (``engines``), a real server (``server``), curves and drawings
(``curves``, ``plot``), reports with bars (``report``). A bar that is missed makes the exit status 1, so
that a regression fails where benchmarks are run.
May not live here: anything the server needs.

Invariants: data is the same for the same arguments (seeded); what was measured and on how much data is
always in the output; processes started here are ended here.
"""
