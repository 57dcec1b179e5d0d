"""What every test gets: programs that may be missing are skipped by name, and nothing may outlive the session."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator

import psutil
import pytest

from seatrial.config.loader import program_variable

REQUIRED = frozenset(filter(None, os.environ.get("SEATRIAL_REQUIRE_PROGRAMS", "").split(",")))
"""Programs whose absence is a failure, not a skip: .ci/run has installed them."""

GRACE_S = 5.0
"""For what was told to end and is about to."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kill-seed", type=int, help="repeat the kills of a proof that failed: the seed it printed")
    parser.addoption("--renew-snapshots", action="store_true", help="take new pictures of the dashboard instead of comparing them")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs_program"):
        for program in marker.args:
            variable, named = program_variable(program)
            if shutil.which(named or program):
                continue
            text = f"needs the program {program!r}, which is neither on PATH nor named by {variable}"
            if program in REQUIRED:
                pytest.fail(f"{text}, and SEATRIAL_REQUIRE_PROGRAMS requires it", pytrace=False)
            pytest.skip(text)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No thread that keeps the interpreter and no child process outlives the session (under xdist: of each worker).

    Autouse at session scope, so it is set up first and torn down last; what it finds is reported as an error of the last test.
    """
    threads = set(threading.enumerate())
    children = set(psutil.Process().children(recursive=True))
    yield
    left_threads = [thread for thread in threading.enumerate() if thread not in threads and not thread.daemon]
    for thread in left_threads:
        thread.join(GRACE_S)
    left_threads = [thread for thread in left_threads if thread.is_alive()]
    new = [child for child in psutil.Process().children(recursive=True) if child not in children]
    _, alive = psutil.wait_procs(new, timeout=GRACE_S)
    left_children = [_describe(child) for child in alive]
    assert not left_threads, f"threads outlived the tests: {[thread.name for thread in left_threads]}"
    assert not left_children, f"processes outlived the tests: {left_children}"


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return f"{process.pid} (gone)"
