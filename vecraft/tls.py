"""Certificates, re-read while the process runs (reference 5.3).

Lives here: reading the files of ``tls`` and noticing that they are others now, and the forms in which the
listeners and the peers take them: an ``SSLContext`` for REST and gRPC, gRPC's credentials between nodes.

Files are looked at when a connection is made, at most once a second, and read anew when one of them has
changed or ``tls.cert_ttl`` has run out. What cannot be used (a certificate without its key yet, say) is told
once and changes nothing: the last good ones go on. Connections that stand keep what they began with.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
from msgspec import Struct

from node.peer.security import PeerSecurity
from protos.logger import get_logger
from vecraft.ending import CannotStart
from vecraft.settings import ServiceSettings, Settings, TlsSettings

LOOK_S: Final = 1.0  # between looks at the files

_log = get_logger(__name__)
_Seen = tuple[tuple[int, int, int], ...]  # of each file: inode, size, time of change


class Certificates(Struct, frozen=True):
    """What the files held at one time; ``authority``: who signs certificates of others, None: nobody is asked
    for one. ``http`` and ``grpc``: for listening."""

    certificate: bytes
    key: bytes
    authority: bytes | None
    http: ssl.SSLContext
    grpc: ssl.SSLContext


class CertificateFiles:
    """``mutual``: whoever connects must show a certificate of ``tls.ca_cert``. Use from any thread."""

    def __init__(
        self, tls: TlsSettings, *, mutual: bool, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises: CannotStart if the files cannot be used."""
        self._tls, self._mutual, self._monotonic_s = tls, mutual, monotonic_s
        self._paths = [Path(tls.cert), Path(tls.key), *([Path(tls.ca_cert)] if mutual else [])]
        self._lock = threading.Lock()
        try:
            self._seen = self._look()
            self._current = self._read()
        except (OSError, ValueError) as error:
            raise CannotStart(f"the certificates of tls.cert and tls.key cannot be used: {error}") from error
        self._looked_s = self._read_s = monotonic_s()

    @property
    def mutual(self) -> bool:
        return self._mutual

    def current(self) -> Certificates:
        """Those to show to whoever connects now."""
        with self._lock:
            if self._tls.cert_ttl is not None:
                self._refresh(self._tls.cert_ttl, self._monotonic_s())
            return self._current

    def _refresh(self, ttl_s: float, now_s: float) -> None:
        if now_s - self._looked_s < min(LOOK_S, ttl_s):
            return
        self._looked_s = now_s
        try:
            seen = self._look()
            if seen == self._seen and now_s - self._read_s < ttl_s:
                return
            self._seen, self._read_s = seen, now_s
            found = self._read()
        except (OSError, ValueError) as error:
            _log.error("certificate_not_replaced", paths=list(map(str, self._paths)), error=str(error))
            return
        if found.certificate != self._current.certificate:
            _log.info("certificate_replaced", path=self._tls.cert)
        self._current = found

    def _look(self) -> _Seen:
        return tuple(
            (found.st_ino, found.st_size, found.st_mtime_ns) for found in map(Path.stat, self._paths)
        )

    def _read(self) -> Certificates:
        """Raises: OSError, ValueError (``ssl.SSLError`` is the former)."""
        certificate, key, *authority = (path.read_bytes() for path in self._paths)
        http, grpc = self._context("http/1.1"), self._context("h2")
        if [certificate, key, *authority] != [path.read_bytes() for path in self._paths]:
            raise ValueError("the files changed while they were read")
        return Certificates(certificate, key, authority[0] if authority else None, http, grpc)

    def _context(self, protocol: str) -> ssl.SSLContext:
        """``protocol``: what is spoken over it, as ALPN calls it."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._tls.cert, self._tls.key, password=_no_password)
        context.set_alpn_protocols([protocol])
        if self._mutual:
            context.load_verify_locations(self._tls.ca_cert)
            context.verify_mode = ssl.CERT_REQUIRED
            context.num_tickets = 0  # a session taken up again would not show its certificate again
            context.options |= ssl.OP_NO_TICKET
        return context


def _no_password() -> str:
    raise ValueError("tls.key is protected by a password, which nobody can be asked for")


# --- the forms it takes ------------------------------------------------------------------------------------


def http_context(files: CertificateFiles) -> ssl.SSLContext:
    """For a listener: each handshake goes on with the certificates of its time."""
    return _renewed(lambda: files.current().http)


def grpc_context(files: CertificateFiles) -> ssl.SSLContext:
    """As ``http_context``."""
    return _renewed(lambda: files.current().grpc)


def _renewed(current: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    def renew(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _first: ssl.SSLContext) -> None:
        connection.context = current()

    first = current()
    first.sni_callback = renew  # called whether or not a name is asked for
    return first


def server_credentials(files: CertificateFiles) -> Any:
    """For a gRPC server of other nodes, which asks at each handshake."""
    served = files.current()

    def fetch() -> Any:
        nonlocal served
        found = files.current()
        if found is served:
            return None
        served = found
        return _configuration(found)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(served), fetch, require_client_authentication=files.mutual
    )


def _configuration(found: Certificates) -> Any:
    pair = (found.key, found.certificate)
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=found.authority)


def channel_credentials(files: CertificateFiles) -> Any:
    """For a channel that is made now, to a member of the same authority."""
    found = files.current()
    return grpc.ssl_channel_credentials(found.authority, found.key, found.certificate)


# --- from settings -----------------------------------------------------------------------------------------


def public_certificates(settings: Settings) -> CertificateFiles | None:
    """Of REST and the public gRPC; None: they listen in plain text. Raises: CannotStart."""
    if not settings.service.enable_tls:
        return None
    return CertificateFiles(settings.tls, mutual=settings.service.verify_https_client_certificate)


def peer_security(settings: Settings) -> PeerSecurity:
    """Raises: CannotStart."""
    service = settings.service
    key, accepted = service.api_key or service.alt_api_key or None, _accepted(service)
    if not settings.cluster.p2p.enable_tls:
        return PeerSecurity(api_key=key, accepted=accepted)
    files = CertificateFiles(settings.tls, mutual=True)
    return PeerSecurity(lambda: channel_credentials(files), lambda: server_credentials(files), key, accepted)


def _accepted(service: ServiceSettings) -> tuple[str, ...]:
    if not service.enforce_internal_auth:
        return ()
    return tuple(key for key in (service.api_key, service.alt_api_key) if key)
