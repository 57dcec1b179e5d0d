"""The command as its users run it: a process of its own, the embedded server, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from seatrial.verdicts import ExitCode

pytestmark = pytest.mark.slow
ENDS_S = 100.0
PRESET = ("--clients", "2", "--duration", "1s", "--seed", "7")


@contextmanager
def seatrial(tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.defpath, "HOME": str(tmp_path), "LC_ALL": "C"}
    with subprocess.Popen(
        [sys.executable, "-m", "seatrial.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def documents_until(process: subprocess.Popen[str], kind: str, **wanted: object) -> dict[str, Any]:
    """Read documents up to the first event of ``kind`` with these fields."""
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line).get("record", {}).get("event", {})
        if event.get("kind") == kind and wanted.items() <= event.items():
            return event
    raise AssertionError(f"no {kind} came")


def the_rest(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What is still to come. ``communicate`` would leave out what was read ahead with the lines before."""
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = process.stdout.read(), process.stderr.read()
    process.wait(ENDS_S)
    return out, err


def summary_of(out: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(out.splitlines()[-1])["report"]
    return report


def test_a_clean_run_passes_speaks_json_only_and_can_be_judged_again(tmp_path: Path) -> None:
    with seatrial(tmp_path, "run", *PRESET, "--json") as process:
        out, err = process.communicate(timeout=ENDS_S)
    assert (process.returncode, err) == (ExitCode.PASS, "")
    documents = [json.loads(line) for line in out.splitlines()]
    records = [document["record"] for document in documents if document["type"] == "event"]
    assert records[0]["event"]["kind"] == "plan"
    assert records[-1]["event"]["kind"] == "end"
    report = summary_of(out)
    assert (report["verdict"], report["journal"]["gaps"]) == ("PASS", 0)
    assert report["snapshots"]["verified"] == report["snapshots"]["to_verify"] > 0
    directory = Path(report["run"]["directory"])
    assert json.loads((directory / "report.json").read_text()) == report
    with seatrial(tmp_path, "report", "last", "--format", "json") as process:
        again, err = process.communicate(timeout=ENDS_S)
    assert (process.returncode, err) == (ExitCode.PASS, "")
    assert json.loads(again) == report


def test_one_interrupt_stops_cleanly_and_verifies(tmp_path: Path) -> None:
    with seatrial(tmp_path, "run", *PRESET[:2], "--duration", "10m", "--json") as process:
        documents_until(process, "phase", name="chaos", state="begin")
        process.send_signal(signal.SIGINT)
        out, _ = the_rest(process)
    report = summary_of(out)
    assert process.returncode == ExitCode.INTERRUPTED
    assert report["verdict"] == "PASS"
    assert [phase["name"] for phase in report["phases"] if phase["state"] == "end"][-2:] == ["verify", "report"]


def test_two_interrupts_end_it_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    with seatrial(tmp_path, "run", *PRESET[:2], "--duration", "10m", "--json") as process:
        server = documents_until(process, "server", state="ready")["pid"]
        documents_until(process, "phase", name="chaos", state="begin")
        process.send_signal(signal.SIGINT)
        documents_until(process, "phase", name="heal", state="begin")
        process.send_signal(signal.SIGINT)
        out, err = the_rest(process)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "interrupted by SIGINT" in err
    assert summary_of(out)["exit_code"] == ExitCode.INTERRUPTED
    assert not psutil.pid_exists(server)


def test_a_server_that_dies_is_named_with_its_last_lines_and_the_right_code(tmp_path: Path) -> None:
    with seatrial(tmp_path, "run", *PRESET[:2], "--duration", "10m", "--json") as process:
        server = documents_until(process, "server", state="ready")["pid"]
        documents_until(process, "phase", name="chaos", state="begin")
        os.kill(server, signal.SIGKILL)
        documents_until(process, "server", state="died")
        out, err = the_rest(process)
    assert process.returncode == ExitCode.BROKEN
    assert "the server died" in err
    report = summary_of(out)
    assert (report["verdict"], report["server"]["deaths"]) == ("INCONCLUSIVE", 1)
