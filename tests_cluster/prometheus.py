"""Debian's Prometheus on loopback, with the rules we ship, watching the nodes of a cluster."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml

from tests.live import ROOT, wait_for
from tests.ports import free_port

RULES = ROOT / "deploy/prometheus/vecraft-rules.yml"
INTERVAL = "250ms"  # of scrapes and rules
READY_S_MAX = 30.0


class Prometheus:
    """As a context manager. Alerts fire as soon as their condition has held for a second."""

    def __init__(self, directory: Path, targets: Sequence[str]) -> None:
        """``targets``: ``host:port`` of each node."""
        self._directory = directory
        self._port = free_port()
        self._targets = list(targets)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Prometheus:
        self._configure()
        with (self._directory / "prometheus.log").open("wb") as output:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self._directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for(self._is_ready, seconds=READY_S_MAX, what="Prometheus to be ready")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def firing(self, name: str) -> list[dict[str, str]]:
        """The labels of each alert of that name that fires now."""
        alerts = self._get("alerts")["alerts"]
        return [
            alert["labels"]
            for alert in alerts
            if alert["state"] == "firing" and alert["labels"]["alertname"] == name
        ]

    def scraped(self) -> dict[str, str]:
        """By target: how its last scrape went."""
        return {
            target["labels"]["instance"]: target["lastError"] or target["health"]
            for target in self._get("targets")["activeTargets"]
        }

    def _configure(self) -> None:
        rules = re.sub(r"for: \w+", "for: 1s", RULES.read_text())
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "rules.yml").write_text(rules)
        configuration = {
            "global": {
                "scrape_interval": INTERVAL,
                "scrape_timeout": INTERVAL,
                "evaluation_interval": INTERVAL,
            },
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "vecraft", "static_configs": [{"targets": self._targets}]}],
        }
        (self._directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "prometheus.log").read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _get(self, what: str) -> dict[str, Any]:
        answer = httpx.get(f"http://127.0.0.1:{self._port}/api/v1/{what}").raise_for_status()
        data: dict[str, Any] = answer.json()["data"]
        return data
