"""What a repeated request made twice.

MLflow's client sends a POST again whose answer was lost. A server that had carried it out then makes a second run, of
which nobody knows and which stays open. So each request to create a run carries a tag of its own.
"""

from __future__ import annotations

from mlbaseline.store.server.heartbeat import PROCESS, process_tags
from mlbaseline.store.server.patience import PatientClient

REQUEST = "mlbaseline.request"
"""Tag: names the request that created a run. Two runs with the same one are twins."""
_PARENT = "mlflow.parentRunId"


def delete_twin_runs(client: PatientClient, experiment_id: str, run_id: str) -> list[str]:
    """Delete the twins of a run of this process that is about to end, and those of the runs in it.

    Args:
        client: Of the tracking server.
        experiment_id: Where they are.
        run_id: The run. All runs in it have ended, so one that is open is the twin of one of them.

    Returns:
        The ids of the deleted runs.
    """
    query = f"attributes.status = 'RUNNING' and tags.`{PROCESS}` = '{process_tags()[PROCESS]}'"
    ours = {run.info.run_id: run.data.tags for run in client.search_runs([experiment_id], query, max_results=1000)}
    request = ours.get(run_id, {}).get(REQUEST)
    twins = [
        other
        for other, tags in ours.items()
        if tags.get(_PARENT) == run_id or (other != run_id and request is not None and tags.get(REQUEST) == request)
    ]
    for twin in twins:
        client.set_terminated(twin, "KILLED")
        client.delete_run(twin)
    return twins


def delete_twin_models(client: PatientClient, experiment_id: str, run_id: str, model_id: str) -> list[str]:
    """Delete other logged models of a run than the one that it knows of. Returns their ids."""
    found = client.search_logged_models([experiment_id], filter_string=f"source_run_id = '{run_id}'")
    twins = [model.model_id for model in found if model.model_id != model_id]
    for twin in twins:
        client.delete_logged_model(twin)
    return twins
