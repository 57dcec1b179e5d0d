"""One preset, one run: what a list says of it in a line."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.config.model import ActionName, Preset
from seatrial.engine.estimate import Estimate
from seatrial.engine.plan import weights_of
from seatrial.history.runs import RunSummary
from seatrial.report.prose import duration, plain, plural, size


def described(preset: Preset) -> str:
    contract = " (off contract: loss is expected, the detector is proved)" if preset.expect == "fail" else ""
    return plain(preset.description.replace("\n", " ").strip()) + contract


def shape_of(preset: Preset) -> str:
    """Clients, steps and random actions in a few words."""
    clients = "{}-{} clients".format(*preset.swarm.clients) if preset.swarm else plural(preset.clients, "client")
    steps = f"{plural(len(preset.steps), 'step')} x {preset.rounds}" if preset.steps else ""
    return ", ".join(part for part in (clients, steps, random_part(preset)) if part)


def random_part(preset: Preset) -> str:
    """How long random actions go on, empty where there are none."""
    limits = [duration(preset.duration_s)] if preset.duration_s else []
    limits += [f"{preset.actions_per_client:,} actions per client"] if preset.actions_per_client else []
    kinds = len(weights_of(preset))
    return f"{' or '.join(limits)} of {plural(kinds, 'kind')} of random action" if limits else ""


def estimated(preset: Preset, free_bytes: int) -> Iterator[tuple[str, str]]:
    """What a run of a preset whose ranges have been drawn is going to write and to need: label and text."""
    estimate = Estimate.of(preset)
    counted = estimate.one_write.times(estimate.writes)
    if estimate.writes:
        yield "data written", f"about {size(counted.expected_bytes)} in {estimate.writes:.0f} writes, at most {size(counted.most_bytes)}"
    if preset.duration_s and weights_of(preset).get(ActionName.WRITE):
        one = estimate.one_write
        yield "each random one", f"about {size(one.expected_bytes)}, at most {size(one.most_bytes)}"
    short = ": it may not fit; the writers stop short of filling the disk" if estimate.disk_bytes > free_bytes else ""
    yield "disk", f"about {size(estimate.disk_bytes)} for what can be counted, {size(free_bytes)} free{short}"


def state_of(run: RunSummary) -> str:
    """The verdict as recorded, or why there is none, in a few words."""
    if run.unreadable:
        return f"unreadable: {plain(run.unreadable)}"
    if run.running:
        return "running"
    if run.verdict is None:
        return "killed" if run.started_ns else "never began"
    return f"{run.verdict.name} (exit {run.exit_code}{', aborted' if run.aborted else ''})"
