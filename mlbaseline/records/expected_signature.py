"""What the suite, as it is now, would write into the signature of an evaluation: which runs count is decided by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlbaseline.records.answers import Signature
from mlbaseline.records.scalars import UNKNOWN, Scalar


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """A field in which a run is not what the present suite would make. None: the signature lacks the field."""

    field: str
    run: Scalar
    suite: Scalar

    def __str__(self) -> str:
        return f"{self.field} is {_shown(self.run)} in the run, {_shown(self.suite)} by the suite"


@dataclass(frozen=True, slots=True)
class ExpectedSignature:
    """The fields of a signature that are known without loading a model.

    fields: name ─▶ value. groups: prefixes of fields of which a run must have exactly these, no more and no fewer.
    Outside the groups a field counts only where the run has it too: an option that a later version added is not in an
    earlier run. not_compared: fields inside the groups that only the model knows.
    """

    fields: Mapping[str, Scalar]
    groups: tuple[str, ...]
    not_compared: tuple[str, ...] = ()

    def differences(self, signature: Signature) -> tuple[FieldDifference, ...]:
        """Compare a run's signature. What its source did not record is unknown and no difference, save for the data.

        >>> expected = ExpectedSignature({"data.digest": "d1", "prompt.template": "{text}"}, ("data.", "prompt."))
        >>> [str(d) for d in expected.differences(Signature({"data.digest": "d2", "prompt.template": "unknown"}))]
        ["data.digest is 'd2' in the run, 'd1' by the suite"]
        """
        found = signature.fields
        names = [name for name in (*self.fields, *found) if name not in self.not_compared]
        counted = [
            name
            for name in dict.fromkeys(names)
            if name.startswith(self.groups) or (name in self.fields and name in found)
        ]
        return tuple(
            FieldDifference(name, found.get(name), self.fields.get(name))
            for name in counted
            if (name in found, found.get(name)) != (name in self.fields, self.fields.get(name))
            and not (found.get(name) == UNKNOWN and not name.startswith(("data.", "choices.")))
        )


_SHOWN = 60
"""Characters of a value in a message."""


def _shown(value: Scalar) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
