"""``seatrial run``: what it asks the trial for, how many runs it makes, and how it ends. The trial is told, its journal is real."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seatrial.cli.main import main
from seatrial.cli.run_options import RunOptions
from seatrial.config.model import Preset
from seatrial.engine.plan import Plan
from seatrial.errors import TargetError
from seatrial.harness.trial import TrialRequest
from seatrial.history.fold import RunFold
from seatrial.history.view import RunView
from seatrial.targets.protocols import Availability
from seatrial.verdicts import ExitCode, Verdict
from tests.unit.report.story import OTTER, Story, flipped


class Stage:
    """Stands in for the harness: keeps the requests, and lets each run end as it was told to."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.requests: list[TrialRequest] = []
        self.endings: Iterator[ExitCode] = iter(())

    def trial(self, request: TrialRequest) -> StagedTrial:
        self.requests.append(request)
        return StagedTrial(request.runs_dir / f"run-{len(self.requests)}", next(self.endings, ExitCode.PASS))

    @property
    def seeds(self) -> list[int]:
        return [request.seed for request in self.requests]


class StagedTrial:
    def __init__(self, place: Path, ending: ExitCode) -> None:
        self._place, self._ending, self._fold = place, ending, RunFold()
        self.directory: Path | None = None

    def view(self) -> RunView:
        return self._fold.view()

    def stop(self, *, now: bool, reason: str, interrupted: bool = False, by: str = "") -> None:
        raise AssertionError("nobody asked for that")

    def run(self) -> ExitCode:
        story = Story(self._place)
        story.subscribe(self._fold.apply)
        self.directory = self._place
        story.set_up()
        story.did(OTTER, "snapshot-root", snapshot="aa11")
        if self._ending is ExitCode.ROBUSTNESS_FAILURE:
            story.say(flipped())
        story.verify(2 if self._ending is ExitCode.INCONCLUSIVE else 1, 1)
        story.finish(Verdict.PASS, self._ending)
        if self._ending is ExitCode.BROKEN:
            raise TargetError("the server did not come up: last line")
        return self._ending


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "SEATRIAL_PRESET", "SEATRIAL_RUNS_DIR", "SEATRIAL_REPO_PATH_PREFIX", "SEATRIAL_SET"):
        monkeypatch.delenv(name, raising=False)
    made = Stage(tmp_path / "work")
    monkeypatch.setattr("seatrial.cli.headless.Trial", made.trial)
    return made


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(stage: Stage, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    def called(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["run", "--runs-dir", str(tmp_path / "runs"), *arguments])
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return int(ended.value.code), captured.out, captured.err

    return called


def test_a_run_goes_by_the_preset_and_ends_with_its_verdict(run: Run, stage: Stage, tmp_path: Path) -> None:
    code, out, err = run("--no-ui", "smoke", "--seed", "42")
    (request,) = stage.requests
    assert code == ExitCode.PASS
    assert (request.preset_name, request.seed, request.runs_dir, request.repo_path_prefix) == ("smoke", 42, tmp_path / "runs", None)
    assert out.splitlines()[0] == "seed 42"
    assert "PASS  exit code 0: pass" in out
    assert err == ""


def test_options_reach_the_request_and_the_command_that_runs_it_again(run: Run, stage: Stage, tmp_path: Path) -> None:
    prefix = tmp_path / "pre fix"
    code, *_ = run(
        *("many-small-files", "--seed", "7", "--clients", "3", "--duration", "1m30s", "--fail-fast", "--target", "embedded"),
        *("--set", "verify.budget_s=5s", "--set", "clients=9", "--repo-path-prefix", str(prefix)),
    )
    (request,) = stage.requests
    assert code == ExitCode.PASS
    assert request.preset.clients == 3, "the short form wins over --set"
    assert request.preset.duration_s == 90
    assert request.preset.verify.budget_s == 5
    assert (request.fail_fast, request.repo_path_prefix) == (True, prefix)
    assert run(*shlex.split(shlex.join(request.command))[2:])[0] == ExitCode.PASS
    assert stage.requests == [request, request]


def test_the_default_preset_is_run_without_a_name(run: Run, stage: Stage) -> None:
    Path("config.toml").write_text('default_preset = "mine"\n[run]\nrepo_path_prefix = "there"\n[presets.mine]\nclients = 2\n')
    assert run()[0] == ExitCode.PASS
    (request,) = stage.requests
    assert (request.preset_name, request.preset.clients, request.repo_path_prefix) == ("mine", 2, stage.work / "there")


def test_clients_of_a_swarm_are_pinned_by_the_option(run: Run, stage: Stage) -> None:
    run("swarm", "--clients", "5", "--seed", "3")
    (request,) = stage.requests
    assert {Plan.make("swarm", request.preset, seed).preset.clients for seed in range(20)} == {5}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("smok",), "'smoke'"),
        (("--target", "embeded"), "did you mean embedded?"),
        (("--set", "client=3"), "'clients'"),
        (("--set", "clients=0"), "clients = 0"),
        (("--set", "nonsense"), "nonsense"),
        (("--clients", "0"), "--clients"),
        (("--duration", "soon"), "write 90s, 5m or 1h30m"),
        (("--seed", "-1"), "--seed"),
        (("--config", "absent.toml"), "absent.toml"),
        (("--exe", "/usr/bin/restic"), "--exe"),
        (("--server", "https://host"), "--server"),
        (("--server", "https://u:p@host"), "a password in the URL"),
        (("--repo", "s3://bucket/prefix"), "below --repo-path-prefix"),
        (("--target", "embedded,embeded"), "did you mean embedded?"),
        (("--target", "embedded,kopia", "--exe", "/usr/bin/kopia"), "there are several"),
        (("--target", "embedded,kopia", "--server", "https://host"), "there are several"),
        (("--target", "embedded,kopia", "--repo-path-prefix", "pre"), "one repository cannot be of several targets"),
        (("--quiet", "--verbose"), "exclude each other"),
        (("--repeat", "2", "--until-fail"), "exclude each other"),
        (("--until-fail", "--seed", "1"), "new seed"),
        (("--repo-path-prefix", "/dev/null"), "is not a directory"),
        (("--frobnicate",), "--frobnicate"),
        (("cluster-smoke", "--server", "https://me@example.org/"), "embedded.stop_nodes = 2: the server 'https://me@example.org/' is not"),
        (
            ("cluster-smoke", "--target", "restic", "--set", "restic.server=rclone"),
            "embedded.stop_nodes = 2: with restic.server = 'rclone'",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_message_on_standard_error_and_starts_nothing(
    run: Run, stage: Stage, arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = run(*arguments)
    assert code == ExitCode.USAGE
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert not stage.requests


def test_a_target_that_cannot_run_here_says_how_to_get_it(run: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.targets.embedded.target import EmbeddedTarget

    missing = Availability(usable=False, why_not="no such program", how_to_get="install it")
    monkeypatch.setattr(EmbeddedTarget, "availability", lambda *_: missing)
    code, _, err = run()
    assert code == ExitCode.USAGE
    assert "no such program (install it)" in err
    assert not stage.requests


def test_set_up_that_fails_ends_with_the_code_and_words_of_its_error_after_the_closing_lines(run: Run, stage: Stage) -> None:
    stage.endings = iter([ExitCode.BROKEN])
    code, out, err = run("--repeat", "3")
    assert code == ExitCode.BROKEN
    assert err == "seatrial: the server did not come up: last line\n"
    assert "INCONCLUSIVE  exit code 4: harness or target broke" in out
    assert len(stage.requests) == 1


# -- several runs


def test_repeat_runs_n_times_and_ends_with_the_gravest_code(run: Run, stage: Stage) -> None:
    stage.endings = iter([ExitCode.INCONCLUSIVE, ExitCode.ROBUSTNESS_FAILURE, ExitCode.PASS])
    code, out, _ = run("--repeat", "3")
    assert code == ExitCode.ROBUSTNESS_FAILURE
    assert len(set(stage.seeds)) == 3
    assert [line for line in out.splitlines() if line.startswith("run ") and " of " in line] == [
        f"run {number} of 3, seed {seed}" for number, seed in enumerate(stage.seeds, 1)
    ]


def test_repeat_with_a_seed_repeats_the_plan(run: Run, stage: Stage) -> None:
    run("--repeat", "3", "--seed", "5")
    assert stage.seeds == [5, 5, 5]


def test_repeat_with_fail_fast_ends_at_the_first_run_that_does_not_pass(run: Run, stage: Stage) -> None:
    stage.endings = iter([ExitCode.PASS, ExitCode.INCONCLUSIVE, ExitCode.PASS])
    assert run("--repeat", "3", "--fail-fast")[0] == ExitCode.INCONCLUSIVE
    assert len(stage.requests) == 2


def test_until_fail_draws_a_new_seed_each_until_a_run_fails(run: Run, stage: Stage) -> None:
    stage.endings = iter([ExitCode.PASS, ExitCode.INCONCLUSIVE, ExitCode.PASS, ExitCode.ROBUSTNESS_FAILURE])
    code, out, _ = run("--until-fail")
    assert code == ExitCode.ROBUSTNESS_FAILURE
    assert len(set(stage.seeds)) == 4
    assert [seed for seed in stage.seeds if f"seed {seed}" not in out] == []


def test_an_interrupted_run_is_the_last(run: Run, stage: Stage) -> None:
    stage.endings = iter([ExitCode.PASS, ExitCode.INTERRUPTED])
    assert run("--until-fail")[0] == ExitCode.INTERRUPTED
    assert len(stage.requests) == 2


# -- several targets


@pytest.fixture
def without_kopia(monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.targets.kopia.target import KopiaTarget

    missing = Availability(usable=False, why_not="kopia is not installed", how_to_get="get it from kopia.io")
    monkeypatch.setattr(KopiaTarget, "availability", lambda *_: missing)


@pytest.fixture
def with_borg(monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.targets.borg.target import BorgTarget

    monkeypatch.setattr(BorgTarget, "availability", lambda *_: Availability(usable=True, version="1"))


def test_several_targets_are_run_one_after_the_other_with_the_same_seed(run: Run, stage: Stage, with_borg: None) -> None:
    code, out, _ = run("--target", "embedded, borg", "--seed", "7")
    assert code == ExitCode.PASS
    assert [(request.preset.target, request.seed) for request in stage.requests] == [("embedded", 7), ("borg", 7)]
    assert len({request.runs_dir for request in stage.requests}) == 1
    assert [request.command[-6:-4] for request in stage.requests] == [("--seed", "7")] * 2
    assert "target borg, 2 of 2" in out
    assert out.splitlines()[-2:] == ["  embedded: exit code 0: pass", "  borg: exit code 0: pass"]


def test_the_command_that_runs_it_again_names_the_one_target(run: Run, stage: Stage, with_borg: None) -> None:
    run("--target", "embedded,borg", "--seed", "7")
    assert [shlex.join(request.command).split("--target ")[1].split()[0] for request in stage.requests] == ["embedded", "borg"]


def test_a_preset_names_its_targets_and_one_of_them_can_be_chosen(run: Run, stage: Stage, with_borg: None) -> None:
    Path("config.toml").write_text('[presets.matrix]\nextends = "smoke"\ntargets = ["borg", "embedded", "borg"]\n')
    run("matrix")
    run("matrix", "--target", "borg")
    assert [request.preset.target for request in stage.requests] == ["borg", "embedded", "borg"]


def test_of_several_targets_a_missing_one_is_named_and_leaves_it_inconclusive(run: Run, stage: Stage, without_kopia: None) -> None:
    code, out, err = run("--target", "kopia,embedded")
    assert code == ExitCode.INCONCLUSIVE
    assert [request.preset.target for request in stage.requests] == ["embedded"]
    assert "the target 'kopia' cannot run here: kopia is not installed (get it from kopia.io)" in err
    assert "kopia: exit code 3: inconclusive (not run, the target 'kopia' cannot run here" in out


@pytest.mark.parametrize(
    ("endings", "code"),
    [
        ([ExitCode.ROBUSTNESS_FAILURE, ExitCode.PASS], ExitCode.ROBUSTNESS_FAILURE),
        ([ExitCode.BROKEN, ExitCode.ROBUSTNESS_FAILURE], ExitCode.BROKEN),
        ([ExitCode.PASS, ExitCode.BROKEN], ExitCode.BROKEN),
    ],
)
def test_of_several_targets_the_gravest_code_wins_and_none_keeps_the_others_from_their_turn(
    endings: list[ExitCode], code: ExitCode, run: Run, stage: Stage, without_kopia: None, with_borg: None
) -> None:
    stage.endings = iter(endings)
    got, out, err = run("--target", "embedded,kopia,borg")
    assert got == code
    assert [request.preset.target for request in stage.requests] == ["embedded", "borg"]
    assert ("the server did not come up" in err) is (ExitCode.BROKEN in endings)
    assert [line.split(":")[0].strip() for line in out.splitlines()[-3:]] == ["embedded", "kopia", "borg"]


def test_an_interruption_leaves_out_the_targets_to_come(run: Run, stage: Stage, with_borg: None) -> None:
    stage.endings = iter([ExitCode.INTERRUPTED])
    code, out, _ = run("--target", "embedded,borg", "--repeat", "2")
    assert code == ExitCode.INTERRUPTED
    assert len(stage.requests) == 1
    assert out.splitlines()[-1] == "  borg: its turn did not come"


def test_a_dry_run_shows_the_plan_on_each_target(run: Run, stage: Stage) -> None:
    _, out, _ = run("smoke", "--target", "embedded,borg", "--dry-run")
    assert [line.split()[3] for line in out.splitlines() if line.startswith("preset ")] == ["embedded", "borg"]
    assert not stage.requests


def test_on_a_terminal_runs_on_several_targets_are_told_in_lines(
    run: Run, stage: Stage, with_borg: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str | None] = []

    def show(options: RunOptions) -> ExitCode:
        shown.append(options.target)
        return ExitCode.PASS

    monkeypatch.setattr("seatrial.cli.run.has_screen", lambda: True)
    monkeypatch.setattr("seatrial.cli.attached.run_shown", show)
    assert run("smoke", "--target", "borg")[0] == ExitCode.PASS
    assert (shown, stage.requests) == (["borg"], [])
    _, out, _ = run("smoke", "--target", "embedded,borg")
    assert (len(shown), len(stage.requests)) == (1, 2)
    assert "target borg, 2 of 2" in out


def test_options_of_one_target_reach_its_preset(run: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.targets.kopia.target import KopiaTarget

    monkeypatch.setattr(KopiaTarget, "availability", lambda *_: Availability(usable=True, version="1"))
    run("--target", "kopia", "--exe", "./kopia-of-mine", "--repo", "s3://bucket/prefix")
    run("--target", "kopia", "--server", "https://host:51515", "--repo", "https://host:51515/")
    mine, attached = (request.preset for request in stage.requests)
    assert (mine.exe, mine.kopia.repo) == (str(stage.work / "kopia-of-mine"), "s3://bucket/prefix")
    assert (attached.server, attached.repo) == ("https://host:51515", "https://host:51515/")


# -- forms of output


def test_json_puts_documents_only_on_standard_output(run: Run) -> None:
    code, out, err = run("--json", "--repeat", "2")
    documents = [json.loads(line) for line in out.splitlines()]
    assert code == ExitCode.PASS
    assert [document["type"] for document in documents if document["type"] != "event"] == ["start", "summary"] * 2
    assert err.startswith("run 1 of 2, seed ")


def test_quiet_says_the_closing_lines_only(run: Run) -> None:
    _, out, _ = run("--quiet", "--seed", "42")
    assert [line.split()[0] for line in out.splitlines()] == ["PASS", "seed", "run", "run"]


def test_verbose_says_each_result(run: Run) -> None:
    assert "brave-otter-1 snapshot-root ok" in run("-v")[1]


# -- dry run


def test_dry_run_shows_the_plan_and_starts_nothing(run: Run, stage: Stage, tmp_path: Path) -> None:
    Path("config.toml").write_text(
        """
        [presets.plan]
        description = "a plan"
        clients = 2
        in_flight = 1
        steps = ["write-random-files", "snapshot-root"]
        rounds = 3
        actions_per_client = 4
        mix = { write-random-files = 1, snapshot-root = 3 }
        [presets.plan.options.write-random-files]
        min-num-files-per-write = 10
        max-num-files-per-write = 20
        min-file-size = "1KiB"
        max-file-size = "3KiB"
        """
    )
    code, out, err = run("plan", "--seed", "11", "--dry-run")
    assert code == ExitCode.PASS
    lines = {line[:17].strip(): line[17:] for line in out.splitlines() if line[:17].strip()}
    assert lines["preset"] == "plan on embedded"
    assert lines["seed"] == "11  (repeats the plan, not the interleaving)"
    assert lines["clients"] == "2, at most 1 action at a time"
    assert lines["each client"] == "write-random-files -> snapshot-root, 3 rounds"
    assert lines["then"] == "4 actions per client of 2 kinds of random action"
    assert " 25.0 %" in out
    assert len(lines["client 1 begins"].split(", ")) == 4
    # 2 clients x (3 steps + 4 x 1/4) writes x 15 files x 2 KiB
    assert lines["data written"] == "about 240.0 KiB in 8 writes, at most 480.0 KiB"
    assert lines["runs as"] == f"seatrial run plan --seed 11 --runs-dir {tmp_path / 'runs'}"
    assert not stage.requests
    assert not (tmp_path / "runs").exists()
    assert err == ""


def test_dry_run_gives_json_with_the_seed_resolved(run: Run) -> None:
    _, out, _ = run("swarm", "--seed", "11", "--dry-run", "--json")
    (line,) = out.splitlines()
    plan = json.loads(line)
    assert (plan["type"], plan["preset"], plan["seed"]) == ("plan", "swarm", 11)
    assert plan["settings"].get("swarm") is None
    assert set(plan["drawn"]["0"]) <= set(plan["weights"])
    again = json.loads(run("swarm", "--seed", "11", "--dry-run", "--json")[1])
    assert without_free_space(again) == without_free_space(plan)


def without_free_space(plan: dict[str, Any]) -> dict[str, Any]:
    """The disk is everybody's, and changes from one moment to the next."""
    assert any("free" in key for key in plan["estimate"])
    return plan | {"estimate": {key: value for key, value in plan["estimate"].items() if "free" not in key}}


def test_dry_run_draws_what_the_engine_will_draw() -> None:
    from seatrial.cli.dry_run import drawn_actions
    from seatrial.engine.plan import pick_action, weights_of

    preset = Preset(steps=[], actions_per_client=3)
    plan = Plan.make("p", preset, 9)
    assert drawn_actions(plan, 1, 3) == [pick_action(weights_of(preset), plan.draws(1, n).action) for n in range(3)]


def test_dry_run_warns_where_the_disk_is_too_small(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatrial.cli.dry_run.free_space_bytes", lambda _: 1 << 20)
    (line,) = (line for line in run("many-small-files", "--dry-run")[1].splitlines() if line.startswith("disk "))
    assert line.endswith("1.0 MiB free: it may not fit; the writers stop short of filling the disk")
