"""The suite's own rules, proved on small suites: what is left behind fails, a missing program is skipped by name or fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
INI = "[pytest]\nmarkers =\n    needs_program\n"
BEHIND = {
    "thread": "import threading\nwait = threading.Event().wait\n"
    "def test_a(): threading.Thread(target=wait, args=(20,), name='stowaway').start()\n",
    "daemon": "import threading\ndef test_a(): threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
    "child": "import subprocess\nkept = []\ndef test_a(): kept.append(subprocess.Popen(['sleep', '20']))\n",
    "reaped": "import subprocess\ndef test_a(): subprocess.Popen(['sleep', '0.1']).wait()\n",
}


def run(folder: Path, source: str, required: str = "") -> subprocess.CompletedProcess[str]:
    """A suite of one file under the conftest of ours."""
    shutil.copy(CONFTEST, folder)
    (folder / "pytest.ini").write_text(INI)
    (folder / "test_it.py").write_text(source)
    environment = {"PATH": os.defpath, "SEATRIAL_REQUIRE_PROGRAMS": required}
    argv = [sys.executable, "-c", _WITH_SHORT_GRACE, "-q", "-rs", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


_WITH_SHORT_GRACE = """
import os, sys, pytest
class Short:
    def pytest_sessionstart(self, session):
        for plugin in session.config.pluginmanager.get_plugins():
            if hasattr(plugin, "GRACE_S"):
                plugin.GRACE_S = 0.3
code = pytest.main(sys.argv[1:], plugins=[Short()])
sys.stdout.flush()
for kept in getattr(sys.modules.get("test_it"), "kept", []):
    kept.kill()
os._exit(int(code))
"""
"""``os._exit``, because the interpreter would wait for the thread that was left."""


@pytest.mark.parametrize(("left", "name"), [("thread", "stowaway"), ("child", "sleep 20")])
def test_what_outlives_the_session_is_an_error_that_names_it(tmp_path: Path, left: str, name: str) -> None:
    done = run(tmp_path, BEHIND[left])
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "outlived the tests" in done.stdout
    assert name in done.stdout


@pytest.mark.parametrize("clean", ["daemon", "reaped"])
def test_what_ends_or_keeps_nobody_is_none(tmp_path: Path, clean: str) -> None:
    assert run(tmp_path, BEHIND[clean]).returncode == pytest.ExitCode.OK


NEEDS = "import pytest\n@pytest.mark.needs_program('no-such-program')\ndef test_a(): pass\n"


def test_a_missing_program_is_skipped_by_name(tmp_path: Path) -> None:
    done = run(tmp_path, NEEDS)
    assert done.returncode == pytest.ExitCode.OK
    assert "needs the program 'no-such-program'" in done.stdout


def test_a_missing_program_fails_where_it_is_required(tmp_path: Path) -> None:
    done = run(tmp_path, NEEDS, required="other,no-such-program")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "requires it" in done.stdout
