from __future__ import annotations

from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.reproducibility import reproducibility_section
from tests.report.sections.test_findings import texts
from tests.support import assessments as given


def test_reproducibility_flattens_the_context_and_lists_every_run() -> None:
    section = reproducibility_section(Presenter(given.promote()))
    context = dict(texts(section, block=0))
    assert context["suite_digest"] == "3f0c" * 16
    assert context["data.test"] == "300"
    assert context["hardware.cpu"] == "AMD EPYC 7R13"
    runs = texts(section, block=1)
    assert ["lora", "2"] in [run[:2] for run in runs]
    assert len(runs) == sum(len(s.run_ids) for s in given.promote().standings)
