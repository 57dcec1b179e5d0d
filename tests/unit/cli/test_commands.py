"""The small commands, called as the entry point calls them: what goes to which stream, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from seatrial.cli.main import main
from seatrial.harness.control import ControlSocket
from seatrial.history.runs import create_run
from seatrial.verdicts import ExitCode
from tests.unit.report.story import Story, clean_run, damaged_run


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """The command in an empty working directory with a home of its own."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "SEATRIAL_PRESET", "SEATRIAL_RUNS_DIR", "SEATRIAL_REPO_PATH_PREFIX", "SEATRIAL_SET"):
        monkeypatch.delenv(name, raising=False)

    def called(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        code = ended.value.code
        assert isinstance(code, int)
        captured = capsys.readouterr()
        return Ended(int(code), captured.out, captured.err)

    return called


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def a_run(store: Path, tell: Callable[[Path], object]) -> Path:
    """A run in the store, with its marker, told by ``tell``."""
    path = create_run(store, "smoke").path
    tell(path)
    return path


# -- report


@pytest.mark.parametrize(("tell", "code"), [(clean_run, ExitCode.PASS), (damaged_run, ExitCode.ROBUSTNESS_FAILURE)])
def test_report_prints_the_report_and_ends_with_the_judgement(
    call: Call, store: Path, tell: Callable[[Path], Path], code: ExitCode
) -> None:
    run = a_run(store, tell)
    ended = call("report", "last", "--runs-dir", str(store))
    assert ended.code == code
    assert ended.out.startswith(f"{'PASS' if code is ExitCode.PASS else 'FAIL'}: smoke on embedded 1.0")
    assert str(run) in ended.out
    assert ended.err == ""


def test_report_gives_json_to_machines(call: Call, store: Path) -> None:
    run = a_run(store, damaged_run)
    ended = call("report", str(run), "--format", "json")
    assert json.loads(ended.out)["verdict"] == "FAIL"


def test_report_of_a_killed_run_is_inconclusive(call: Call, store: Path) -> None:
    def killed(path: Path) -> None:
        story = Story(path)
        story.set_up()
        story.close()

    run = a_run(store, killed)
    ended = call("report", run.name[:-1], "--runs-dir", str(store))
    assert ended.code == ExitCode.INCONCLUSIVE
    assert "ended without an end" in ended.out


def test_report_of_a_run_under_way_says_so(call: Call, store: Path) -> None:
    run = create_run(store, "smoke").path
    story = Story(run)
    story.set_up()
    ended = call("report", str(run))
    story.close()
    assert "(still running: so far)" in ended.out
    assert "killed" not in ended.out


@pytest.mark.parametrize("name", ["last", "2026", "./nowhere"])
def test_a_run_that_is_not_there_is_a_usage_error(call: Call, store: Path, name: str) -> None:
    ended = call("report", name, "--runs-dir", str(store))
    assert ended.code == ExitCode.USAGE
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1


# -- runs


def test_runs_lists_the_newest_first_with_its_verdict(call: Call, store: Path) -> None:
    first, second = a_run(store, clean_run), a_run(store, damaged_run)
    ended = call("runs", "--runs-dir", str(store))
    assert ended.code == ExitCode.PASS
    listed = ended.out.splitlines()[1:]
    assert {line.split()[0] for line in listed} == {first.name, second.name}
    assert any("PASS (exit 0)" in line for line in listed)
    assert any("FAIL (exit 1)" in line for line in listed)
    documents: list[dict[str, Any]] = json.loads(call("runs", "--runs-dir", str(store), "--json").out)
    assert {document["verdict"] for document in documents} == {"PASS", "FAIL"}
    assert len(json.loads(call("runs", "--runs-dir", str(store), "--json", "--limit", "1").out)) == 1


def test_runs_shows_what_was_killed_or_runs_or_cannot_be_read(call: Call, store: Path) -> None:
    killed = Story(create_run(store, "killed").path)
    killed.close()
    running = Story(create_run(store, "running").path)
    create_run(store, "never")
    foreign = create_run(store, "foreign").path
    (foreign / "journal-000001.jsonl").write_text('{"seq":1,"at_ns":1,"event":{"kind":"plan","format":99}}\n')
    listed = {
        line.split()[0].rsplit("-", 1)[0].split("-", 2)[2]: line for line in call("runs", "--runs-dir", str(store)).out.splitlines()[1:]
    }
    running.close()
    assert "  killed  " in listed["killed"]
    assert "  running  " in listed["running"]
    assert "  never began  " in listed["never"]
    assert "  unreadable: " in listed["foreign"]
    assert "99" in listed["foreign"]


def test_an_empty_store_says_how_to_begin_and_keeps_standard_output_clean(call: Call, store: Path) -> None:
    ended = call("runs", "--runs-dir", str(store))
    assert (ended.code, ended.out) == (ExitCode.PASS, "")
    assert "`seatrial run` starts one" in ended.err
    assert call("runs", "--runs-dir", str(store), "--json").out == "[]\n"


def test_prune_removes_old_runs_and_nothing_else(call: Call, store: Path) -> None:
    for _ in range(3):
        a_run(store, clean_run)
    (store / "mine").mkdir()
    assert "nothing" not in call("runs", "prune", "--runs-dir", str(store), "--keep", "1", "--dry-run").err
    assert len(list(store.iterdir())) == 4
    ended = call("runs", "prune", "--runs-dir", str(store), "--keep", "1")
    assert ended.code == ExitCode.PASS
    assert len(ended.out.splitlines()) == 2
    assert ended.err == "2 runs removed\n"
    assert (store / "mine").is_dir()
    assert len(list(store.iterdir())) == 2


def test_prune_takes_the_runs_directory_on_either_side(call: Call, store: Path) -> None:
    a_run(store, clean_run)
    assert call("runs", "--runs-dir", str(store), "prune", "--keep", "0").err == "1 run removed\n"


def test_prune_without_a_rule_removes_nothing(call: Call, store: Path) -> None:
    a_run(store, clean_run)
    ended = call("runs", "prune", "--runs-dir", str(store))
    assert ended.code == ExitCode.USAGE
    assert "--keep N" in ended.err
    assert len(list(store.iterdir())) == 1


# -- steering


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["stop"], ("stop", "")),
        (["stop", "--now"], ("stop-now", "")),
        (["pause"], ("pause", "")),
        (["resume"], ("resume", "")),
        (["gc"], ("gc", "")),
        (["remark"], ("remark", "half\ntime")),
    ],
    ids="-".join,
)
def test_steering_reaches_the_run_and_prints_its_answer(call: Call, store: Path, arguments: list[str], asked: tuple[str, str]) -> None:
    run = create_run(store, "smoke").path
    command, argument = asked
    heard: list[str] = []

    def answer(said: str) -> str:
        heard.append(said)
        return "done\x1b[31m"

    socket = ControlSocket(run, {command: answer})
    socket.start()
    try:
        ended = call(*arguments, "last", *([argument] if argument else []), "--runs-dir", str(store))
    finally:
        socket.close()
    assert ended == (ExitCode.PASS, "done\\x1b[31m\n", "")
    assert heard == [argument]


