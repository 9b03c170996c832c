"""Progress bars at a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")
BAR_DELAY_S = 1.0
"""A bar appears after this time: small files are prepared sooner."""


def progress_bar(
    total: int, unit: str, description: str | None, *, delay_s: float = 0.0, leave: bool = True
) -> tqdm[Any]:
    """Make a bar on stderr with rate and time left.

    Args:
        total: of the items.
        unit: such as "ex"; "B" is scaled.
        description: title; None: no bar.
        delay_s: before the bar appears.
        leave: whether the bar stays when it is full.

    Returns:
        A bar that shows nothing without a terminal or a description.
    """
    from tqdm import tqdm

    is_silent = description is None or not sys.stderr.isatty()
    return tqdm(
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        desc=description,
        disable=is_silent,
        file=sys.stderr,
        dynamic_ncols=True,
        delay=delay_s,
        leave=leave,
    )


def preparing(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, with a bar that disappears at their end. total: needed where `items` has no length."""
    if total is None:
        assert isinstance(items, Sized)
        total = len(items)
    with progress_bar(total, "ex", description, delay_s=BAR_DELAY_S, leave=False) as bar:
        for item in items:
            yield item
            bar.update()
