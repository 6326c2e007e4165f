"""Benchmarks with bars: ``python -m vecraft.bench {recall,startup,engine}``.

Lives here: loading or generating data, driving a real server over REST, measuring, reporting. A bar that
is missed makes the exit status 1, so that a regression fails where benchmarks are run.
May not live here: anything the server needs.

Invariants: data is the same for the same arguments (seeded); what was measured and on how much data is
always in the output; processes started here are ended here.
"""
