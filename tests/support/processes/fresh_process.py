"""A function in a new Python process, where nothing is left of other tests."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


def in_fresh_process(function: Callable[Given, Result], /, *arguments: Given.args, **options: Given.kwargs) -> Result:
    """Call a function of a module, with what can be pickled, and return what it returns."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **options).result()
