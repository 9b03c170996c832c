"""Several processes that answer for one evaluation."""

from __future__ import annotations

import mlflow
import pandas as pd

from tests.support.ladders.workplace import Workplace


def loglik_nats(client: mlflow.MlflowClient, run_id: str) -> pd.DataFrame:
    """One row an example, one column a choice."""
    frame = pd.read_parquet(client.download_artifacts(run_id, "results/examples.parquet"))
    return frame.set_index("example_id").sort_index().filter(like="loglik_nats.")


def test_they_give_the_bits_of_one_and_say_how_many_they_were(workplace: Workplace) -> None:
    asked = ("evaluate", str(workplace.suite), "--baseline", "few_shot")
    runs = [workplace.document(*asked, *more)["evaluations"][0] for more in (["--processes", "2"], [], ["--fresh"])]
    assert [run["reused"] for run in runs] == [False, True, False], "how many they are is no part of the signature"
    client = mlflow.MlflowClient(workplace.uri)
    params = [client.get_run(run["run_id"]).data.params for run in runs]
    assert [each["distributed.processes"] for each in params] == ["2", "2", "1"]
    together, alone = (loglik_nats(client, runs[index]["run_id"]) for index in (0, 2))
    assert together.shape == (120, 2)
    pd.testing.assert_frame_equal(together, alone, check_exact=True)


def test_none_is_no_number_of_processes(workplace: Workplace) -> None:
    refused = workplace.command("evaluate", str(workplace.suite), "--processes", "0", expect=2)
    assert "--processes" in refused.stderr
