"""The envelope is DSSE: the vector of its specification, and other tools' checks, agree with it."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from mlbaseline.signing import Envelope, PublicKey, SigningKey, pre_authentication_encoding
from tests.support.signing_keys import KINDS, write_key

TYPE = "http://example.com/HelloWorld"
# protocol.md of DSSE 1.0, "Test Vectors".
X = 46950820868899156662930047687818585632848591499744589407958293238635476079160
Y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
RAW = "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="


def test_the_encoding_is_that_of_the_specification() -> None:
    assert pre_authentication_encoding(TYPE, b"hello world") == b"DSSEv1 29 " + TYPE.encode() + b" 11 hello world"
    assert pre_authentication_encoding("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "  # lengths are of bytes


def test_the_signature_of_the_specification_verifies() -> None:
    key = PublicKey(ec.EllipticCurvePublicNumbers(X, Y, ec.SECP256R1()).public_key())
    # The vector has r and s side by side; everybody else writes them in DER.
    raw = base64.b64decode(RAW)
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    assert Envelope(b"hello world", TYPE, (("", signature),)).is_signed_by(key)
    assert not Envelope(b"hello worle", TYPE, (("", signature),)).is_signed_by(key)
    assert not Envelope(b"hello world", TYPE + "2", (("", signature),)).is_signed_by(key)


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_verifies_what_we_sign(tmp_path: Path, kind: str) -> None:
    key = SigningKey.read(write_key(tmp_path, kind=kind))
    content = json.loads(Envelope.signed(b"hello world", TYPE, key).render())
    (tmp_path / "message").write_bytes(pre_authentication_encoding(content["payloadType"], b"hello world"))
    (tmp_path / "signature").write_bytes(base64.b64decode(content["signatures"][0]["sig"]))
    digest = ["-digest", "sha256"] if kind == "p256" else []
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "release.pub", "-rawin", *digest]
    command += ["-in", "message", "-sigfile", "signature"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully"), done.stderr


def test_an_envelope_comes_back_in_either_alphabet(tmp_path: Path) -> None:
    key = SigningKey.read(write_key(tmp_path))
    signed = Envelope.signed(b"\xfb\xff\xfe>>>???", TYPE, key)
    assert Envelope.parse(signed.render()) == signed
    content = json.loads(signed.render())
    assert set("+/") & set(content["payload"])
    content["payload"] = content["payload"].replace("+", "-").replace("/", "_")
    assert Envelope.parse(json.dumps(content)) == signed
    assert signed.signatures[0][0] == key.public.fingerprint


def test_one_of_several_signatures_is_enough_and_the_hint_decides_nothing(tmp_path: Path) -> None:
    ours, theirs = (SigningKey.read(write_key(tmp_path, name)) for name in ("ours", "theirs"))
    ((_, signature),) = Envelope.signed(b"x", TYPE, ours).signatures
    envelope = Envelope(b"x", TYPE, (("", b"no signature"), (theirs.public.fingerprint, signature)))
    assert envelope.is_signed_by(ours.public)
    assert not envelope.is_signed_by(theirs.public)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", '{"payload": "eA=="}', '{"payload": "eA==", "payloadType": "t", "signatures": 3}'),
        '{"payload": "*", "payloadType": "t", "signatures": []}',
        '{"payload": "eA==", "payloadType": "t", "signatures": ["x"]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_envelope_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no DSSE envelope"):
        Envelope.parse(text)
