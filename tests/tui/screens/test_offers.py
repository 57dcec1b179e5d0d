"""A wish for a run: what is typed becomes arguments of the command, or is told why not."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from seatrial.cli.main import cli
from seatrial.config.loader import load_config
from seatrial.history.runs import create_run
from seatrial_tui.screens.offers import FIELDS, News, Offers, Runs, Signs, Unreadable, Wish, facts, survey


@pytest.fixture
def offers(tmp_path: Path) -> Offers:
    return Offers(loaded=load_config(environ={}), runs_dir=tmp_path)


@pytest.mark.parametrize(
    ("typed", "argv"),
    [
        ({}, "run smoke"),
        ({"clients": " 8 "}, "run smoke --clients 8"),
        (
            {"clients": "8", "duration": "1h30m", "target": "embedded", "seed": "0"},
            "run smoke --target embedded --clients 8 --duration 1h30m --seed 0",
        ),
        ({"duration": "90"}, "run smoke --duration 90"),
    ],
)
def test_what_was_changed_stands_in_the_arguments_and_the_command_takes_them(typed: dict[str, str], argv: str, offers: Offers) -> None:
    wish = Wish(preset="smoke", **typed)
    assert wish.problems() == {}
    assert shlex.join(wish.argv()) == argv
    command = cli.get_command(cli.make_context("seatrial", [], resilient_parsing=True), "run")
    assert command is not None
    given = command.make_context("run", list(wish.argv())[1:]).params
    applied = wish.applied(offers)
    assert given["clients"] in {None, applied.clients}
    assert given["duration"] in {None, applied.duration_s}


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("clients", "0", "1 to 10,000"),
        ("clients", "many", "1 to 10,000"),
        ("clients", "10001", "1 to 10,000"),
        ("duration", "soon", "90s, 5m or 1h30m"),
        ("duration", "9999999999", "at most a year"),
        ("seed", "-1", "from 0"),
        ("seed", str(1 << 63), "from 0"),
        ("target", "embeded", "did you mean embedded?"),
        ("target", "\x1b[2J", r"\x1b[2J"),
    ],
)
def test_what_cannot_be_run_is_told_by_its_field(field: str, text: str, said: str) -> None:
    problems = Wish(preset="smoke", **{field: text}).problems()
    assert list(problems) == [field]
    assert said in problems[field]
    assert problems[field].isprintable()


def test_every_preset_that_rides_along_says_what_it_would_do(offers: Offers) -> None:
    assert offers.presets[0].default
    for offer in offers.presets:
        told = dict(facts(offers, Wish(preset=offer.name)))
        assert offer.preset.description in told[""]
        assert " free" in told["disk"]
        assert told["runs as"] == f"seatrial run {offer.name}"


def test_clients_change_what_is_estimated(offers: Offers) -> None:
    few, many = (dict(facts(offers, Wish(preset="many-small-files", clients=clients)))["disk"] for clients in ("1", "1000"))
    assert "MiB" in few.split(",")[0]
    assert "GiB" in many.split(",")[0]


def test_a_swarm_is_drawn_as_soon_as_there_is_a_seed(offers: Offers) -> None:
    assert "as the seed draws it" in dict(facts(offers, Wish(preset="swarm")))["disk"]
    wish = Wish(preset="swarm", seed="11", clients="3")
    assert wish.applied(offers).swarm is None
    assert wish.applied(offers).clients == 3
    assert "as the seed draws it" not in dict(facts(offers, wish))["disk"]


def test_a_survey_tells_the_configuration_then_the_runs_then_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_RUNS_DIR", str(tmp_path / "runs"))
    made = create_run(tmp_path / "runs", "smoke")
    told: list[News] = []
    survey(told.append)
    offers, runs, signs = told
    assert isinstance(offers, Offers)
    assert offers.runs_dir == tmp_path / "runs"
    assert isinstance(runs, Runs)
    assert [run.run_id for run in runs.runs] == [made.run_id]
    assert isinstance(signs, Signs)
    assert "target embedded" in [sign.name for sign in signs.signs]


def test_runs_that_cannot_be_listed_do_not_end_the_survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").write_text("a file")
    monkeypatch.setenv("SEATRIAL_RUNS_DIR", str(tmp_path / "runs"))
    told: list[News] = []
    survey(told.append)
    _, runs, signs = told
    assert isinstance(runs, Runs)
    assert str(tmp_path / "runs") in runs.problem
    assert isinstance(signs, Signs)


def test_a_configuration_that_cannot_be_used_is_all_there_is_to_tell(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[presets.smoke]\nclient = 3\n")
    told: list[News] = []
    survey(told.append, file)
    (unreadable,) = told
    assert isinstance(unreadable, Unreadable)
    assert unreadable.error.where == f"{file}:2"
    assert "clients" in unreadable.error.remedy


def test_the_fields_are_those_of_a_wish() -> None:
    assert set(FIELDS) == set(Wish.__slots__) - {"preset"}
