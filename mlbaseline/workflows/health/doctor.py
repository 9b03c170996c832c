"""What this machine, tracking server and suite can and cannot do, before anything expensive starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import metadata
from importlib.util import find_spec

from mlbaseline import serving, store
from mlbaseline.cache import cache_dir
from mlbaseline.engine import hardware
from mlbaseline.engine.training.program.job import code_sha256
from mlbaseline.errors import DataError, MlbaselineError
from mlbaseline.models.checkpoints.precision import computed_in, default_device, resolve_precision
from mlbaseline.suite import Asset, OtherPeft, Pretrained, Production, ProgramSpec, ReadyAdapter, ReadyModel, Suite
from mlbaseline.tasks import Fetch, kind_of_suite, load_task, open_suite
from mlbaseline.workflows.asset_fetcher import make_fetcher
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.health.torn_cache import find_torn_entries

_LOW_DISK_BYTES = 5 * 10**9
"""A full fine-tune of a small model leaves half a gigabyte a seed, in the cache and again in the artifact store."""


_EXTRAS = (
    ("lm-eval", "lm-eval", "a suite about one of its tasks"),
    ("inspect-ai", "inspect", "the import of its logs"),
    ("bitsandbytes", "quantized", "a suite with the precision int8 or int4"),
    ("openpyxl", "excel", "data in an Excel file"),
    ("deepspeed", "deepspeed", "a rung that is trained with the strategy zero2 or zero3"),
)
"""Packages that one feature needs: name, our extra, what for."""


@dataclass(frozen=True)
class HealthCheck:
    """outcome: ok, warn or fail."""

    name: str
    outcome: str
    detail: str


@dataclass(frozen=True)
class ClearedLeftover:
    """What a killed process left. remedy: what `doctor --fix` does. error: why that failed."""

    kind: str
    where: str
    remedy: str
    cleared: bool
    error: str | None = None


def doctor(suite: str | None, *, fix: bool = False, tracking_uri: str | None = None) -> CommandResult:
    """Look at machine, server and, if one is named, the suite with its data and models.

    Args:
        suite: Path of a suite file, or the name of a packaged suite. What killed processes left is then looked for in
            this suite's experiment and registered model, else on the whole server; and in the cache of this machine.
        fix: End dead runs, finish or take back half-done moves of aliases, delete orphan versions, drop torn entries
            of the cache. Without it, the result says what would be done.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `checks` and `leftovers`. The exit code is 1 where a check fails or a leftover cannot be
        cleared, else 0.
    """
    checks = [*_machine(), _checked("tracking server", lambda: store.reach(tracking_uri).uri)]
    if suite is not None:
        checks += _suite(suite, tracking_uri)
    leftovers, problem = _leftovers(suite, tracking_uri, fix=fix)
    checks += [_told(leftover, fix=fix) for leftover in leftovers]
    if problem is not None and not any(problem in check.detail for check in checks):
        checks.append(HealthCheck("leftovers", "fail", f"cannot be looked for: {problem}"))
    failed = any(check.outcome == "fail" for check in checks)
    lines = [f"{check.outcome:<5} {check.name:<18} {check.detail}" for check in checks]
    if leftovers and not fix:
        lines.append("`mlbaseline doctor --fix` clears what killed processes left; so does the suite's next command.")
    return CommandResult(
        {
            "healthy": not failed,
            "checks": [asdict(check) for check in checks],
            "leftovers": [asdict(leftover) for leftover in leftovers],
        },
        lambda *_: "\n".join(lines),
        exit_code=int(failed),
    )


def _leftovers(suite: str | None, tracking_uri: str | None, *, fix: bool) -> tuple[list[ClearedLeftover], str | None]:
    """Find and perhaps clear leftovers; and say why those on the server could not be looked for."""
    found, problem = list(find_torn_entries()), None
    try:
        loaded = open_suite(suite) if suite is not None else None
        server = store.reach(tracking_uri)
        found += store.find_leftovers(
            server,
            experiment=loaded.name if loaded else None,
            model=loaded.register_as if loaded else None,
        )
    except MlbaselineError as error:
        problem = str(error)
    return [_cleared(leftover, fix=fix) for leftover in found], problem


def _cleared(leftover: store.Leftover, *, fix: bool) -> ClearedLeftover:
    told = ClearedLeftover(leftover.kind.value, leftover.where, leftover.remedy, cleared=fix)
    try:
        if fix:
            leftover.clear()
    except (MlbaselineError, OSError) as error:
        return replace(told, cleared=False, error=str(error))
    return told


def _told(leftover: ClearedLeftover, *, fix: bool) -> HealthCheck:
    detail = f"{leftover.where}: {leftover.remedy}" if fix else f"{leftover.where}: with --fix it {leftover.remedy}"
    if leftover.error is not None:
        return HealthCheck(leftover.kind, "fail", f"{detail}; but: {leftover.error}")
    return HealthCheck(leftover.kind, "ok" if fix else "warn", detail)


def _machine() -> Iterator[HealthCheck]:
    if _has_torch():
        yield from _device()
    else:
        detail = "not installed; only training and answering with a model's weights need it: pip install mlbaseline"
        yield HealthCheck("torch", "ok", detail)
    for package, extra, purpose in _EXTRAS:
        found = next((d.version for d in metadata.distributions(name=package)), None)
        yield HealthCheck(
            package, "ok", found or f"not installed; {purpose} needs it: pip install 'mlbaseline[{extra}]'"
        )
    cache = cache_dir()
    existing = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    yield HealthCheck(
        "disk", "ok" if free > _LOW_DISK_BYTES else "warn", f"{free / 1e9:.0f} GB free for the cache {cache}"
    )


def _has_torch() -> bool:
    return find_spec("torch") is not None


def _device() -> Iterator[HealthCheck]:
    device = default_device()
    facts = hardware.describe_hardware(device)
    cores, memory = facts["hardware.cores"], int(str(facts["hardware.memory_bytes"])) / 1e9
    yield HealthCheck(
        "device", "ok", f"{device}: {facts['hardware.device_name']}, {cores} cores, {memory:.0f} GB of memory"
    )
    yield HealthCheck("precision", "ok", f"`auto` is {resolve_precision('auto', device)} on this device")


def _suite(reference: str, tracking_uri: str | None) -> list[HealthCheck]:
    try:
        suite = open_suite(reference)
        server = store.reach(tracking_uri)
        fetch = make_fetcher(suite, server)
    except MlbaselineError as error:
        return [HealthCheck("suite", "fail", str(error))]

    notes: list[str] = []

    def data() -> str:
        task = load_task(suite, fetch)
        notes.extend(task.notes)
        sizes = ", ".join(f"{name} {len(split.examples):,}" for name, split in task.splits.items())
        left_out = ", ".join(
            f"{count:,} {name.removeprefix('dropped_').replace('_', ' ')}"
            for name, count in task.counts.items()
            if count and name.startswith("dropped_")
        )
        return "; ".join([*task.files.values(), sizes, *([f"left out: {left_out}"] if left_out else [])])

    checks = [HealthCheck("suite", "ok", f"{suite.name}: {len(suite.baselines)} baselines, seeds {list(suite.seeds)}")]
    checks += [HealthCheck(name, "ok", detail) for name, detail in kind_of_suite(suite).describe().items()]
    if _has_torch():
        checks.append(_checked("precision of suite", partial(_precision, suite)))
    checks.append(_checked("data", data))
    checks += [HealthCheck("data", "warn", note) for note in notes]
    for name, spec in suite.baselines.items():
        if isinstance(spec, Pretrained | ReadyModel):
            checks.append(_checked(f"model of {name}", partial(_fetched, fetch, spec.model)))
        elif isinstance(spec, ReadyAdapter):
            checks.append(_checked(f"adapter of {name}", partial(_fetched, fetch, spec.adapter)))
        elif isinstance(spec, ProgramSpec):
            checks.append(_checked(f"program of {name}", partial(_program, suite, spec)))
        elif isinstance(spec, OtherPeft):
            checks.append(_checked(f"method of {name}", partial(_method, suite, name, spec)))
        elif isinstance(spec, Production):
            checks.append(_checked(f"model of {name}", partial(_in_production, server, name, spec)))
    checks.append(_prices(suite))
    return checks


def _precision(suite: Suite) -> str:
    device = default_device()
    precision = resolve_precision(suite.evaluation.precision, device)
    compute = computed_in(precision, device)
    return precision if compute == precision else f"{precision}, computed in {compute}"


def _program(suite: Suite, spec: ProgramSpec) -> str:
    """Describe the code of a program that trains, and check that it is there."""
    return f"code {code_sha256(spec.train, suite.root)[:12]}"


def _fetched(fetch: Fetch, asset: Asset) -> str:
    return str(fetch(asset).path)


def _method(suite: Suite, name: str, spec: OtherPeft) -> str:
    from mlbaseline.engine.training.peft_methods import check_method

    check_method(spec, suite_name=suite.name, baseline=name)
    return spec.config


def _in_production(server: store.Server, name: str, spec: Production) -> str:
    if spec.endpoint is not None:
        from mlbaseline.models.endpoint import read_key

        key = "with a key" if read_key(spec.endpoint, f"baselines.{name}.endpoint") else "without a key"
        return f"{spec.endpoint.address}, {key}; not asked"
    identity = serving.find_identity(server, str(spec.uri))
    if identity is not None:
        return identity.version
    if spec.optional:
        return f"no {spec.uri} yet, and it is optional"
    raise DataError(f"no {spec.uri} on the tracking server")


def _prices(suite: Suite) -> HealthCheck:
    device = default_device()
    price = suite.cost.hourly_price(hardware.device_name(device), device)
    if price is not None:
        return HealthCheck("price", "ok", f"{price:g} USD per hour on this device")
    by_the_hour = {contrast.candidate for contrast in suite.matrix.primary} - set(suite.cost.usd_per_million_tokens)
    needs_price = suite.gates.cost_per_query_usd is not None and bool(by_the_hour)
    detail = f"`cost.usd_per_hour` names no price for this device ({device}), so nothing here has a cost"
    return HealthCheck(
        "price", "fail" if needs_price else "warn", detail + (", and the cost gate cannot pass" * needs_price)
    )


def _checked(name: str, look: Callable[[], str]) -> HealthCheck:
    try:
        return HealthCheck(name, "ok", look())
    except MlbaselineError as error:
        return HealthCheck(name, "fail", str(error))
