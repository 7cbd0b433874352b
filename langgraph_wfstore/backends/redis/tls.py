"""What ends the way to a server by TLS for good: certificates that one of both does not accept."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator
from typing import Any

from ...errors import WfStoreError

FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
# In the handshake, or before it: nothing has reached Redis. What breaks a connection later may pass.
_FINAL = (
    "CERTIFICATE",
    "UNKNOWN_CA",
    "HANDSHAKE_FAILURE",
    "ALERT_PROTOCOL_VERSION",
    "UNSUPPORTED_PROTOCOL",
    "WRONG_VERSION_NUMBER",
    "KEY_VALUES_MISMATCH",
    "PEM lib",
)


def refusal(error: BaseException) -> str | None:
    """Why there is no TLS with a server and what to do, if trying again cannot help; None otherwise.

    Args:
        error: what redis-py raised; its causes are looked at.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"has a certificate that is not accepted ({cause.verify_message}); ssl_ca_certs in the URL names the "
                "file with the authority to trust, and the host must be one that the certificate is for"
            )
        if isinstance(cause, ssl.SSLError) and any(word in str(cause) for word in _FINAL):
            return (
                f"and this client did not agree on TLS ({cause}); in the URL, ssl_certfile, ssl_keyfile and "
                "ssl_password are for the client's own certificate, ssl_ca_certs for the server's"
            )
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from. What was only being handled when a cause was raised is none."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        raised_by_client = type(cause).__module__.partition(".")[0] == "redis"  # which raises without saying from what
        implied = cause.__context__ if raised_by_client and not cause.__suppress_context__ else None
        cause = cause.__cause__ or implied


def check_files(shown: str, options: Iterable[tuple[str, Any]]) -> None:
    """Whether the files that options name are there.

    Raises:
        WfStoreError: one is not.
    """
    for name, value in options:
        if name in FILES and not os.path.exists(value):
            raise WfStoreError(f"{shown}: {name}={value!r} is not there; nothing was connected")
