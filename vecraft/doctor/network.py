"""Ports that a server started here would take, and who could reach it."""

from __future__ import annotations

import ipaddress
import socket

from vecraft.doctor.findings import Finding
from vecraft.settings import Settings

CHECK = "network"
_NEW_KEY = "export VECRAFT__SERVICE__API_KEY=$(openssl rand -hex 32)"
SECRET_BYTES_LEAST = 32  # RFC 7518, 3.2: of a key that signs by HS256


def ports_of(settings: Settings) -> dict[str, int]:
    """By the name of their setting; those that are switched off are left out."""
    wanted = {
        "service.http_port": settings.service.http_port,
        "service.grpc_port": settings.service.grpc_port,
        "service.metrics_port": settings.service.metrics_port,
        "cluster.p2p.port": settings.cluster.p2p.port if settings.cluster.enabled else None,
    }
    return {name: port for name, port in wanted.items() if port is not None}


def taken(host: str, ports: dict[str, int]) -> dict[str, str]:
    """Which of the ports cannot be listened on, and why."""
    return {name: reason for name, port in ports.items() if (reason := _refusal(host, port)) is not None}


def judge_ports(ports: dict[str, int], refused: dict[str, str]) -> list[Finding]:
    findings = []
    for name, reason in refused.items():
        port = ports[name]
        what = f"port {port} ({name}) cannot be listened on: {reason}"
        mend = f"ss -ltnp 'sport = :{port}'    # then stop that process, or set {name}"
        findings.append(Finding(CHECK, "error", what, "a server does not start here", mend))
    names = sorted(ports)
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            if ports[name] == ports[other]:
                what = f"{name} and {other} are both {ports[name]}"
                mend = f"set one of {name} and {other} to another port"
                findings.append(Finding(CHECK, "error", what, "a server does not start", mend))
    return findings


def judge_exposure(settings: Settings) -> list[Finding]:
    """Who may come in, where anybody could come from."""
    service, findings = settings.service, []
    keys = [key for key in (service.api_key, service.alt_api_key, service.read_only_api_key) if key]
    public = not is_local(service.host)
    if public and not keys:
        what = f"no API key is set, and the server listens on {service.host}"
        why = "whoever reaches that address reads, changes and deletes everything"
        mend = f"{_NEW_KEY}    # or VECRAFT__SERVICE__HOST=127.0.0.1"
        findings.append(Finding(CHECK, "warning", what, why, mend))
    if public and keys and not service.enable_tls:
        what = f"API keys travel over {service.host} without TLS"
        why = "whoever listens on the way has them"
        mend = "set service.enable_tls and tls.cert, tls.key; or end TLS in a proxy before it"
        findings.append(Finding(CHECK, "warning", what, why, mend))
    if service.jwt_rbac and any(len(key.encode()) < SECRET_BYTES_LEAST for key in keys):
        what = f"an API key that signs tokens has fewer than {SECRET_BYTES_LEAST} bytes"
        why = "it can be guessed from any token that it signed"
        findings.append(Finding(CHECK, "warning", what, why, _NEW_KEY))
    return findings


def is_local(host: str) -> bool:
    """Is it reached from this machine only?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refusal(host: str, port: int) -> str | None:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None
