"""What can go wrong, sorted by what the caller should do about it.

Every message says where, what was expected, what came, and what to do. The exit code is the error's own fact, so that
the command line has nothing to decide.
"""

from __future__ import annotations

from collections.abc import Sequence


class MlbaselineError(Exception):
    """Something the user can act on. Ends a command with exit code 1."""

    exit_code = 1


class SuiteError(MlbaselineError):
    """The suite file does not say what it must. Carries every problem found, not only the first."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__(f"{where}: {count}\n" + "\n".join(f"  - {problem}" for problem in self.problems))


class DataError(MlbaselineError):
    """A data file, or what a suite asks of it, does not hold: missing column, empty split, unknown target."""


class AssetError(MlbaselineError):
    """A referenced file cannot be had, or is not the file that its checksum promises."""


class EndpointError(MlbaselineError):
    """A model that answers over HTTP cannot be asked: it is not there, refuses the key, or speaks another protocol."""


class TrackingError(MlbaselineError):
    """The tracking server cannot be reached, or does not hold what was asked of it."""


class PromotionError(MlbaselineError):
    """A version may not be promoted or rolled back, or somebody else was promoting at the same time."""


class IncomparableError(MlbaselineError):
    """Two results may not be compared. Ends a command with exit code 5."""

    exit_code = 5
