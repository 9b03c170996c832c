"""Signed statements about verdicts: in-toto Statement v1 in a DSSE envelope, with keys that lie in files."""

from mlbaseline.signing.envelope import Envelope, pre_authentication_encoding
from mlbaseline.signing.keys import PASSWORD, SIGNED_BY, PublicKey, SigningKey, TrustedKeys
from mlbaseline.signing.statement import (
    ENVELOPE_FILE,
    PREDICATE_TYPE,
    PUBLIC_KEY_FILE,
    SignedStatement,
    TableDigests,
    VerdictStatement,
    sign_statement,
    verify_signed,
)

__all__ = [
    "ENVELOPE_FILE",
    "PASSWORD",
    "PREDICATE_TYPE",
    "PUBLIC_KEY_FILE",
    "SIGNED_BY",
    "Envelope",
    "PublicKey",
    "SignedStatement",
    "SigningKey",
    "TableDigests",
    "TrustedKeys",
    "VerdictStatement",
    "pre_authentication_encoding",
    "sign_statement",
    "verify_signed",
]
