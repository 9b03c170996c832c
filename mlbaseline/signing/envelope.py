"""DSSE, "Dead Simple Signing Envelope", version 1.0: a payload with its type, and signatures of both.

Source: https://github.com/secure-systems-lab/dsse, protocol.md and envelope.md.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from mlbaseline.signing.keys import PublicKey, SigningKey
from mlbaseline.untrusted import ODD_SHAPE, parse_json

_MAX_CHARACTERS = 8 * 1024 * 1024
"""Length of an envelope; a statement names each file of a model and each table of a ladder."""


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Encode what is signed (PAE): the type, the payload and their lengths.

    Example:
        >>> pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
        b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True)
class Envelope:
    """A payload with signatures.

    Attributes:
        payload: What is signed.
        payload_type: How it is to be read; it is signed, too.
        signatures: `keyid` and signature of each signer. The former is a hint, and decides nothing.
    """

    payload: bytes
    payload_type: str
    signatures: tuple[tuple[str, bytes], ...]

    @classmethod
    def signed(cls, payload: bytes, payload_type: str, key: SigningKey) -> Envelope:
        """Sign a payload; the `keyid` is the fingerprint of the public key."""
        signature = key.sign(pre_authentication_encoding(payload_type, payload))
        return cls(payload, payload_type, ((key.public.fingerprint, signature),))

    @classmethod
    def parse(cls, text: str) -> Envelope:
        """Parse an envelope. Raises ValueError where it is none."""
        if len(text) > _MAX_CHARACTERS:
            raise ValueError(f"an envelope of {len(text):,} characters; expected at most {_MAX_CHARACTERS:,}")
        try:
            content = parse_json(text)
            signatures = tuple((str(each.get("keyid", "")), _decoded(each["sig"])) for each in content["signatures"])
            return cls(_decoded(content["payload"]), str(content["payloadType"]), signatures)
        except (*ODD_SHAPE, binascii.Error) as error:
            raise ValueError(f"no DSSE envelope ({type(error).__name__})") from error

    def render(self) -> str:
        """Return the envelope as JSON."""
        content = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": keyid, "sig": base64.b64encode(signature).decode()} for keyid, signature in self.signatures
            ],
        }
        return json.dumps(content, indent=2) + "\n"

    def is_signed_by(self, key: PublicKey) -> bool:
        """Tell whether one of the signatures is by this key."""
        message = pre_authentication_encoding(self.payload_type, self.payload)
        return any(key.verifies(signature, message) for _, signature in self.signatures)


def _decoded(text: Any) -> bytes:
    """Decode Base64 in either alphabet: a verifier must accept both."""
    return base64.b64decode(str(text).replace("-", "+").replace("_", "/"), validate=True)
