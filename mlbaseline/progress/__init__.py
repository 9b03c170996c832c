"""How far long work is: bars at a terminal, else a line a minute."""

from mlbaseline.progress.bar import ProgressBar, preparing, progress_bar
from mlbaseline.progress.displays import Display, MinuteLines
from mlbaseline.progress.event import Progress

__all__ = ["Display", "MinuteLines", "Progress", "ProgressBar", "preparing", "progress_bar"]
