"""What Debian's ``promtool`` says of our metrics and rules."""

from __future__ import annotations

import subprocess

# Names that Qdrant's monitoring has and a linter would have otherwise: there is no changing them.
QDRANT_NAMES = {
    "collections_total",
    "collections_vector_total",
    "cluster_peers_total",
    "cluster_term",
    "cluster_commit",
    "cluster_pending_operations_total",
    "cluster_last_update_timestamp_seconds",
}


def check_metrics(text: str) -> set[str]:
    """The metrics that are not as the linter would have them. Fails the test if the text is no exposition."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    lint = done.stderr.splitlines()
    assert done.returncode in (0, 3), done.stderr
    return {line.split()[0] for line in lint}