def test_steering_a_run_that_has_ended_says_how_it_ended(call: Call, store: Path) -> None:
    run = a_run(store, clean_run)
    ended = call("pause", str(run))
    assert ended.code == ExitCode.USAGE
    assert "not active" in ended.err
    assert "PASS" in ended.err


def test_a_path_needs_no_valid_configuration(call: Call, store: Path) -> None:
    run = a_run(store, clean_run)
    Path("config.toml").write_text("broken = [")
    assert call("report", str(run)).code == ExitCode.PASS
    assert call("report", "last").code == ExitCode.USAGE


# -- presets and configuration


def test_presets_are_listed_with_the_default_marked(call: Call) -> None:
    ended = call("presets")
    assert ended.code == ExitCode.PASS
    assert any(line.startswith("* smoke") for line in ended.out.splitlines())
    names = json.loads(call("presets", "--json").out)["presets"]
    assert {line[2:].split()[0] for line in ended.out.splitlines()[1:]} == set(names)


def test_an_off_contract_preset_is_marked(call: Call) -> None:
    Path("config.toml").write_text('[presets.lossy]\nexpect = "fail"\ndescription = "no\\nsync"\n')
    (line,) = (line for line in call("presets").out.splitlines() if "lossy" in line)
    assert line.endswith("no sync (off contract: loss is expected, the detector is proved)")


def test_config_show_says_where_each_value_came_from(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_RUNS_DIR", "/srv/runs")
    ended = call("config", "show", "smoke", "--set", "clients=7")
    assert ended.code == ExitCode.PASS
    rows = dict(line.split("  # ") for line in ended.out.splitlines())
    stripped = {key.strip(): origin for key, origin in rows.items()}
    assert stripped["presets.smoke.clients = 7"].startswith("--set")
    assert all(key.startswith("presets.smoke.") for key in stripped)
    whole = json.loads(call("config", "show", "--json").out)
    (runs_dir,) = (row for row in whole if row["key"] == "run.runs_dir")
    assert runs_dir == {"key": "run.runs_dir", "value": "/srv/runs", "origin": "environment SEATRIAL_RUNS_DIR"}
    assert len(json.loads(call("config", "show", "--json", "--all").out)) > len(whole)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[presets.smoke]\nclient = 3\n", ["config.toml:2", "presets.smoke.client = 3", "unknown key", "'clients'"]),
        ('[presets.smoke]\nclients = "many"\n', ["config.toml:2", "presets.smoke.clients", "many", "whole number"]),
        ("[presets.smoke]\nclients = 0\n", ["config.toml:2", "presets.smoke.clients = 0", "from 1"]),
        ("x = [", ["config.toml"]),
        ("[presets.smoke.embedded]\nstop_nodes = 1\n", ["config.toml:2", "presets.smoke.embedded.stop_nodes = 1", 'store = "cluster"']),
        ('[ui]\ntheme = "nope"\n', ["config.toml:2", "no theme 'nope'", "seatrial-dark"]),
        ('[ui.keys]\nquit = "f4"\nqiut = "f5"\n', ["config.toml:3", "no command 'qiut'", "'quit'"]),
        ('[ui.keys]\nquit = "notakey"\n', ["config.toml:2", "quit", "'notakey' is no key"]),
    ],
    ids=["unknown key", "wrong type", "out of range", "no toml", "cannot be run", "no theme", "no command", "no key"],
)
def test_config_validate_names_file_key_value_and_what_would_be_valid(call: Call, text: str, said: list[str]) -> None:
    assert call("config", "validate").code == ExitCode.PASS
    Path("config.toml").write_text(text)
    ended = call("config", "validate")
    assert ended.code == ExitCode.USAGE
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1
    assert [part for part in said if part not in ended.err] == []


