"""Batch invariance: an input's results are the same bits whatever other inputs share its forward pass.

The kernels of a matrix product choose their blocking, and the order of their sums, by the number of rows. Here every
product has the same number of rows: the rows of a batch are computed in tiles of one fixed size. Together with
attention of each input by itself (see `packed_attention`), no bit of a row depends on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

TILE_ROWS = 64
"""Rows of every product. Fewer waste less in a short batch, such as a single query; more are faster in a long one."""


def pad_to_tiles(n_rows: int) -> int:
    """Return how many rows are missing to full tiles.

    >>> pad_to_tiles(3 * TILE_ROWS), pad_to_tiles(TILE_ROWS - 5)
    (0, 5)
    """
    return -n_rows % TILE_ROWS


class FixedTiles(TorchFunctionMode):
    """Within the block, compute `linear` and `addmm` in tiles of `TILE_ROWS` rows.

    The last tile is filled up with zeros.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Handle one call of a torch function."""
        options = kwargs or {}
        if func is torch.nn.functional.linear:
            return _tiled(args[0], lambda rows: func(rows, *args[1:], **options))
        if func is torch.addmm:
            return _tiled(args[1], lambda rows: func(args[0], rows, *args[2:], **options))
        return func(*args, **options)


def _tiled(inputs: Tensor, product: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute a product of (…, n, width) in tiles along its rows."""
    rows = inputs.reshape(-1, inputs.shape[-1])
    n = len(rows)
    if missing := pad_to_tiles(n):
        rows = torch.cat([rows, rows.new_zeros(missing, rows.shape[1])])
    tiles = [product(rows[start : start + TILE_ROWS]) for start in range(0, len(rows), TILE_ROWS)]
    outputs = tiles[0] if len(tiles) == 1 else torch.cat(tiles)
    return outputs[:n].reshape(*inputs.shape[:-1], outputs.shape[-1])
