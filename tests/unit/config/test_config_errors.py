"""Every mistake is one UsageError that names file and line, key, value, and what would be right."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.config.layers import FILE_BYTES_MAX, parse
from seatrial.config.loader import load_config
from seatrial.config.origin import leaves
from seatrial.errors import UsageError
from seatrial.verdicts import ExitCode

Write = Callable[[str, str], Path]


def refusal(*sets: str, config_file: Path | None = None, environ: Mapping[str, str] | None = None, preset: str | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        loaded = load_config(config_file=config_file, sets=sets, environ=environ or {}, preset=preset)
        loaded.preset_to_run(preset or loaded.config.default_preset)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "line", "parts"),
    [
        ("cleints = 3", 2, ["presets.smoke.cleints = 3", "unknown key", "'clients'"]),
        ("clients = 0", 2, ["presets.smoke.clients = 0", "whole number from 1 to 10000"]),
        ("clients = 2.5", 2, ["presets.smoke.clients = 2.5", "whole number"]),
        ("clients = true", 2, ["presets.smoke.clients = true", "whole number"]),
        ("clients = 1979-05-27", 2, ['presets.smoke.clients = "1979-05-27"', "whole number"]),
        ("description = 1979-05-27", 2, ["presets.smoke.description", "a string"]),
        ("\nduration_s = '5 parsecs'", 3, ['duration_s = "5 parsecs"', "seconds", '"5m"']),
        ("duration_s = inf", 2, ["duration_s = Infinity", "from 0 to"]),
        ("duration_s = nan", 2, ["duration_s = NaN", "from 0 to"]),
        ("writer = 'fioo'", 2, ['writer = "fioo"', "'fio'"]),
        ("expect = 3", 2, ["expect = 3", "valid: pass, fail"]),
        ("steps = ['snapshot-root', 'snapshot-rot']", 2, ['steps[1] = "snapshot-rot"', "'snapshot-root'"]),
        ("steps = 'snapshot-root'", 2, ["must be an array"]),
        ("mix = 3", 2, ["presets.smoke.mix = 3", "must be a table"]),
        ("mix.snapshotroot = 3", 2, ["presets.smoke.mix.snapshotroot = 3", "unknown key", "'snapshot-root'"]),
        ("mix.snapshot-root = -1", 2, ["presets.smoke.mix.snapshot-root = -1", "a number from 0 to"]),
        ("options.write-random-files.max-file-size = '64 miles'", 2, ['"64 miles"', "a size in bytes", '"64MiB"']),
        ("options.write-random-files.max-file-sze = 1", 2, ["max-file-sze = 1", "'max-file-size'"]),
        ("options.write-random-files.min-file-size = '1MiB'", 2, ["min-file-size (1048576) is above max-file-size (131072)"]),
        ("embedded.port = 70000", 2, ["embedded.port = 70000", "from 0 to 65535"]),
        ("embedded.fsync = 'no'", 2, ["true or false"]),
        ("swarm.clients = [1]", 2, ["swarm.clients", "array of 2"]),
        ("swarm.clients = [5, 'x']", 2, ['swarm.clients[1] = "x"']),
        ("swarm.clients = [5, 2]", 2, ["clients", "(5)", "(2)"]),
        ("swarm.weight = [0, 0]", 2, ["no action could be drawn"]),
        ("extends = 'smoke'", 2, ["extends itself", "smoke -> smoke"]),
        ("extends = 'soakk'", 2, ["no such preset", "'soak'"]),
        ("extends = 3", 2, ["extends = 3", "no such preset"]),
    ],
)
def test_a_bad_value_is_named_with_its_place(alone: Path, write: Write, body: str, line: int, parts: list[str]) -> None:
    path = write("bad.toml", f"[presets.smoke]\n{body}\n")
    text = refusal(config_file=path)
    assert text.startswith(f"{path}:{line}: ")
    for part in parts:
        assert part in text


CLUSTER = "embedded.store=cluster"


@pytest.mark.parametrize(
    ("sets", "parts"),
    [
        (["embedded.stop_nodes=1"], ["smoke.embedded.stop_nodes = 1: there are no nodes", 'store = "cluster"']),
        (["embedded.drain_nodes=1"], ["drain_nodes = 1: there are no nodes"]),
        (["embedded.split_nodes=1"], ["split_nodes = 1: there are no nodes"]),
        ([CLUSTER, "embedded.stop_nodes=6"], ["stop_nodes = 6: there are 5 nodes", "at most 5"]),
        ([CLUSTER, "embedded.drain_nodes=6"], ["drain_nodes = 6: there are 5 nodes", "at most 5"]),
        ([CLUSTER, "embedded.replication=1", "embedded.drain_nodes=1"], ["drain_nodes = 1: with replication = 1", "replication = 2"]),
        ([CLUSTER, "embedded.split_nodes=2"], ["split_nodes = 2: with 5 nodes, replication = 3", "can do without 1", "set 1"]),
        ([CLUSTER, "embedded.write_consistency=all", "embedded.split_nodes=1"], ["can do without none", "both consistencies to quorum"]),
        ([CLUSTER, "embedded.read_consistency=all", "embedded.split_nodes=1"], ["can do without none"]),
        ([CLUSTER, "embedded.write_consistency=one", "embedded.split_nodes=1"], ["can do without none"]),
        ([CLUSTER, "embedded.nodes=2", "embedded.replication=2", "embedded.split_nodes=1"], ["can do without none"]),
        (
            [CLUSTER, "embedded.write_consistency=one", "embedded.stop_nodes=1"],
            ["stop_nodes = 1: a node that loses all", 'expect = "fail"'],
        ),
        ([CLUSTER, "embedded.replication=1", "embedded.stop_nodes=1"], ["stop_nodes = 1: a node that loses all", "replication = 1"]),
    ],
)
def test_faults_of_nodes_that_cannot_be_are_refused_by_key_with_a_remedy(alone: Path, sets: list[str], parts: list[str]) -> None:
    text = refusal(*sets, preset="smoke")
    assert text.startswith(f"--set {sets[-1]}: presets.smoke.embedded.")
    for part in parts:
        assert part in text


@pytest.mark.parametrize("key", ["stop_nodes", "drain_nodes", "split_nodes"])
@pytest.mark.parametrize(
    ("sets", "parts"),
    [
        (["server=https://me@example.org/there/"], ["'https://me@example.org/there/' is not seatrial's", "leave out --server"]),
        (["target=restic", "restic.server=rest-server"], ["restic.server = 'rest-server'", 'restic.server = "embedded"']),
        (["target=restic", "restic.server=rclone"], ["restic.server = 'rclone'", 'restic.server = "embedded"']),
        (["target=restic"], ["restic.server = 'auto'", 'restic.server = "embedded"']),
        (["target=restic", "restic.server=embedded", "server=https://me@example.org/"], ["leave out --server"]),
        (["target=kopia"], ["the target 'kopia'", "--target embedded or restic"]),
        (["targets=['embedded', 'borg']"], ["the target 'borg'", "--target embedded or restic"]),
    ],
)
def test_faults_of_nodes_of_a_server_that_has_none_are_refused_with_their_place(
    alone: Path, write: Write, key: str, sets: list[str], parts: list[str]
) -> None:
    path = write("nodes.toml", f"[presets.mine.embedded]\nstore = 'cluster'\n{key} = 1\n")
    assert load_config(config_file=path, environ={}).preset_to_run("mine").embedded.node_faults == {key: 1}
    text = refusal(*sets, config_file=path, preset="mine")
    assert text.startswith(f"{path}:3: presets.mine.embedded.{key} = 1: ")
    for part in parts:
        assert part in text


def test_a_cluster_without_faults_is_not_asked_of_another_server_either(alone: Path) -> None:
    text = refusal("target=borg", CLUSTER, preset="smoke")
    assert text.startswith(f"--set {CLUSTER}: presets.smoke.embedded.store = \"cluster\": the target 'borg'")


def test_what_loses_more_than_is_borne_may_be_planned_where_the_loss_is_expected(alone: Path) -> None:
    sets = [CLUSTER, "embedded.replication=1", "embedded.stop_nodes=1", "expect=fail"]
    preset = load_config(sets=sets, environ={}, preset="smoke").preset_to_run("smoke")
    assert preset.embedded.node_faults == {"stop_nodes": 1}
    wide = [CLUSTER, "embedded.nodes=9", "embedded.replication=5", "embedded.split_nodes=2", "embedded.drain_nodes=9"]
    preset = load_config(sets=wide, environ={}, preset="smoke").preset_to_run("smoke")
    assert preset.embedded.node_faults == {"drain_nodes": 9, "split_nodes": 2}


@pytest.mark.parametrize("preset", ["smoke", "soak"])
def test_a_preset_runs_on_another_target_although_one_that_extends_it_could_not(alone: Path, preset: str) -> None:
    assert load_config(sets=["target=kopia"], environ={}, preset=preset).preset_to_run(preset).target == "kopia"


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"clients = [1,\n2\nx", ["bad.toml:3:1", "not valid TOML"]),
        (b"a = 1\na = 2", ["bad.toml:2", "not valid TOML"]),
        (b'[presets]\nname = "caf\xe9"', ["bad.toml:2", "not UTF-8"]),
        (b"x = " + b"[" * 5000 + b"]" * 5000, ["bad.toml", "nested"]),
        (b"x = " + b"9" * 5000, ["bad.toml", "not usable"]),
        (".".join("a" * 40).encode() + b" = 1", ["bad.toml", "nested"]),
        (b"#" * (FILE_BYTES_MAX + 1), ["bad.toml", "larger than"]),
        (b"default_presett = 'smoke'", ["bad.toml:1", 'default_presett = "smoke"', "'default_preset'"]),
        (b"[presets.'a b']\nclients = 2", ["bad.toml:1", '"a b"', "not a valid name"]),
        (b"presets = 3", ["bad.toml:1", "presets = 3", "must be a table"]),
        (b"[[presets]]\nclients = 2", ["bad.toml:1", "must be a table"]),
        (b"[presets]\nsmoke = 1", ["bad.toml:2", "presets.smoke = 1", "must be a table"]),
        (b"default_preset = 'smokey'", ["bad.toml:1", "default_preset = 'smokey'", "'smoke'"]),
    ],
)
def test_a_bad_file_is_named(alone: Path, content: bytes, parts: list[str]) -> None:
    path = alone / "bad.toml"
    path.write_bytes(content)
    text = refusal(config_file=path)
    for part in parts:
        assert part in text


def test_a_chain_of_presets_is_bounded(alone: Path, write: Write) -> None:
    chain = "".join(f"[presets.p{n}]\nextends = 'p{n + 1}'\n" for n in range(2000)) + "[presets.p2000]\n"
    assert "one chain" in refusal(config_file=write("chain.toml", chain))


def test_a_circle_of_presets_is_shown(alone: Path, write: Write) -> None:
    circle = "[presets.a]\nextends = 'b'\n[presets.b]\nextends = 'c'\n[presets.c]\nextends = 'a'\n"
    assert "a -> b -> c -> a" in refusal(config_file=write("circle.toml", circle))


def test_a_file_that_is_not_there(alone: Path) -> None:
    assert "none.toml: no such configuration file" in refusal(config_file=alone / "none.toml")


def test_a_directory_is_no_file(alone: Path) -> None:
    assert "Is a directory" in refusal(config_file=alone)


def test_a_file_that_may_not_be_read(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (alone / "home" / "seatrial").mkdir(parents=True)
    secret = alone / "secret.toml"
    secret.write_text("")
    monkeypatch.setattr(type(secret), "open", refuse)
    assert "Permission denied" in refusal(config_file=secret)


def test_a_loop_of_links_is_no_file(alone: Path) -> None:
    loop = alone / "loop.toml"
    loop.symlink_to(loop)
    assert "cannot read" in refusal(config_file=loop)


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("clients", ["'clients' is not key=value"]),
        ("=3", ["'' is not a dotted key"]),
        ("a b=3", ["'a b' is not a dotted key"]),
        ("a = 1\nb=3", ["presets.smoke.a"]),
        ("cleints=3", ["--set cleints=3: presets.smoke.cleints = 3: unknown key", "'clients'"]),
        ("clients=four", ['presets.smoke.clients = "four"', "whole number"]),
        ("presets.smok.clients=3", ["no such preset: 'smok'", "'smoke'"]),
        (f"{'.'.join('a' * 15)}=3", ["nested"]),
        (f"verify={'{a=' * 15}1{'}' * 15}", ["nested"]),
        ("mix={snapshot-rot=1}", ["presets.smoke.mix.snapshot-rot = 1", "'snapshot-root'"]),
    ],
)
def test_a_bad_setting_is_named(alone: Path, setting: str, parts: list[str]) -> None:
    text = refusal(setting)
    assert "--set" in text
    for part in parts:
        assert part in text


def test_a_mix_of_nothing_is_refused(alone: Path, write: Write) -> None:
    path = write("nothing.toml", "[presets.empty]\nduration_s = 5\nmix = { run-gc = 0 }\n")
    assert refusal(config_file=path).startswith(f"{path}:3: presets.empty: mix: no action has a weight above 0")


def test_a_setting_for_a_preset_that_is_not_there_makes_none(alone: Path) -> None:
    assert "no such preset: 'smok'" in refusal("clients=2", preset="smok")


def test_a_mistyped_variable_is_named(alone: Path) -> None:
    assert "did you mean SEATRIAL_RUNS_DIR?" in refusal(environ={"SEATRIAL_RUN_DIR": "/srv"})
    assert "environment SEATRIAL_SET cleints=1" in refusal(environ={"SEATRIAL_SET": "clients=2;cleints=1"})


KEYS = st.one_of(
    st.sampled_from(
        ["presets", "run", "smoke", "clients", "mix", "options", "write-random-files", "swarm", "steps", "extends", "duration_s"]
    ),
    st.text(max_size=6),
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.sampled_from(["smoke", "a", "5m", "64MiB", "snapshot-root"]),
)
TREES = st.dictionaries(
    KEYS, st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)
)


def toml(value: object) -> str:
    """TOML of a drawn value; None is a bare word, which is not TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return quoted(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(char):08x}" if not char.isalnum() else char for char in text) + '"'


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_any_file_loads_or_is_refused_with_a_place(tree: dict[str, object]) -> None:
    text = "\n".join(f"{quoted(key)} = {toml(value)}" for key, value in tree.items())
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(text.encode("utf-8", "surrogatepass"))
        file.flush()
        try:
            loaded = load_config(config_file=Path(file.name), environ={})
        except UsageError as error:
            assert error.where.startswith(file.name)
        else:
            assert loaded.rows(defaults=True)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=30), st.tuples(KEYS, KEYS, st.text(max_size=12)).map(lambda t: f"{t[0]}.{t[1]}={t[2]}")))
def test_any_setting_is_taken_or_refused(setting: str) -> None:
    try:
        loaded = load_config(sets=[setting], environ={}, config_file=Path(os.devnull))
    except UsageError as error:
        assert error.where.startswith("--set")
    else:
        assert loaded.rows(defaults=True)


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    try:
        layer = parse(data, "some.toml")
    except UsageError as error:
        assert error.where.startswith("some.toml")
    else:
        assert all(path in layer.origins for path, _ in leaves(layer.tree))
