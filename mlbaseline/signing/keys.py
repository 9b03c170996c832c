"""Keys in PEM files: a private one signs, its public one checks. Ed25519, or ECDSA on P-256 with SHA-256."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from mlbaseline.errors import KeyFileError

PASSWORD = "MLBASELINE_SIGN_PASSWORD"
"""Environment variable: the password of an encrypted private key."""
SIGNED_BY = "MLBASELINE_SIGNED_BY"
"""Environment variable: public keys, separated by commas, by one of which promoted models must be signed."""
_FINGERPRINT = re.compile(r"^sha256:[0-9a-f]{64}$")
_EXPECTED = "an Ed25519 key, or an elliptic-curve key on P-256 (prime256v1), in a PEM file"
_P256 = "secp256r1"
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class PublicKey:
    """A public key that checks signatures."""

    _key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

    @classmethod
    def parse(cls, pem: bytes, where: str) -> PublicKey:
        """Parse a PEM text. where: its file, for the message. Raises KeyFileError."""
        try:
            return cls(_usable(load_pem_public_key(pem)))
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyFileError(f"{where}: expected the public part of {_EXPECTED}; {_reason(error)}") from error

    @property
    def fingerprint(self) -> str:
        """`sha256:` and the SHA-256 of the key's DER form (SubjectPublicKeyInfo), as 64 hexadecimal digits."""
        der = self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"sha256:{hashlib.sha256(der).hexdigest()}"

    @property
    def pem(self) -> bytes:
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether a signature of a message was made with the private part of this key."""
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, message)
            else:
                self._key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A private key that signs."""

    _key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    public: PublicKey

    @classmethod
    def read(cls, path: str | Path) -> SigningKey:
        """Read a private key from a PEM file; the password of an encrypted one is in `MLBASELINE_SIGN_PASSWORD`.

        Raises:
            KeyFileError: The file cannot be read, holds another kind of key, or the password is missing or wrong.
        """
        pem, password = _read(Path(path)), os.environ.get(PASSWORD)
        try:
            key = load_pem_private_key(pem, password.encode() if password and b"ENCRYPTED" in pem else None)
        except TypeError as error:  # encrypted, and no password
            raise KeyFileError(f"{path}: the key is encrypted; expected its password in {PASSWORD}") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyFileError(
                f"{path}: expected the private part of {_EXPECTED}, and its password in {PASSWORD} where it is "
                f"encrypted; {_reason(error)}"
            ) from error
        if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
            raise KeyFileError(f"{path}: expected the private part of {_EXPECTED}, got another kind of key")
        try:
            return cls(key, PublicKey(_usable(key.public_key())))
        except ValueError as error:
            raise KeyFileError(f"{path}: expected the private part of {_EXPECTED}; {error}") from error

    def sign(self, message: bytes) -> bytes:
        """Sign a message: 64 bytes of Ed25519, or an ECDSA signature in DER."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))


@dataclass(frozen=True)
class TrustedKeys:
    """The keys by one of which something must be signed.

    Attributes:
        fingerprints: Of the public keys.
        where: Who asks, for messages.
    """

    fingerprints: frozenset[str]
    where: str

    @classmethod
    def read(cls, entries: Iterable[str], *, root: Path, where: str) -> TrustedKeys:
        """Read fingerprints (`sha256:…`) and paths of public keys.

        Args:
            entries: The fingerprints and paths.
            root: Folder that relative paths start from.
            where: Who asks, for messages.

        Raises:
            KeyFileError: A path leads to no public key.
        """
        return cls(frozenset(_fingerprint(entry, root, where) for entry in entries), where)

    @classmethod
    def of_environment(cls) -> TrustedKeys | None:
        """Read `MLBASELINE_SIGNED_BY`; None where it is not set. Raises KeyFileError."""
        entries = [entry.strip() for entry in os.environ.get(SIGNED_BY, "").split(",") if entry.strip()]
        return cls.read(entries, root=Path(), where=SIGNED_BY) if entries else None

    def both(self, other: TrustedKeys | None) -> TrustedKeys:
        """Return the keys that both trust."""
        if other is None:
            return self
        return TrustedKeys(self.fingerprints & other.fingerprints, f"{self.where} and {other.where}")


def _fingerprint(entry: str, root: Path, where: str) -> str:
    if entry.startswith("sha256:"):
        if not _FINGERPRINT.match(entry):
            raise KeyFileError(f"{where}: expected sha256: and 64 hexadecimal digits, got {entry!r}")
        return entry
    path = root / Path(entry).expanduser()
    return PublicKey.parse(_read(path), f"{where}: {path}").fingerprint


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read as a key: {error.strerror}") from error


def _usable(key: object) -> ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == _P256:
        return key
    raise ValueError("got another kind of key")


def _reason(error: Exception) -> str:
    """Return why a key was not read; what stood in the file is not repeated."""
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
