"""Layers and where values came from: who wins, what merges, what extends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seatrial.config.data import checkout
from seatrial.config.loader import LoadedConfig, load_config
from seatrial.config.model import ActionName
from seatrial.errors import UsageError

Write = Callable[[str, str], Path]
SMOKE = "[presets.smoke]\nclients = {}\n"


def load(*sets: str, preset: str | None = None, config_file: Path | None = None, **environ: str) -> LoadedConfig:
    return load_config(config_file=config_file, sets=sets, preset=preset, environ=environ)


def test_each_layer_wins_over_the_one_below_and_says_so(alone: Path, write: Write) -> None:
    seen = [(load().preset("smoke").clients, load().origin("presets.smoke.clients"))]
    user = write("home/seatrial/config.toml", SMOKE.format(11))
    seen.append((load().preset("smoke").clients, load().origin("presets.smoke.clients")))
    write("config.toml", "# a comment first\n" + SMOKE.format(12))
    seen.append((load().preset("smoke").clients, load().origin("presets.smoke.clients")))
    loaded = load(SEATRIAL_SET="clients=13")
    seen.append((loaded.preset("smoke").clients, loaded.origin("presets.smoke.clients")))
    loaded = load("clients=14", SEATRIAL_SET="clients=13")
    seen.append((loaded.preset("smoke").clients, loaded.origin("presets.smoke.clients")))
    assert seen == [
        (4, "built in"),
        (11, f"{user}:2"),
        (12, "config.toml:3"),
        (13, "environment SEATRIAL_SET"),
        (14, "--set"),
    ]


def test_a_value_that_no_layer_gave_is_a_default(alone: Path) -> None:
    assert load().origin("presets.smoke.rounds") == "default"
    assert "presets.smoke.rounds" not in [key for key, _, _ in load().rows()]
    assert ("presets.smoke.rounds", 1, "default") in load().rows(defaults=True)


def test_rows_hold_checked_values_in_toml_terms(alone: Path) -> None:
    rows = {key: (value, origin) for key, value, origin in load("duration_s=5m", "writer=fio").rows()}
    assert rows["presets.smoke.duration_s"] == (300.0, "--set")
    assert rows["presets.smoke.writer"] == ("fio", "--set")
    assert rows["presets.smoke.mix.run-gc"] == (0.4, "built in")


def test_config_option_takes_the_place_of_the_working_directorys_file(alone: Path, write: Write) -> None:
    write("config.toml", SMOKE.format(12))
    other = write("other.toml", SMOKE.format(20))
    assert load(config_file=other).preset("smoke").clients == 20
    write("config.toml", "nonsense")
    assert load(config_file=other).preset("smoke").clients == 20


def test_the_checkouts_own_file_is_not_read_twice(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = checkout()
    assert root
    monkeypatch.chdir(root)
    assert load().origin("presets.smoke.clients") == "built in"


def test_tables_merge_and_arrays_replace(alone: Path, write: Write) -> None:
    write("config.toml", "[presets.smoke]\nsteps = ['snapshot-root']\n[presets.smoke.mix]\nrun-gc = 9\n")
    preset = load().preset("smoke")
    assert preset.steps == [ActionName.SNAPSHOT]
    assert preset.mix[ActionName.GC] == 9
    assert preset.mix[ActionName.WRITE] == 4


def test_a_bare_key_belongs_to_the_preset_of_the_run(alone: Path) -> None:
    assert load("clients=9", preset="soak").preset("soak").clients == 9
    assert load("clients=9", preset="soak").preset("smoke").clients == 4
    assert load("clients=9").preset().clients == 9
    assert load("clients=9", SEATRIAL_PRESET="swarm").preset().clients == 9
    assert load("presets.soak.clients=9", preset="smoke").preset("soak").clients == 9
    assert load("run.runs_dir=elsewhere", preset="smoke").config.run.runs_dir == "elsewhere"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("options.write-random-files.max-file-size=64MiB", 64 << 20),
        ("options.write-random-files.max-file-size='1.5 GB'", 1_500_000_000),
        ("options.write-random-files.max-file-size=200000", 200_000),
        ("duration_s=1h30m", 5400.0),
        ("duration_s=0.25", 0.25),
        ("verify.budget_s = 90s", 90.0),
        ("description=an old friend", "an old friend"),
        ("options.snapshot-root.sub-path=12e4", "12e4"),
        ("options.run-gc.mode=contend", "contend"),
        ("throw_no_space_error=true", True),
        ("swarm.file_size=[0, '1MiB']", [0, 1 << 20]),
    ],
)
def test_settings_are_toml_or_text_and_take_units(alone: Path, setting: str, value: object) -> None:
    key = f"presets.smoke.{setting.partition('=')[0].strip()}"
    assert {name: got for name, got, _ in load(setting).rows()}[key] == value


def test_the_later_setting_wins_and_a_table_merges(alone: Path) -> None:
    preset = load("clients=5", "mix={run-gc=7}", "clients=6").preset()
    assert (preset.clients, preset.mix[ActionName.GC], preset.mix[ActionName.WRITE]) == (6, 7, 4)


def test_environment_variables(alone: Path) -> None:
    loaded = load(
        SEATRIAL_RUNS_DIR="/srv/runs", SEATRIAL_REPO_PATH_PREFIX="/srv/repo", SEATRIAL_PRESET="soak", SEATRIAL_SET="clients=3;in_flight=2"
    )
    assert (loaded.config.run.runs_dir, loaded.config.run.repo_path_prefix) == ("/srv/runs", "/srv/repo")
    assert (loaded.preset().clients, loaded.preset().in_flight) == (3, 2)
    assert loaded.origin("run.runs_dir") == "environment SEATRIAL_RUNS_DIR"


def test_variables_of_others_are_left_alone(alone: Path) -> None:
    assert load(SEATRIAL_REQUIRE_PROGRAMS="fio", SEATRIAL_RUNS_DIR="", PATH="/bin").config.run.runs_dir == ""


def test_extends_begins_as_the_other_preset(alone: Path, write: Write) -> None:
    write(
        "config.toml",
        "[presets.mine]\nextends = 'yours'\nclients = 3\n"
        "[presets.yours]\nextends = 'smoke'\nduration_s = '1m'\n[presets.yours.mix]\nrun-gc = 0\n",
    )
    loaded = load()
    mine, smoke = loaded.preset("mine"), loaded.preset("smoke")
    assert (mine.clients, mine.duration_s, mine.mix[ActionName.GC]) == (3, 60.0, 0)
    assert (mine.steps, mine.verify) == (smoke.steps, smoke.verify)
    assert loaded.preset("yours").clients == smoke.clients
    assert loaded.origin("presets.mine.clients") == "config.toml:3"
    assert loaded.origin("presets.mine.duration_s") == "config.toml:6"
    assert loaded.origin("presets.mine.steps") == "built in"


def test_extends_sees_what_higher_layers_changed(alone: Path, write: Write) -> None:
    write("config.toml", "[presets.mine]\nextends = 'smoke'\n")
    loaded = load("presets.smoke.clients=8", preset="mine")
    assert (loaded.preset("mine").clients, loaded.origin("presets.mine.clients")) == (8, "--set")


def _raise_no_home(_name: str) -> Path:
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("no_home", [lambda name: Path("~/.config") / name, _raise_no_home], ids=["tilde", "raises"])
def test_no_home_is_a_note(no_home: Callable[[str], Path], alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_config_path", no_home)
    loaded = load()
    assert loaded.preset().clients == 4
    assert any("no home directory" in note for note in loaded.notes)


def test_a_working_directory_that_is_gone_is_no_error(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = alone / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load().preset().clients == 4


def test_an_unknown_preset_names_the_nearest_and_all(alone: Path) -> None:
    with pytest.raises(UsageError, match=r"no such preset: 'smok' \(did you mean 'smoke'\? There are: smoke, .*cross-restore\)"):
        load().preset("smok")


def test_line_numbers_survive_multi_line_values_and_quoted_keys(alone: Path, write: Write) -> None:
    write(
        "config.toml",
        '[presets.smoke]\ndescription = """\n[presets.smoke]\nclients = 99\n"""\r\nsteps = [\n  "snapshot-root", # clients = 5\n]\n'
        '"clients" = 6\nmix."run-gc" = 2\noptions = { run-gc = { mode = "contend" } }\n',
    )
    loaded = load()
    where = {key: loaded.origin(f"presets.smoke.{key}") for key in ("description", "steps", "clients", "mix.run-gc", "options.run-gc.mode")}
    assert where == {
        "description": "config.toml:2",
        "steps": "config.toml:6",
        "clients": "config.toml:9",
        "mix.run-gc": "config.toml:10",
        "options.run-gc.mode": "config.toml:11",
    }
