"""What may be set side by side, and what not: the same questions, the same text, the same machine."""

from __future__ import annotations

from mlbaseline.judge.comparability import same_hardware
from mlbaseline.records import Standing
from mlbaseline.report import formats
from mlbaseline.report.view import Block, Section, Steps
from mlbaseline.report.wording import Wording, listed

_READING = "MLB202"
_MACHINE = ("hardware.device_name", "hardware.cpu")


def comparability(wording: Wording) -> Section | None:
    """Quality, tokenizers, and the hardware of latency and money, a sentence each."""
    standings = wording.assessment.standings
    if len(standings) < 2:
        return None
    said: list[str] = [
        "Quality: all rungs answered the same examples, with the same prompt, choices and metrics; a difference in any "
        "of these would have been refused."
    ]
    reading = next((f for f in wording.assessment.audit if f.code == _READING and f.outcome == "pass"), None)
    if reading is not None and reading.evidence.get("one_tokenizer") is False:
        said.append(
            "Tokenizers: the models are not known to share one. They read the same text, so what they answer is "
            "compared; a score that is divided by a count of tokens would not be."
        )
    said += _machines(standings)
    blocks: list[Block] = [Steps(tuple(said))]
    return Section("comparability", "What is comparable", tuple(blocks))


def _machines(standings: tuple[Standing, ...]) -> list[str]:
    timed = [s for s in standings if s.cost.latency_p95_s is not None]
    if not timed:
        return []
    groups: list[list[Standing]] = []
    for standing in timed:
        alike = next((group for group in groups if not same_hardware(group[0], standing)), None)
        if alike is None:
            groups.append([standing])
        else:
            alike.append(standing)
    if len(groups) == 1:
        return [f"Latency, memory and seconds: all on one machine ({_named(groups[0])}), so they are compared."]
    shown = "; ".join(f"{listed([formats.clean(s.baseline) for s in group])} ({_named(group)})" for group in groups)
    differing = dict.fromkeys(m.field for group in groups[1:] for m in same_hardware(groups[0][0], group[0]))
    return [
        f"Latency, memory and seconds: compared within each of these only, not across them: {shown}. They differ in, "
        f"or do not say, {listed([formats.clean(name) for name in differing])}. Money is compared across them: the "
        "suite's prices are what makes it comparable."
    ]


def _named(group: list[Standing]) -> str:
    """Of a group, the rung that says most of the machine."""
    facts = max((s.measured_on for s in group), key=len)
    known = dict.fromkeys(formats.clean(facts[name]) for name in _MACHINE if name in facts)
    cores = [f"{formats.clean(facts['hardware.cores'])} cores"] if "hardware.cores" in facts else []
    batches = facts.get("engine.batch_tokens")
    batch = [f"batches of {formats.clean(batches)} tokens"] if batches else []
    return ", ".join([*known, *cores, *batch]) or "hardware unknown"
