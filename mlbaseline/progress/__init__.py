"""How far long work is: bars at a terminal, else a line a minute; or what another display makes of it."""

from mlbaseline.progress.bar import ProgressBar, preparing, progress_bar
from mlbaseline.progress.displays import Display, MinuteLines, has_terminal_to_itself, shown_on, tell, working_on
from mlbaseline.progress.event import Progress, RungEvent, RungState, Stage, Title, part_of

__all__ = [
    "Display",
    "MinuteLines",
    "Progress",
    "ProgressBar",
    "RungEvent",
    "RungState",
    "Stage",
    "Title",
    "has_terminal_to_itself",
    "part_of",
    "preparing",
    "progress_bar",
    "shown_on",
    "tell",
    "working_on",
]
