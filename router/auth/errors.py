"""Callers who are not who they would have to be (reference 1.3, 5.1). Their texts are shown as they are.

Known callers who may not do what they ask raise ``protos.errors.Forbidden``.
"""

from __future__ import annotations

from protos.errors import VecraftError


class NotAuthenticated(VecraftError):
    """No credentials, or none that this server gave out: 401."""


class TokenRefused(NotAuthenticated):
    """A token that was good once, or elsewhere: 403."""


def no_credentials() -> NotAuthenticated:
    return NotAuthenticated("Must provide an API key or an Authorization bearer token")


def bad_credentials() -> NotAuthenticated:
    return NotAuthenticated("Invalid API key or JWT")
