"""Signatures: DSSE envelopes with Ed25519 over in-toto Statements (FORMAT.md, section 15). Needs the extra `sign`."""

from __future__ import annotations

import base64
import hashlib
import json
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..canonical import encode
from ..errors import ArtifactError, WfStoreError
from .manifest import Manifest, statement_of
from .opening import Opened

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
ARTIFACT = "urn:x-langgraph-wfstore:artifact:1"
HEAD = "urn:x-langgraph-wfstore:head:1"
_STATEMENT = "https://in-toto.io/Statement/v1"


class Signer:
    """Signs statements with one key.

    Args:
        private: an Ed25519 private key of `cryptography`, or what has its `sign` and `public_key`.
    """

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.key_id = key_id(private.public_key())

    def artifact(self, manifest: Manifest) -> tuple[str, bytes]:
        """The name and the envelope of the signature of an artifact."""
        subject = {"name": "manifest.json", "digest": {"sha256": manifest.identity.hex()}}
        return self.key_id[:16], self._envelope(ARTIFACT, subject, statement_of(manifest))

    def head(self, manifest: Manifest) -> bytes:
        """The envelope of a head statement."""
        head = manifest.root if manifest.head is None else manifest.head
        return self._envelope(HEAD, {"name": "head", "digest": {"sha256": head.hex()}}, statement_of(manifest))

    def _envelope(self, kind: str, subject: Any, predicate: Any) -> bytes:
        payload = encode({"_type": _STATEMENT, "subject": [subject], "predicateType": kind, "predicate": predicate})
        signature = self._private.sign(_signed_bytes(payload))
        return encode(
            {
                "payloadType": PAYLOAD_TYPE,
                "payload": base64.b64encode(payload).decode("ascii"),
                "signatures": [{"keyid": self.key_id, "sig": base64.b64encode(signature).decode("ascii")}],
            }
        )


def signer_of(key: Any) -> Signer:
    """The signer behind `sign_with=`.

    Args:
        key: an Ed25519 private key of `cryptography`, or what has its `sign` and `public_key`; or the path of a file
            with one in PEM (PKCS 8, not encrypted).

    Raises:
        WfStoreError: it is no such key, or `cryptography` is not installed.
    """
    if isinstance(key, str | PathLike):
        key = _loaded(key)
    try:
        return Signer(key)
    except (AttributeError, TypeError, ValueError, WfStoreError) as error:
        raise WfStoreError(
            f"cannot sign with {type(key).__name__}: expected an Ed25519PrivateKey of the package cryptography, or the "
            f"path of a PEM file with one ({type(error).__name__}: {error}). Nothing was written"
        ) from error


def _loaded(path: str | PathLike[str]) -> Any:
    serialization = _cryptography()
    try:
        return serialization.load_pem_private_key(Path(path).read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise WfStoreError(
            f"cannot sign with the key in {str(path)!r}: {error}. Give a PEM file (PKCS 8, not encrypted) with an "
            "Ed25519 key. Nothing was written"
        ) from error


def _cryptography() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise WfStoreError(
            "signatures need the package cryptography: pip install 'langgraph-wfstore[sign]'. Nothing was written"
        ) from error
    return serialization


def raw_public_key(key: Any) -> bytes:
    """The 32 bytes of a public key: given as such, as a key of `cryptography`, or as the path of a PEM file.

    Raises:
        WfStoreError: it is none.
    """
    try:
        if isinstance(key, str | PathLike):
            key = _cryptography().load_pem_public_key(Path(key).read_bytes())
        raw = bytes(key) if isinstance(key, bytes | bytearray) else key.public_bytes_raw()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise WfStoreError(
            f"{key!r:.100} is no public key of Ed25519, nor the path of a PEM file with one: {error}"
        ) from error
    if len(raw) != 32:
        raise WfStoreError(f"a public key of Ed25519 has 32 bytes, this one has {len(raw)}")
    return raw


def key_id(public: Ed25519PublicKey | bytes) -> str:
    """What names a public key in an envelope: SHA-256 of its 32 bytes, in hexadecimal."""
    return hashlib.sha256(raw_public_key(public)).hexdigest()


def verified(envelope: bytes, public_key: Any) -> dict[str, Any]:
    """The statement in an envelope that a key has signed.

    Args:
        public_key: a key that the caller has from elsewhere: see `raw_public_key`.

    Raises:
        ArtifactError: it is no envelope of a statement, or none of its signatures is good under that key.
    """
    _cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(raw_public_key(public_key))
    try:
        said = json.loads(envelope)
        payload = base64.b64decode(said["payload"], validate=True)
        if said["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"its payload is of type {said['payloadType']!r:.100}")
        signatures = [base64.b64decode(each["sig"], validate=True) for each in said["signatures"]]
        statement: dict[str, Any] = json.loads(payload)
        if statement["_type"] != _STATEMENT:
            raise ValueError(f"its statement is of type {statement['_type']!r:.100}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(f"what was given as a signature is no envelope of a statement: {error}") from error
    for signature in signatures:
        try:
            key.verify(signature, _signed_bytes(payload))
        except InvalidSignature:
            continue
        return statement
    raise ArtifactError(
        f"none of {len(signatures)} signatures is one of the key {key_id(key)}: it was changed, or signed by another"
    )


def _signed_bytes(payload: bytes) -> bytes:
    """What is signed in the place of a payload (DSSE, the pre-authentication encoding)."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def verify_artifact(path: str | PathLike[str], public_key: Any) -> dict[str, Any]:
    """The statement that a key has signed of an artifact.

    Only the signature is checked, and that the file's members are what its manifest says; `wfstore_verify.verify_file`
    looks at everything.

    Args:
        path: of the artifact.
        public_key: a key that the caller has from elsewhere: see `raw_public_key`.

    Raises:
        ArtifactError: the file is no artifact or was changed, or it has no signature of that key.
    """
    with Opened(path) as opened:
        for name in opened.signatures:
            try:
                statement = verified(opened.signature(name), public_key)
            except ArtifactError:
                continue  # of another key; if there is no better one, it is refused below
            (subject,) = statement["subject"]
            digest = subject["digest"]["sha256"]
            if statement["predicateType"] == ARTIFACT and digest == opened.manifest.identity.hex():
                return statement
    raise ArtifactError(
        f"{str(path)!r} has {len(opened.signatures)} signatures, but none of it by the key {key_id(public_key)}"
    )
