"""The types that all statistics share."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Alternative = Literal["two-sided", "greater", "less"]
