from __future__ import annotations

import json
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from mlbaseline.engine.hardware import (
    available_cores,
    describe_hardware,
    device_name,
    measure_peak_memory,
    pin_seeds,
)
from tests.support.processes.fresh_process import in_fresh_process


def test_a_run_says_what_it_ran_on() -> None:
    facts = describe_hardware("cpu")
    assert all(name.split(".")[0] in ("hardware", "software") for name in facts)
    assert facts["hardware.device"] == "cpu"
    assert facts["hardware.device_name"] == facts["hardware.cpu"] == device_name("cpu") != ""
    assert facts["hardware.cores"] == available_cores() >= 1
    assert facts["software.torch"] == torch.__version__.split("+")[0] or "+" in str(facts["software.torch"])
    json.dumps(facts)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux resets the mark")
def test_the_peak_is_that_of_the_block() -> None:
    first, second = in_fresh_process(peaks)
    assert first - second > 400e6
    assert second > 10e6


def peaks() -> tuple[int, int]:
    with measure_peak_memory("cpu") as first:
        held = np.ones(60_000_000)  # 480 MB
        del held
    with measure_peak_memory("cpu") as second:
        pass
    return first.bytes, second.bytes


def test_pinned_seeds_repeat_what_every_library_draws() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    pin_seeds(5)
    first = draw()
    pin_seeds(5)
    assert draw() == first
    pin_seeds(6)
    assert not set(draw()) & set(first)
    assert torch.are_deterministic_algorithms_enabled()


def test_describing_a_processor_does_not_import_torch() -> None:
    code = "import sys; from mlbaseline.engine.hardware import describe_hardware; describe_hardware('cpu'); "
    subprocess.run([sys.executable, "-c", f"{code}sys.exit('torch' in sys.modules)"], check=True)
