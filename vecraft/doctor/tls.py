"""The files of TLS: there, readable, belonging together, not about to expire."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from vecraft.doctor.findings import Finding
from vecraft.settings import Settings

CHECK = "tls"
EXPIRES_SOON = timedelta(days=30)


def examine(settings: Settings, now: datetime) -> list[Finding]:
    """Nothing is wrong with files that nobody uses."""
    service, p2p, tls = settings.service, settings.cluster, settings.tls
    between_peers = p2p.enabled and p2p.p2p.enable_tls
    if not (service.enable_tls or between_peers):
        return []
    certificate, key = Path(tls.cert), Path(tls.key)
    findings = [*_readable(certificate, "tls.cert"), *_readable(key, "tls.key")]
    if not findings:
        findings += _pair(certificate, key) + _expiry(certificate, "tls.cert", now) + _secrecy(key)
    if between_peers or service.verify_https_client_certificate:
        authority = Path(tls.ca_cert)
        missing = _readable(authority, "tls.ca_cert")
        findings += missing or _expiry(authority, "tls.ca_cert", now)
    return findings


def _readable(path: Path, name: str) -> list[Finding]:
    try:
        path.read_bytes()
    except OSError as error:
        what = f"{path} ({name}) cannot be read: {(error.strerror or str(error)).lower()}"
        return [_error(what, f"set {name} to a file in PEM that this user may read: ls -l {path}")]
    return []


def _pair(certificate: Path, key: Path) -> list[Finding]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        what = f"{key} is not the key of {certificate}, or one of them is no PEM: {error}"
        mend = f"openssl x509 -noout -pubkey -in {certificate}; openssl pkey -pubout -in {key}    # equal?"
        return [_error(what, mend)]
    return []


def _no_password() -> str:
    raise ValueError("the key is encrypted, and nobody is there to be asked for its password")


def _expiry(path: Path, name: str, now: datetime) -> list[Finding]:
    """Of every certificate in the file."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as error:
        return [
            _error(f"{path} ({name}) holds no certificate in PEM: {error}", f"set {name} to one that does")
        ]
    findings = []
    for each in found:
        subject = each.subject.rfc4514_string() or "no name"
        left = each.not_valid_after_utc - now
        mend = f"renew it; it is read again every tls.cert_ttl seconds: openssl x509 -noout -dates -in {path}"
        if left < timedelta():
            what = f"the certificate of {subject} in {path} expired {-left.days} days ago"
            findings.append(_error(what, mend))
        elif each.not_valid_before_utc > now:
            what = f"the certificate of {subject} in {path} is not valid before {each.not_valid_before_utc}"
            findings.append(_error(what, "set the clock: timedatectl set-ntp true"))
        elif left < EXPIRES_SOON:
            what = f"the certificate of {subject} in {path} expires in {left.days} days"
            findings.append(Finding(CHECK, "warning", what, "clients and peers will refuse it then", mend))
    return findings


def _secrecy(key: Path) -> list[Finding]:
    if key.stat().st_mode & (stat.S_IRWXO):
        why = "whoever can read it can pose as this server"
        return [Finding(CHECK, "warning", f"{key} can be read by everybody here", why, f"chmod o-rwx {key}")]
    return []


def _error(what: str, mend: str) -> Finding:
    return Finding(CHECK, "error", what, "the server does not start, or nobody connects to it", mend)


def now_utc() -> datetime:
    return datetime.now(UTC)
