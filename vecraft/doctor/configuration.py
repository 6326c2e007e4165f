"""Does the configuration say what its author means?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vecraft.configuration import ConfigurationError, Loaded, load
from vecraft.doctor.findings import Finding
from vecraft.settings import unmet, without_effect

CHECK = "configuration"


def examine(
    directory: Path, environ: Mapping[str, str], config_path: Path | None
) -> tuple[Loaded | None, list[Finding]]:
    """What a server started here would use; None: it would not start."""
    try:
        loaded = load(directory=directory, environ=environ, config_path=config_path)
    except ConfigurationError as error:
        return None, [_error(line) for line in str(error).splitlines()]
    findings = [_error(problem) for problem in unmet(loaded.settings)]
    findings += [_ignored(problem) for problem in loaded.warnings + without_effect(loaded.settings)]
    return loaded, findings


def _error(problem: str) -> Finding:
    return Finding(
        CHECK, "error", problem, "a server does not start with it", "correct that value where it is set"
    )


def _ignored(problem: str) -> Finding:
    why = "it does nothing, and what was meant by it does not happen"
    return Finding(CHECK, "warning", problem, why, "correct or remove that key where it is set")
