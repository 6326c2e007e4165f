"""The API server as far as pods ask it: one StatefulSet and some machines, for those with the token."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests.certificates import HOST, Authority
from tests.vecraft.commands.server import Answer, Asked, serving

TOKEN = "token-of-the-account"


@dataclass
class KubernetesApi:
    """What it answers may be changed at any time. ``replicas`` None: there is no such StatefulSet.

    ``account``: a directory with the token and the CA, as pods have it; ``environment``: where the server is.
    """

    account: Path
    name: str = "vecraft"
    namespace: str = "default"
    replicas: int | None = 3
    deleted: bool = False
    failing: bool = False
    nodes: dict[str, dict[str, str]] = field(default_factory=dict)  # name → labels
    environment: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, asked: Asked) -> Answer:
        if self.failing:
            return _answer(500, {"message": "etcd is gone"})
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _answer(401, {"message": "Unauthorized"})
        if asked.path == f"/apis/apps/v1/namespaces/{self.namespace}/statefulsets/{self.name}":
            return self._stateful_set()
        labels = self.nodes.get(asked.path.removeprefix("/api/v1/nodes/"))
        if labels is None:
            return _answer(404, {"message": "not found"})
        return _answer(200, {"kind": "Node", "metadata": {"labels": labels}})

    def _stateful_set(self) -> Answer:
        if self.replicas is None:
            return _answer(404, {"message": "not found"})
        metadata = {
            "name": self.name,
            **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if self.deleted else {}),
        }
        return _answer(
            200, {"kind": "StatefulSet", "metadata": metadata, "spec": {"replicas": self.replicas}}
        )

    def pod(self, ordinal: int, node: str = "machine") -> dict[str, str]:
        """A pod's variables."""
        own = {"POD_NAME": f"{self.name}-{ordinal}", "POD_NAMESPACE": self.namespace, "NODE_NAME": node}
        return {**self.environment, **own}


@contextmanager
def kubernetes_api(directory: Path, *, host: str = HOST, **options: Any) -> Iterator[KubernetesApi]:
    authority = Authority(directory / "authority", host=host)
    account = directory / "account"
    account.mkdir(parents=True)
    (account / "token").write_text(TOKEN)
    (account / "ca.crt").write_bytes(authority.certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.settings.cert, authority.settings.key)
    api = KubernetesApi(account, **options)
    with serving(api.answer, tls, host) as server:
        host, _, port = server.url.removeprefix("https://").rpartition(":")
        api.environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        api.asked = server.asked
        yield api


def _answer(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status=status, raw=msgspec.json.encode(body))
