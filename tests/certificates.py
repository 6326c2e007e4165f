"""Certificates for tests: an authority, and files as ``tls`` names them."""

from __future__ import annotations

import os
from pathlib import Path

import trustme

from vecraft.settings import TlsSettings

HOST = "127.0.0.1"


class Authority:
    """``issue`` puts a new certificate, its key and the authority's certificate where ``settings`` says."""

    def __init__(self, directory: Path, *, host: str = HOST) -> None:
        self._host = host
        directory.mkdir(parents=True, exist_ok=True)
        self._authority = trustme.CA()
        self._directory = directory
        self.settings = TlsSettings(
            cert=str(directory / "cert.pem"),
            key=str(directory / "key.pem"),
            ca_cert=str(directory / "cacert.pem"),
            cert_ttl=1,
        )
        self.issue()

    @property
    def certificate(self) -> bytes:
        return self._authority.cert_pem.bytes()

    def pair(self) -> tuple[bytes, bytes]:
        """A new certificate and its key."""
        made = self._authority.issue_cert(self._host, "localhost")
        return made.cert_chain_pems[0].bytes(), made.private_key_pem.bytes()

    def issue(self) -> bytes:
        """Returns: the certificate."""
        certificate, key = self.pair()
        self.put("cacert.pem", self.certificate)
        self.put("key.pem", key)
        self.put("cert.pem", certificate)
        return certificate

    def put(self, name: str, data: bytes) -> None:
        """In one step, as tools that renew certificates do."""
        made = self._directory / f"{name}.new"
        made.write_bytes(data)
        os.replace(made, self._directory / name)
