"""Keys of two kinds sign and check; every other file is refused with what was expected."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mlbaseline.errors import KeyFileError
from mlbaseline.signing import PASSWORD, SIGNED_BY, PublicKey, SigningKey, TrustedKeys
from tests.support.signing_keys import KINDS, write_key, write_pem


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_is_checked_by_the_public_key(tmp_path: Path, kind: str) -> None:
    key = SigningKey.read(write_key(tmp_path, kind=kind))
    public = PublicKey.parse((tmp_path / "release.pub").read_bytes(), "release.pub")
    signature = key.sign(b"a message")
    assert public.verifies(signature, b"a message")
    assert not public.verifies(signature, b"another message")
    assert not public.verifies(signature[:-1] + bytes([signature[-1] ^ 1]), b"a message")
    assert not SigningKey.read(write_key(tmp_path, "other", kind=kind)).public.verifies(signature, b"a message")


@pytest.mark.parametrize("kind", KINDS)
def test_a_fingerprint_is_what_openssl_gives(tmp_path: Path, kind: str) -> None:
    key = SigningKey.read(write_key(tmp_path, kind=kind))
    command = ["openssl", "pkey", "-pubin", "-in", str(tmp_path / "release.pub"), "-outform", "DER"]
    der = subprocess.run(command, check=True, capture_output=True).stdout
    assert key.public.fingerprint == f"sha256:{hashlib.sha256(der).hexdigest()}"


def test_an_encrypted_key_needs_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_key(tmp_path, password="swordfish")
    with pytest.raises(KeyFileError, match=f"the key is encrypted; expected its password in {PASSWORD}"):
        SigningKey.read(path)
    monkeypatch.setenv(PASSWORD, "marlin")
    with pytest.raises(KeyFileError, match=PASSWORD) as caught:
        SigningKey.read(path)
    assert "marlin" not in str(caught.value)
    monkeypatch.setenv(PASSWORD, "swordfish")
    SigningKey.read(path)


def test_a_key_without_a_password_is_read_whatever_the_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD, "swordfish")
    SigningKey.read(write_key(tmp_path))


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "no file": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "no key": lambda path: path.write_text("a secret note"),
    "its public part": lambda path: path.write_bytes((write_key(path.parent).with_suffix(".pub")).read_bytes()),
    "an RSA key": lambda path: write_pem(path, rsa.generate_private_key(65537, 2048)),
    "another curve": lambda path: write_pem(path, ec.generate_private_key(ec.SECP384R1())),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_what_is_no_key_of_ours_is_refused(tmp_path: Path, what: str) -> None:
    UNUSABLE[what](tmp_path / "key.pem")
    with pytest.raises(
        KeyFileError, match=r"key\.pem: (expected the private part of an Ed25519 key|cannot be read)"
    ) as e:
        SigningKey.read(tmp_path / "key.pem")
    assert "a secret note" not in str(e.value)


def test_keys_are_named_by_path_or_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = (SigningKey.read(write_key(tmp_path, name)).public.fingerprint for name in ("ours", "theirs"))
    named = TrustedKeys.read(["ours.pub", theirs], root=tmp_path, where="gates.signed_by")
    assert named.fingerprints == {ours, theirs}
    assert TrustedKeys.of_environment() is None
    monkeypatch.setenv(SIGNED_BY, f"{tmp_path / 'theirs.pub'}, ")
    assert named.both(TrustedKeys.of_environment()).fingerprints == {theirs}
    for wrong in ("sha256:abc", "nowhere.pub", "ours.pem"):
        with pytest.raises(KeyFileError, match=r"gates.signed_by|nowhere.pub"):
            TrustedKeys.read([wrong], root=tmp_path, where="gates.signed_by")
