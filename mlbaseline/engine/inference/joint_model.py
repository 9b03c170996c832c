"""A model whose batches other machines compute, too, each with a copy of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mlbaseline.engine.inference.execution import SharedBatches
from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.engine.inference.result_cache import ResultCache
from mlbaseline.records import Answer, Example, Model

if TYPE_CHECKING:
    from mlbaseline.engine.training.cached import PackedTraining


class Helpers(Protocol):
    """Other processes that compute batches of the same evaluation."""

    def take(self, key: str) -> bool:
        """Take a batch for this process, as `SharedBatches.take`."""
        ...

    def arrived(self) -> Sequence[bytes]:
        """Return what they have computed since the last time, as `result_cache.pack_results` gives it."""
        ...

    def wait(self) -> None:
        """Wait until none of them computes a batch any more."""
        ...


class StartHelpers(Protocol):
    """Starts processes that compute a part of a rung's batches."""

    def __call__(self, training: PackedTraining | None = None) -> AbstractContextManager[Helpers]:
        """Start them for the length of a block.

        Args:
            training: What their copy of the model comes from, if it was trained.
        """
        ...


@dataclass(frozen=True)
class JointModel:
    """Answers examples together with helpers, and has the bits of a model that answers alone.

    Attributes:
        whole: Answers from the cache, and computes what is not there.
        make_part: Makes a model that answers only what it takes of the shared batches.
        cache: Of both.
        n_examples: How many the helpers answer. If this process is asked for some of them only, it answers alone.
        start_helpers: Starts them for the length of a block.
    """

    whole: Model
    make_part: Callable[[SharedBatches], Model]
    cache: ResultCache
    n_examples: int
    start_helpers: Callable[[], AbstractContextManager[Helpers]]

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer each example once, in any order."""
        if len(examples) == self.n_examples:
            self._compute_together(examples)
        yield from self.whole.answer(examples)

    def _compute_together(self, examples: Sequence[Example]) -> None:
        with self.start_helpers() as helpers:
            for _ in self.make_part(_OwnPart(helpers, self.cache)).answer(examples):
                pass
            helpers.wait()
            self.cache.store(helpers.arrived())
        self.cache.refresh()


@dataclass(frozen=True)
class _OwnPart:
    """The shared batches, as this process takes them. Its results are in the cache already."""

    helpers: Helpers
    cache: ResultCache

    def take(self, key: str) -> bool:
        return self.helpers.take(key)

    def add(self, results: Mapping[str, RequestResult]) -> None:
        del results
        self.cache.store(self.helpers.arrived())
