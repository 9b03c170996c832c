"""Independent units of a sample with weights: examples or clusters of them, and their parts in strata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlbaseline.stats.types import Array
from mlbaseline.stats.variance import bell_mccaffrey_df


@dataclass(frozen=True)
class UnitCells:
    """Rows of a slice that lie together: by unit and, within it, by stratum. Rows are sorted so.

    Attributes:
        rows: First row of each cell.
        unit_rows: First row of each unit.
        units: First cell of each unit.
        strata: Stratum of each cell, numbered from 0.
        weights: Sum of the weights of each cell.
        unit_weights: Sum of the weights of each unit.
    """

    rows: NDArray[np.intp]
    unit_rows: NDArray[np.intp]
    units: NDArray[np.intp]
    strata: NDArray[np.intp]
    weights: Array
    unit_weights: Array

    @classmethod
    def of(cls, codes: NDArray[np.intp], weights: Array, strata: NDArray[np.intp] | None) -> UnitCells:
        begins = np.diff(codes, prepend=-1) != 0
        unit_rows = np.flatnonzero(begins)
        rows = unit_rows if strata is None else np.flatnonzero(begins | (np.diff(strata, prepend=-1) != 0))
        of_cells = np.zeros(len(rows), dtype=np.intp) if strata is None else strata[rows]
        units = np.searchsorted(rows, unit_rows)
        cells = cls(
            rows, unit_rows, units, of_cells, np.add.reduceat(weights, rows), np.add.reduceat(weights, unit_rows)
        )
        if strata is not None and (alone := np.flatnonzero(np.bincount(of_cells) == 1)).size:
            raise ValueError(
                "weights: every stratum needs two independent examples or clusters for its mean to have an error; "
                f"stratum {int(alone[0])} has one"
            )
        return cells

    @property
    def _strata_weights(self) -> Array:
        return np.asarray(np.bincount(self.strata, weights=self.weights), dtype=float)

    @property
    def _shares(self) -> Array:
        return self.weights / self._strata_weights[self.strata]

    def residual_sums(self, weighted: Array) -> tuple[Array, Array]:
        """Sum weighted residuals from the stratum's mean by unit (units, c), plain and corrected for leverage."""
        sums = np.add.reduceat(weighted, self.rows, axis=0)
        of_strata = np.zeros((len(self._strata_weights), weighted.shape[1]))
        np.add.at(of_strata, self.strata, sums)
        residuals = sums - self._shares[:, None] * of_strata[self.strata]
        corrected = residuals / np.sqrt(1.0 - self._shares)[:, None]
        return np.add.reduceat(residuals, self.units, axis=0), np.add.reduceat(corrected, self.units, axis=0)

    def degrees_of_freedom(self, squares: Array) -> float:
        """Give those of the variance, from the squared weights of the rows."""
        place = np.searchsorted(self.units, np.arange(len(self.rows)), side="right") - 1, self.strata
        shape = len(self.units), len(self._strata_weights)
        share, variance, dependent = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        share[place], variance[place] = self._shares, np.add.reduceat(squares, self.rows)
        dependent[place] = np.square(self.weights)
        return min(bell_mccaffrey_df(share, variance), bell_mccaffrey_df(share, dependent, alike=True))
