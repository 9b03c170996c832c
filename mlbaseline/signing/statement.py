"""What is signed: which model won, by which suite, rules, data and tables. An in-toto Statement, version 1.

Source: https://github.com/in-toto/attestation, spec/v1/statement.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from mlbaseline.errors import SignatureError
from mlbaseline.nested import flattened
from mlbaseline.signing.envelope import Envelope
from mlbaseline.signing.keys import PublicKey, SigningKey, TrustedKeys
from mlbaseline.untrusted import ODD_SHAPE, parse_json

ENVELOPE_FILE, PUBLIC_KEY_FILE = "statement.dsse.json", "public_key.pem"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://mlbaseline.readthedocs.io/verdict/v1"
_SHOWN = 5
"""Differences that a message names."""
_ASSESSMENT = "findings.json+comparisons.json"
"""Subject of a statement about a comparison without a model to promote: these two files, one after the other."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class TableDigests(_Part):
    """SHA-256 of an evaluation's files. signature: of its content. measured: None in runs of version 0.1."""

    examples: str
    signature: str
    measured: str | None = None


class VerdictStatement(_Part):
    """A verdict with all that it stands on.

    Attributes:
        suite: Name of the suite.
        suite_digest: Of the suite file.
        matrix_digest: Of the rules.
        data_digest: Of the examples of `test`.
        tables: Run of an evaluation ─▶ digests of its tables.
        assessment_sha256: Of what the comparison found.
        comparison_run_id: Run of the comparison.
        verdict: `promote`, `hold` or `inconclusive`.
        winner_run_id: Run that evaluated the winner; None where there is none.
        register_as: Registered model that the winner becomes a version of.
        files: File of the winner's model ─▶ SHA-256; empty where there is nothing to register.
        time: When it was signed, by the signer's clock (UTC, ISO 8601).
    """

    suite: str
    suite_digest: str
    matrix_digest: str
    data_digest: str
    tables: Mapping[str, TableDigests]
    assessment_sha256: str
    comparison_run_id: str
    verdict: str
    winner_run_id: str | None
    register_as: str | None
    files: Mapping[str, str]
    time: str

    @classmethod
    def parse(cls, payload: bytes) -> VerdictStatement:
        """Parse a statement. Raises ValueError where it is none of ours."""
        try:
            content = parse_json(payload)
            types = content["_type"], content["predicateType"]
            if types != (STATEMENT_TYPE, PREDICATE_TYPE):
                raise ValueError(f"a statement of another type: {types}")
            subject = {each["name"]: each["digest"]["sha256"] for each in content["subject"]}
            files = {} if _ASSESSMENT in subject else subject
            return cls.model_validate({**content["predicate"], "files": files})
        except (*ODD_SHAPE, ValidationError) as error:
            raise ValueError(f"no statement of mlbaseline ({type(error).__name__}: {str(error)[:200]})") from error

    def render(self) -> bytes:
        """Return the statement as JSON."""
        subject = self.files or {_ASSESSMENT: self.assessment_sha256}
        content = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in sorted(subject.items())],
            "predicateType": PREDICATE_TYPE,
            "predicate": self.model_dump(mode="json", by_alias=True, exclude={"files"}),
        }
        return json.dumps(content, sort_keys=True).encode()

    def differences(self, derived: VerdictStatement) -> list[str]:
        """Name what a statement that is derived now says otherwise; the time does not count."""
        ours, theirs = (dict(flattened(each.model_dump(exclude={"time"}), separator=" ")) for each in (self, derived))
        return [
            f"{name}: signed {_short(ours.get(name))}, now {_short(theirs.get(name))}"
            for name in dict.fromkeys((*ours, *theirs))
            if ours.get(name) != theirs.get(name)
        ]

    def require_same(self, derived: VerdictStatement, what: str) -> None:
        """Check that what is there now is what was signed. what: names it. Raises SignatureError."""
        if differences := self.differences(derived):
            more = "" if len(differences) <= _SHOWN else f"; and {len(differences) - _SHOWN} more"
            raise SignatureError(
                f"{what} is not what was signed: {'; '.join(differences[:_SHOWN])}{more}. It was changed after it was "
                "signed, or the signature is that of something else."
            )


@dataclass(frozen=True)
class SignedStatement:
    """A statement in its envelope, and the public key of its signer, as they lie in two files.

    The key says by itself only that the envelope is whole. Whose it is, `verify` asks.
    """

    envelope: str
    public_key: bytes

    @classmethod
    def load(cls, folder: Path) -> SignedStatement:
        """Read what `save` wrote. Raises OSError and UnicodeDecodeError."""
        return cls((folder / ENVELOPE_FILE).read_text(encoding="utf-8"), (folder / PUBLIC_KEY_FILE).read_bytes())

    def save(self, folder: Path) -> None:
        """Write the two files."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ENVELOPE_FILE).write_text(self.envelope, encoding="utf-8")
        (folder / PUBLIC_KEY_FILE).write_bytes(self.public_key)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the public key. Raises KeyFileError."""
        return PublicKey.parse(self.public_key, PUBLIC_KEY_FILE).fingerprint

    def verify(self, trusted: TrustedKeys | None, what: str) -> VerdictStatement:
        """Check the signature, and return what was signed. That it is true of what is there now is not checked here.

        Args:
            trusted: The keys by one of which it must be signed; None for whichever key is beside it.
            what: What is signed, for the message.

        Raises:
            KeyFileError: The public key is none.
            SignatureError: It is signed by another key, not at all, or is no statement of ours.
        """
        key = PublicKey.parse(self.public_key, f"{what}: {PUBLIC_KEY_FILE}")
        if trusted is not None and key.fingerprint not in trusted.fingerprints:
            keys = ", ".join(sorted(trusted.fingerprints)) or "no key that both name"
            raise SignatureError(
                f"{what} is signed by another key: expected one of {trusted.where} ({keys}), got {key.fingerprint}. "
                "Sign it with `--sign KEY`, or name that key if you trust whoever holds it."
            )
        try:
            envelope = Envelope.parse(self.envelope)
            if not envelope.is_signed_by(key):
                raise ValueError("no signature in the envelope is that of the key beside it")
            if envelope.payload_type != PAYLOAD_TYPE:
                raise ValueError(f"a payload of type {envelope.payload_type!r}, expected {PAYLOAD_TYPE!r}")
            return VerdictStatement.parse(envelope.payload)
        except ValueError as error:
            raise SignatureError(
                f"{what} has a wrong signature: {error}. It was changed after it was signed: sign it again."
            ) from error


def verify_signed(signed: SignedStatement | None, trusted: TrustedKeys | None, what: str) -> VerdictStatement:
    """Check a signature that may be missing. For arguments and errors see `SignedStatement.verify`."""
    if signed is None:
        by = f", by one of {trusted.where}" if trusted else ""
        raise SignatureError(f"{what} is not signed; expected a signature{by}. Sign it with `--sign KEY`.")
    return signed.verify(trusted, what)


def sign_statement(statement: VerdictStatement, key: SigningKey) -> SignedStatement:
    """Sign a statement, and put the public key beside it."""
    return SignedStatement(Envelope.signed(statement.render(), PAYLOAD_TYPE, key).render(), key.public.pem)


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 20 else f"{text[:16]}…"
