"""Section `examples`: which examples a candidate wins and loses against a baseline, to be read one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from mlbaseline import formats
from mlbaseline.records import Change, ExampleAnswer, ExampleChange, ExamplePair
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.view import AnswerView, Block, ExampleList, ExampleView, Section, TextPart, Tone

CHANGES: dict[Change, tuple[str, Tone]] = {
    Change.WON: ("▲ won", "better"),
    Change.LOST: ("▼ lost", "worse"),
    Change.BOTH_WRONG: ("both wrong", "open"),
    Change.BOTH_RIGHT: ("both right", ""),
}
_MAX_SLICES = 12
_NOTE = (
    "Exploratory: these examples explain a difference, and decide nothing. Rules that are written after reading them "
    "need other examples to be tested on. Each rung answers with the checkpoint that stands for it. All examples: "
    "mlbaseline examples SUITE --candidate A --baseline B."
)


def example_section(presenter: Presenter) -> Section | None:
    """Build a list that can be filtered for each primary contrast."""
    examples = presenter.assessment.examples
    pairs = [pair for pair in examples.pairs if pair.examples] if examples else []
    if not pairs:
        return None
    lists: list[Block] = [_example_list(pair, number) for number, pair in enumerate(pairs, start=1)]
    return Section("examples", "Examples won and lost", (_NOTE, *lists))


def summary_of(pair: ExamplePair) -> str:
    """Count the changes of a pair: `59 won, 0 lost, 3 both wrong, 58 both right (of 120, by accuracy)`."""
    counts = [f"{pair.counts.get(change, 0):,} {CHANGES[change][0].lstrip('▲▼ ')}" for change in Change]
    total = sum(pair.counts.values())
    flips = [
        f"{formats.clean(name)} gets {count:,} right with some seeds and wrong with others"
        for name, count in ((pair.candidate, pair.candidate_flips), (pair.baseline, pair.baseline_flips))
        if count
    ]
    return "; ".join([f"{', '.join(counts)} (of {total:,}, by {formats.clean(pair.metric)})", *flips])


def _example_list(pair: ExamplePair, number: int) -> ExampleList:
    changes = [change for change in Change if any(example.change == change for example in pair.examples)]
    slices = list(dict.fromkeys(item for example in pair.examples for item in example.slices.items()))
    slices = slices[:_MAX_SLICES] if len(slices) > 1 else []
    return ExampleList(
        name=f"pair-{number}",
        caption=f"{formats.clean(pair.candidate)} over {formats.clean(pair.baseline)}",
        summary=summary_of(pair),
        groups=tuple(
            f"{CHANGES[change][0]} ({sum(example.change == change for example in pair.examples):,} of "
            f"{pair.counts.get(change, 0):,})"
            for change in changes
        ),
        slices=tuple(f"{formats.clean(name)}: {formats.plain(value)}" for name, value in slices),
        items=tuple(_example_view(pair, example, changes, slices) for example in pair.examples),
    )


def _example_view(
    pair: ExamplePair, example: ExampleChange, changes: Sequence[Change], slices: Sequence[tuple[str, str]]
) -> ExampleView:
    label, tone = CHANGES[example.change]
    ours, theirs = _marked(example.candidate, example.baseline)
    return ExampleView(
        example_id=formats.clean(example.example_id),
        group=changes.index(example.change),
        slices=tuple(i for i, (name, value) in enumerate(slices) if example.slices.get(name) == value),
        label=label,
        tone=tone,
        input=_lines(example.input or ""),
        target=formats.clean(example.target) or formats.MISSING,
        answers=(
            AnswerView(formats.clean(pair.candidate), ours, _answer_note(example.candidate), tone),
            AnswerView(formats.clean(pair.baseline), theirs, _answer_note(example.baseline), ""),
        ),
    )


def _answer_note(answer: ExampleAnswer) -> str:
    """`score 1, probability 0.83, other seeds 0 and 1`."""
    parts = [f"score {formats.plain(answer.score)}"]
    share = answer.probabilities.get(answer.prediction or "")
    if share is not None:
        shares = sorted(answer.probabilities.items(), key=lambda item: -item[1])[:4]
        parts.append("probability " + ", ".join(f"{formats.plain(name)} {formats.fixed(p, 2)}" for name, p in shares))
    if len(answer.seed_scores) > 1:
        parts.append("by seed " + ", ".join(formats.plain(score) for score in answer.seed_scores))
    if answer.error:
        parts.append(f"error: {formats.clean(answer.error)}")
    return "; ".join(parts)


def _marked(ours: ExampleAnswer, theirs: ExampleAnswer) -> tuple[tuple[TextPart, ...], tuple[TextPart, ...]]:
    """Both answers in parts, with the words marked that the other does not have; labels are not marked."""
    texts = [formats.clean(answer.prediction or "") or formats.MISSING for answer in (ours, theirs)]
    words = [re.findall(r"\S+\s*", text) for text in texts]
    if min(map(len, words)) < 2:
        return (TextPart(texts[0]),), (TextPart(texts[1]),)
    sides: tuple[list[TextPart], list[TextPart]] = ([], [])
    for kind, a, b, c, d in SequenceMatcher(None, words[0], words[1], autojunk=False).get_opcodes():
        for side, own in zip(sides, (words[0][a:b], words[1][c:d]), strict=True):
            if own:
                side.append(TextPart("".join(own), kind != "equal"))
    return tuple(sides[0]), tuple(sides[1])


def _lines(text: str) -> str:
    """Keep line breaks, and nothing else that could act on the reader."""
    return "\n".join(formats.clean(line) for line in text.splitlines())
