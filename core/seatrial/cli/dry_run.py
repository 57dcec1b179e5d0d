"""``seatrial run --dry-run``: the plan a run would follow, without starting anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seatrial.config.model import ActionName
from seatrial.engine.estimate import Estimate
from seatrial.engine.plan import Plan, pick_action, weights_of
from seatrial.harness.capacity import actions_at_a_time
from seatrial.report.explain import command_line
from seatrial.report.listing import estimated, random_part
from seatrial.report.prose import duration, pad, plain, plural
from seatrial.resources import free_space_bytes
from seatrial.targets.registry import target_named

SHOWN_CLIENTS = 4
SHOWN_ACTIONS = 6
_LABEL = 16


def drawn_actions(plan: Plan, client: int, count: int) -> list[ActionName]:
    """The first random actions of a client, which the seed decides."""
    first = len(plan.preset.steps) * plan.preset.rounds
    weights = weights_of(plan.preset)
    return [pick_action(weights, plan.draws(client, first + number).action) for number in range(count)]


def random_actions(plan: Plan) -> bool:
    """Whether the preset has any."""
    return bool(plan.preset.duration_s or plan.preset.actions_per_client)


def plan_lines(plan: Plan, command: tuple[str, ...], runs_dir: Path, prefix: Path | None) -> Iterator[str]:
    """The plan for a person."""

    def field(label: str, text: str) -> str:
        return f"{label:<{_LABEL}} {plain(text)}"

    preset = plan.preset
    yield field(
        "preset", f"{plan.preset_name} on {preset.target}" + (" (off contract: loss is expected)" if preset.expect == "fail" else "")
    )
    if preset.description:
        yield field("", preset.description)
    yield field("seed", f"{plan.seed}  (repeats the plan, not the interleaving)")
    in_flight = preset.in_flight or actions_at_a_time(target_named(preset.target).traits)
    yield field("clients", f"{preset.clients}, at most {plural(in_flight, 'action')} at a time")
    if preset.steps:
        rounds = f", {plural(preset.rounds, 'round')}" if preset.rounds > 1 else ""
        yield field("each client", " -> ".join(step.value for step in preset.steps) + rounds)
    if random_actions(plan):
        weights = weights_of(preset)
        yield field("then", random_part(preset))
        total = sum(weights.values())
        width = max(len(name.value) for name in weights)
        for name, weight in sorted(weights.items(), key=lambda item: -item[1]):
            yield field("", f"{pad(name.value, width)} {100 * weight / total:5.1f} %")
        for client in range(min(SHOWN_CLIENTS, preset.clients)):
            drawn = drawn_actions(plan, client, min(SHOWN_ACTIONS, preset.actions_per_client or SHOWN_ACTIONS))
            yield field(f"client {client} begins", ", ".join(name.value for name in drawn))
    repository = "the target's own verification too" if preset.verify.repository else "without the target's own verification"
    yield field("verification", f"every live snapshot within {duration(preset.verify.budget_s)}, {repository}")
    yield from (field(label, text) for label, text in estimated(preset, free_space_bytes(runs_dir)))
    yield field("repository", str(prefix) if prefix else "a fresh one inside the run directory")
    yield field("runs directory", str(runs_dir))
    yield field("runs as", command_line(command))


def plan_document(plan: Plan, command: tuple[str, ...], runs_dir: Path, prefix: Path | None) -> dict[str, Any]:
    """The plan for a machine."""
    estimate = Estimate.of(plan.preset)
    return {
        "type": "plan",
        "preset": plan.preset_name,
        "seed": plan.seed,
        "settings": plan.settings(),
        "weights": {name.value: weight for name, weight in weights_of(plan.preset).items()} if random_actions(plan) else {},
        "drawn": {
            str(client): [name.value for name in drawn_actions(plan, client, SHOWN_ACTIONS)]
            for client in range(min(SHOWN_CLIENTS, plan.preset.clients))
            if random_actions(plan)
        },
        "estimate": {
            "writes": estimate.writes,
            "write_bytes_expected": estimate.one_write.expected_bytes,
            "write_bytes_max": estimate.one_write.most_bytes,
            "disk_bytes_expected": estimate.disk_bytes,
            "disk_bytes_free": free_space_bytes(runs_dir),
        },
        "runs_dir": str(runs_dir),
        "repo_path_prefix": str(prefix) if prefix else "",
        "command": list(command),
    }
