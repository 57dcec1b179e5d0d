"""The pytest plugin, loaded by its entry point wherever seatrial is installed: one option, three fixtures.

It imports nothing of seatrial before a fixture is asked for, so that suites which do not use it pay nothing.

    def test_what_i_care_about(test_harness, client_context):
        test_harness.engine.exec_action(client_context, "snapshot-root")
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from seatrial.config.model import Preset
    from seatrial.context import Context
    from seatrial.harness.harness import TestHarness


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--repo-path-prefix``, as the command has it."""
    group = parser.getgroup("seatrial", "backup robustness")
    group.addoption(
        "--repo-path-prefix",
        metavar="DIR",
        help="where the repository under test lives and survives the session; without it each test has one of its own",
    )


@pytest.fixture
def repo_path_prefix(pytestconfig: pytest.Config) -> Path | None:
    """The value of ``--repo-path-prefix``; None where it was not given."""
    given = pytestconfig.getoption("--repo-path-prefix")
    return Path(given).absolute() if given else None


@pytest.fixture
def client_context() -> Context:
    """A context with a new client."""
    from seatrial.context import new_client_context  # noqa: PLC0415 - only where it is asked for

    return new_client_context()


@pytest.fixture
def test_harness(client_context: Context, repo_path_prefix: Path | None, tmp_path: Path) -> Iterator[TestHarness]:
    """A harness on the embedded target, cleaned up after the test; a write makes at most 30 files of 128 KiB.

    Its runs lie in the test's temporary directory, its repository below ``--repo-path-prefix`` or there as well. For another target,
    preset or seed make a ``TestHarness`` of your own.
    """
    from seatrial.harness.harness import HarnessSettings, TestHarness  # noqa: PLC0415 - only where it is asked for

    settings = HarnessSettings(runs_dir=tmp_path / "runs", repo_path_prefix=repo_path_prefix, preset=_small())
    with TestHarness(client_context, settings) as harness:
        yield harness


def _small() -> Preset:
    """What an action is not told. The reference framework's figures are for a machine of its own: they fill the disk of a test's."""
    from seatrial.config.model import (  # noqa: PLC0415 - only where it is asked for
        ActionOptions,
        DeleteFilesOptions,
        DeleteSubdirectoryOptions,
        Preset,
        WriteOptions,
    )

    return Preset(
        options=ActionOptions(
            write=WriteOptions(max_dir_depth=3, max_num_files_per_write=30, max_file_size=128 << 10),
            delete_subdirectory=DeleteSubdirectoryOptions(max_dir_depth=3),
            delete_files=DeleteFilesOptions(max_dir_depth=3),
        )
    )
