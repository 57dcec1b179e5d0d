"""What is kept of a defect of our own."""

from __future__ import annotations

import os
import platform
import re
import tempfile
import traceback
from collections.abc import Sequence

from seatrial.clock import SYSTEM_CLOCK, Clock, stamp
from seatrial.version import seatrial_version

_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_SECRET = re.compile(r"((?:password|secret|token)[\w.-]*=)\S+", re.IGNORECASE)


def redact(text: str) -> str:
    """Without what may be a secret: user information in addresses, values of keys that sound like one."""
    return _SECRET.sub(r"\1…", _USER_INFO.sub("…@", text))


def write_crash_report(error: BaseException, argv: Sequence[str], clock: Clock = SYSTEM_CLOCK) -> str:
    """Write what a developer needs into a file of its own, readable by its owner only. Returns its path, empty where none can be."""
    lines = [
        f"seatrial {seatrial_version()}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {' '.join(map(redact, argv))}",
        "",
        redact("".join(traceback.format_exception(error))),
    ]
    try:
        descriptor, path = tempfile.mkstemp(prefix=f"seatrial-crash-{stamp(clock.now_ns())}-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n".join(lines))
    except OSError:
        return ""
    return path
