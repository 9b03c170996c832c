"""The errors that a user can act on. Every message says where, what was expected, what came, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

WEIGHT_PACKAGES = frozenset({"accelerate", "gguf", "peft", "safetensors", "torch", "transformers"})
"""Dependencies that only training and answering with local weights import. requirements/gate.txt has none of them."""


class MlbaselineError(Exception):
    """An error that the user can act on.

    Attributes:
        exit_code: Exit code of a command that ends with this error.
    """

    exit_code = 1


class SuiteError(MlbaselineError):
    """The suite file, or an option of a command, is not valid.

    Attributes:
        problems: All problems, one sentence each.

    Example:
        >>> print(SuiteError("suite.yaml", ["line 3: seeds: must differ", "line 9: task.kind: is missing"]))
        suite.yaml: 2 problems
          - line 3: seeds: must differ
          - line 9: task.kind: is missing
    """

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__(f"{where}: {count}\n" + "\n".join(f"  - {problem}" for problem in self.problems))


class DataError(MlbaselineError):
    """A data file does not hold what the suite says: a column is missing, a split is empty, a target is unknown."""


class AssetError(MlbaselineError):
    """A referenced file cannot be fetched, or has another checksum than the suite says."""


class TrainingProgramError(MlbaselineError):
    """A program that was to train a model failed, or left no model that can be used."""


class EndpointError(MlbaselineError):
    """An endpoint cannot be used: it cannot be reached, refuses the key, or uses another protocol."""


class UnknownCodeError(MlbaselineError):
    """A code is that of no audit check and no gate. A command ends with exit code 2."""

    exit_code = 2


class TrackingError(MlbaselineError):
    """The tracking server cannot be reached, or does not have the runs that are needed."""


class LedgerError(MlbaselineError):
    """The ledger of live traffic cannot be used: it belongs to another suite, is damaged, or cannot be reached."""


class WebhookError(MlbaselineError):
    """An alarm cannot be sent to a webhook: its address, its key or its answer is wrong."""


class NewerFormatError(MlbaselineError):
    """A file, run or ledger was written by a later version of the package, in a form that this one cannot read."""


class PromotionError(MlbaselineError):
    """A version cannot be promoted or rolled back, or another promotion is under way."""


class NotRegisteredError(PromotionError):
    """The verdict is to promote, and the winner is not registered: it has no model, or was rolled back before."""


class UntrustedModelError(MlbaselineError):
    """A registered model is not what its records say, is not signed as it must be, or would run foreign code."""


class KeyFileError(MlbaselineError):
    """A key cannot be used: its file cannot be read, it is of another kind, or its password is missing or wrong."""


class SignatureError(UntrustedModelError):
    """A signature is missing, wrong, by another key, or of something else. A command ends with exit code 5."""

    exit_code = 5


class IncomparableError(MlbaselineError):
    """Two results must not be compared. A command ends with exit code 5."""

    exit_code = 5


def describe_error(error: Exception) -> str:
    """Describe an exception in one line, as the row of an example that failed shows it: its type and its message."""
    return f"{type(error).__name__}: {error}"
