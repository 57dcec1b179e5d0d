"""What `.ci/run` makes of the tests' reports: who failed, who was skipped wrongly, and who may have another chance."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.told import FEW, main

FAILED = '<failure message="assert 1 == 2&#10;more"/>'
BROKEN = '<error message="a child process is left"/>'


def report(path: Path, *ends: str) -> str:
    cases = "".join(f'<testcase classname="tests.a" name="test_{number}">{end}</testcase>' for number, end in enumerate(ends))
    path.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    return str(path)


def test_each_test_that_failed_is_named_with_the_first_line_of_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([report(tmp_path / "test.xml", "", FAILED, BROKEN), str(tmp_path / "never-written.xml")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "failed: tests.a::test_1: assert 1 == 2",
        "failed: tests.a::test_2: a child process is left",
    ]


@pytest.mark.parametrize(("required", "code"), [("tmux,restic", 1), ("rclone", 0), ("", 0)])
def test_a_test_skipped_although_its_program_was_installed_is_a_failure(tmp_path: Path, required: str, code: int) -> None:
    skipped = "<skipped message=\"needs the program 'restic', which is not there\"/>"
    assert main([report(tmp_path / "test.xml", "", skipped), "--required", required]) == code


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ([FAILED], 0),
        ([FAILED] * FEW, 0),
        ([FAILED] * (FEW + 1), 1),
        ([FAILED, BROKEN], 1),
        ([""], 1),
    ],
)
def test_only_a_few_failures_that_left_nothing_behind_have_another_chance(tmp_path: Path, ends: list[str], code: int) -> None:
    good = report(tmp_path / "prove.xml", "")
    assert main([report(tmp_path / "test.xml", *ends), good, "--few"]) == code


def test_tests_that_did_not_come_to_an_end_have_no_other_chance(tmp_path: Path) -> None:
    assert main([report(tmp_path / "test.xml", FAILED), str(tmp_path / "never-written.xml"), "--few"]) == 1
