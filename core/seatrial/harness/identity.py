"""Who ran what where: the first event of a journal."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

from seatrial.engine.plan import Plan
from seatrial.history.events import PlanEvent
from seatrial.targets.protocols import Target
from seatrial.version import seatrial_version


def plan_event(plan: Plan, run_id: str, target: Target, prefix: Path, command: Sequence[str]) -> PlanEvent:
    """All that is needed to run the same plan again, and which version of what it was."""
    return PlanEvent(
        run_id=run_id,
        preset=plan.preset_name,
        seed=plan.seed,
        target=target.name,
        target_version=target.availability(plan.preset).version,
        repo_path_prefix=str(prefix),
        settings=plan.settings(),
        command=list(command),
        seatrial_version=seatrial_version(),
        python_version=platform.python_version(),
        platform=platform.platform(),
    )
