"""Kubernetes, as one of its pods sees it: which pod this is, and what it asks the API server. Reads only.

Lives here: a pod's name and account, the requests, the few fields of the answers that count. May not live
here: what follows from them (``vecraft.commands.pod``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
import urllib3
from msgspec import Struct
from urllib3.exceptions import HTTPError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where a pod finds its token and the CA
ANSWER_S = 5.0
TRIES = 3

T = TypeVar("T")


class NoAnswer(Exception):
    """The API server cannot be asked, or refused; one line says why."""


class Pod(Struct, frozen=True):
    """As the manifest's variables tell it: POD_NAME, POD_NAMESPACE, NODE_NAME."""

    name: str
    namespace: str
    node: str

    @property
    def set_name(self) -> str:
        return self.name.rpartition("-")[0]

    @property
    def ordinal(self) -> int:
        """Raises: ValueError if this is no pod of a StatefulSet."""
        found = re.fullmatch(r".+-(\d+)", self.name)
        if found is None:
            raise ValueError(f"POD_NAME={self.name!r} is not the name of a StatefulSet's pod")
        return int(found[1])


def this_pod(environ: Mapping[str, str]) -> Pod:
    return Pod(environ.get("POD_NAME", ""), environ.get("POD_NAMESPACE", ""), environ.get("NODE_NAME", ""))


class Metadata(Struct, frozen=True, rename="camel"):
    labels: dict[str, str] = {}
    deletion_timestamp: str | None = None


class Ordinals(Struct, frozen=True):
    start: int = 0


class StatefulSetSpec(Struct, frozen=True):
    replicas: int = 1
    ordinals: Ordinals = Ordinals()


class StatefulSet(Struct, frozen=True):
    metadata: Metadata = Metadata()
    spec: StatefulSetSpec = StatefulSetSpec()


class Node(Struct, frozen=True):
    metadata: Metadata = Metadata()


class Api:
    """The API server, asked as the pod's service account, whose token is read anew each time: it expires."""

    def __init__(self, environ: Mapping[str, str], account: Path = ACCOUNT) -> None:
        host = environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
        port = environ.get("KUBERNETES_SERVICE_PORT", "443")
        self._url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        self._account = account
        retry = urllib3.Retry(total=TRIES - 1, backoff_factor=0.2, status_forcelist={429, 500, 503})
        self._pool = urllib3.PoolManager(
            cert_reqs="CERT_REQUIRED", ca_certs=str(account / "ca.crt"), timeout=ANSWER_S, retries=retry
        )

    def stateful_set(self, namespace: str, name: str) -> StatefulSet | None:
        """None: there is none of this name. Raises: NoAnswer."""
        return self._get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}", StatefulSet)

    def node(self, name: str) -> Node | None:
        """None: there is none of this name. Raises: NoAnswer."""
        return self._get(f"/api/v1/nodes/{name}", Node)

    def _get(self, path: str, kind: type[T]) -> T | None:
        try:
            token = (self._account / "token").read_text(encoding="utf-8").strip()
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
            answer = self._pool.request("GET", self._url + path, headers=headers, redirect=False)
        except (HTTPError, OSError) as error:
            raise NoAnswer(f"no answer from {self._url}{path}: {error}") from error
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise NoAnswer(f"{self._url}{path} was refused with HTTP {answer.status}")
        try:
            return msgspec.json.decode(answer.data, type=kind)
        except msgspec.DecodeError as error:
            raise NoAnswer(f"{self._url}{path} did not answer as expected: {error}") from error