def test_a_preset_that_is_not_there_names_the_nearest(call: Call) -> None:
    ended = call("config", "show", "smok")
    assert ended.code == ExitCode.USAGE
    assert "'smoke'" in ended.err


# -- doctor


def test_doctor_shows_machine_targets_and_writers(call: Call, store: Path) -> None:
    ended = call("doctor", "--runs-dir", str(store))
    assert ended.code == ExitCode.PASS
    for name in ("python", "platform", "open files", "runs directory", "target embedded", "writer fio"):
        assert f"  {name} " in ended.out
    assert ended.err == ""


def test_doctor_says_how_to_get_a_program_that_is_missing(call: Call, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(store))
    ended = call("doctor", "--runs-dir", str(store), "--json")
    signs = {sign["name"]: sign for sign in json.loads(ended.out)}
    assert ended.code == ExitCode.PASS, "a missing program only limits what can be tested"
    assert signs["writer fio"]["good"] is False
    assert "install" in signs["writer fio"]["remedy"]
    assert signs["target embedded"]["good"] is True


def test_doctor_shows_each_program_behind_a_target(call: Call, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, says in (("borg", "borg 1.2.4"), ("ssh", "OpenSSH_9.2p1, OpenSSL")):
        program = store / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho '{says}'\n")
        program.chmod(0o755)
        monkeypatch.setenv(f"{name.upper()}_EXE", str(program))
    monkeypatch.setenv("SSHD_EXE", str(store / "absent"))
    monkeypatch.setenv("PATH", "/nowhere")
    ended = call("doctor", "--runs-dir", str(store), "--json")
    signs = {sign["name"]: sign for sign in json.loads(ended.out)}
    target = signs["target borg"]
    assert (target["good"], target["text"]) == (False, f"SSHD_EXE: there is no program {store / 'absent'}")
    assert "openssh-server" in target["remedy"]
    assert [(signs[f"program {name}"]["good"], signs[f"program {name}"]["behind"]) for name in ("borg", "ssh", "sshd")] == [
        (True, "borg"),
        (True, "borg"),
        (False, "borg"),
    ]
    assert signs["program borg"]["text"] == f"1.2.4 {store / 'borg'}"
    assert signs["target kopia"]["text"] == "kopia is not installed"
    assert "kopia.io" in signs["target kopia"]["remedy"]
    assert "program kopia" not in signs, "it is told with its target"


def test_doctor_fails_where_the_embedded_target_cannot_run(call: Call, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatrial.report.readiness.REQUIRED_TARGET", "absent")
    monkeypatch.setattr("seatrial.report.readiness.target_names", lambda: ["absent"])
    ended = call("doctor", "--runs-dir", str(store))
    assert ended.code == ExitCode.USAGE
    assert "missing" in ended.out


def test_doctor_warns_of_little_room(call: Call, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatrial.report.readiness.free_space_bytes", lambda _: 1 << 20)
    assert "more room" in call("doctor", "--runs-dir", str(store)).out


# -- surroundings


def test_without_a_home_a_command_that_was_told_where_to_look_works(call: Call, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    run = a_run(store, clean_run)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pathlib.Path.home", no_home)
    monkeypatch.setattr("pathlib.Path.expanduser", lambda path: no_home() if str(path).startswith("~") else path)
    assert call("runs", "--runs-dir", str(store)).code == ExitCode.PASS
    assert call("report", str(run)).code == ExitCode.PASS
    ended = call("runs", "--runs-dir", "~/runs")
    assert ended.code == ExitCode.USAGE
    assert "there is no home directory to stand for ~; give the whole path" in ended.err


def test_a_place_that_may_not_be_listed_is_a_clear_error(call: Call, store: Path) -> None:
    store.write_text("a file")
    ended = call("runs", "--runs-dir", str(store))
    assert ended.code == ExitCode.USAGE
    assert "is not a directory" in ended.err
