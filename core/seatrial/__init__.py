"""Seatrial: a robustness tester for backup repository servers.

What a test suite of one's own needs, importable from here: clients and their contexts, the file writer and the snapshotter of many
clients, the test harness, the trial. Each name is loaded when it is first used, so that ``import seatrial`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seatrial.config.model import ActionName as ActionName
    from seatrial.config.model import ActionOptions as ActionOptions
    from seatrial.config.model import Preset as Preset
    from seatrial.context import Client as Client
    from seatrial.context import Context as Context
    from seatrial.context import new_client_context as new_client_context
    from seatrial.context import new_client_contexts as new_client_contexts
    from seatrial.context import unwrap_context as unwrap_context
    from seatrial.engine.engine import Engine as Engine
    from seatrial.errors import ClientNotFoundError as ClientNotFoundError
    from seatrial.errors import OperationError as OperationError
    from seatrial.errors import RobustnessError as RobustnessError
    from seatrial.errors import SeatrialError as SeatrialError
    from seatrial.harness.harness import HarnessSettings as HarnessSettings
    from seatrial.harness.harness import TestHarness as TestHarness
    from seatrial.harness.trial import Trial as Trial
    from seatrial.harness.trial import TrialRequest as TrialRequest
    from seatrial.multiclient.protocols import ClientSnapshotter as ClientSnapshotter
    from seatrial.multiclient.snapshotter import MultiClientSnapshotter as MultiClientSnapshotter
    from seatrial.multiclient.writer import MultiClientFileWriter as MultiClientFileWriter
    from seatrial.targets.protocols import Server as Server
    from seatrial.targets.protocols import Target as Target
    from seatrial.targets.protocols import TargetClient as TargetClient
    from seatrial.verdicts import ExitCode as ExitCode
    from seatrial.verdicts import Outcome as Outcome
    from seatrial.verdicts import Verdict as Verdict
    from seatrial.workload.protocol import FileWriter as FileWriter

_HOMES = {
    "config.model": ("ActionName", "ActionOptions", "Preset"),
    "context": ("Client", "Context", "new_client_context", "new_client_contexts", "unwrap_context"),
    "engine.engine": ("Engine",),
    "errors": ("ClientNotFoundError", "OperationError", "RobustnessError", "SeatrialError"),
    "harness.harness": ("HarnessSettings", "TestHarness"),
    "harness.trial": ("Trial", "TrialRequest"),
    "multiclient.protocols": ("ClientSnapshotter",),
    "multiclient.snapshotter": ("MultiClientSnapshotter",),
    "multiclient.writer": ("MultiClientFileWriter",),
    "targets.protocols": ("Server", "Target", "TargetClient"),
    "verdicts": ("ExitCode", "Outcome", "Verdict"),
    "workload.protocol": ("FileWriter",),
}
_HOME_OF = {name: f"seatrial.{module}" for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - a list of names, made out of the table


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
