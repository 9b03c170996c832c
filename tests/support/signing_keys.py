"""Keys of signers, as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from mlbaseline.signing import SigningKey

KINDS: dict[str, Callable[[], PrivateKeyTypes]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
}


def write_key(folder: Path, name: str = "release", *, kind: str = "ed25519", password: str | None = None) -> Path:
    """Write a new private key into `NAME.pem`, and return its path; without a password, its public part beside it."""
    path = folder / f"{name}.pem"
    write_pem(path, KINDS[kind](), password)
    if password is None:
        path.with_suffix(".pub").write_bytes(SigningKey.read(path).public.pem)
    return path


def write_pem(path: Path, key: PrivateKeyTypes, password: str | None = None) -> None:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
