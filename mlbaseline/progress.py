"""Progress for who waits at a terminal; silent everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")
PATIENCE_S = 1.0
"""Preparing a small file is over before anybody would read its bar."""


def progress_bar(
    total: int, unit: str, description: str | None, *, delay_s: float = 0.0, leave: bool = True
) -> tqdm[Any]:
    """A bar on stderr with rate and time left. Silent where nobody watches (no terminal) or without a description."""
    from tqdm import tqdm

    quiet = description is None or not sys.stderr.isatty()
    return tqdm(
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        desc=description,
        disable=quiet,
        file=sys.stderr,
        dynamic_ncols=True,
        delay=delay_s,
        leave=leave,
    )


def preparing(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """The items, with a bar that goes when they are through. total: how many, where `items` has no length."""
    if total is None:
        assert isinstance(items, Sized)
        total = len(items)
    with progress_bar(total, "ex", description, delay_s=PATIENCE_S, leave=False) as bar:
        for item in items:
            yield item
            bar.update()
