"""A display for tests of what is told to one."""

from __future__ import annotations

from mlbaseline.progress import Progress, RungEvent


class Notes:
    """A display that notes what it is told."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, object]] = []

    def show(self, progress: Progress) -> None:
        self.notes.append((str(progress.title), progress.done))

    def end(self, progress: Progress) -> None:
        self.notes.append((str(progress.title), "over"))

    def tell(self, event: RungEvent) -> None:
        self.notes.append((event.rung, event.state))
