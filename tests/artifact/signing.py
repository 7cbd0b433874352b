"""Signatures for tests: Ed25519 as RFC 8032 defines it, on affine coordinates, and DSSE envelopes. Slow and unsafe."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
TYPE = "application/vnd.in-toto+json"
Point = tuple[int, int]
BASE: Point = (
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    46316835694926478169428394003475163141307993866256225615783033603165251855960,
)


def add(p: Point, q: Point) -> Point:
    (x1, y1), (x2, y2) = p, q
    product = D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P


def times(number: int, p: Point) -> Point:
    total: Point = (0, 1)
    for bit in bin(number)[2:]:
        total = add(total, total)
        total = add(total, p) if bit == "1" else total
    return total


def encoded(p: Point) -> bytes:
    return (p[1] | (p[0] & 1) << 255).to_bytes(32, "little")


def _secret(seed: bytes) -> tuple[int, bytes]:
    half = bytearray(hashlib.sha512(seed).digest())
    half[0] &= 248
    half[31] = half[31] & 127 | 64
    return int.from_bytes(half[:32], "little"), bytes(half[32:])


def public_key(seed: bytes) -> bytes:
    return encoded(times(_secret(seed)[0], BASE))


def sign(seed: bytes, message: bytes) -> bytes:
    scalar, prefix = _secret(seed)
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    point = encoded(times(nonce, BASE))
    k = int.from_bytes(hashlib.sha512(point + public_key(seed) + message).digest(), "little") % L
    return point + ((nonce + k * scalar) % L).to_bytes(32, "little")


def pem(key: bytes) -> bytes:
    """A SubjectPublicKeyInfo."""
    der = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + key).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n".encode()


def envelope(seed: bytes, statement: Any, **changes: Any) -> bytes:
    payload = json.dumps(statement, indent=1).encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(payload), payload)
    key = public_key(seed)
    signature = {"keyid": hashlib.sha256(key).hexdigest(), "sig": base64.b64encode(sign(seed, signed)).decode()}
    made = {"payload": base64.b64encode(payload).decode(), "payloadType": TYPE, "signatures": [signature]}
    return json.dumps({**made, **changes}, indent=1).encode()


def statement(kind: str, name: str, digest: str, predicate: Any) -> Any:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": f"urn:x-langgraph-wfstore:{kind}:1",
        "predicate": predicate,
    }
