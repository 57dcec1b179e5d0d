"""Where a repository lies, which server is meant, what commands get: settled before anything starts."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from seatrial.errors import UsageError
from seatrial.targets.kopia.attached import access_of
from seatrial.targets.kopia.client import connect_arguments
from seatrial.targets.kopia.location import location_of
from seatrial.targets.kopia.program import environment
from seatrial.targets.kopia.users import password_hash
from seatrial.targets.programs.caches import CacheGauge
from seatrial.targets.protocols import Access

FINGERPRINT = "ab" * 32
AWS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with keys and nothing else."""
    for name in AWS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return monkeypatch


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("KOPIA_PASSWORD", "of-alice")
    monkeypatch.delenv("KOPIA_SERVER_CERT_FINGERPRINT", raising=False)
    return monkeypatch


def test_without_a_setting_the_repository_is_the_directory_below_the_prefix(tmp_path: Path) -> None:
    location = location_of("", tmp_path)
    assert location.arguments == ("filesystem", "--path", str(tmp_path))
    assert location.exists is False
    (tmp_path / "kopia.repository.f").touch()
    assert location.exists is True


def test_a_bucket_with_a_prefix(s3: pytest.MonkeyPatch, tmp_path: Path) -> None:
    location = location_of("s3://bucket/some/prefix", tmp_path)
    assert location.arguments == ("s3", "--bucket=bucket", "--prefix=some/prefix/")
    assert location.exists is None
    assert location_of("s3://bucket", tmp_path).arguments == ("s3", "--bucket=bucket")


def test_a_bucket_of_a_server_that_the_environment_names(s3: pytest.MonkeyPatch, tmp_path: Path) -> None:
    s3.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    s3.setenv("AWS_REGION", "elsewhere")
    expected = ("s3", "--bucket=b", "--endpoint=127.0.0.1:9000", "--disable-tls", "--region=elsewhere")
    assert location_of("s3://b", tmp_path).arguments == expected
    s3.setenv("AWS_ENDPOINT_URL_S3", "https://store.example")
    assert "--endpoint=store.example" in location_of("s3://b", tmp_path).arguments
    assert "--disable-tls" not in location_of("s3://b", tmp_path).arguments


def test_no_secret_of_a_bucket_stands_on_the_command_line(s3: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "secret" not in " ".join(location_of("s3://bucket/prefix", tmp_path).arguments)


@pytest.mark.parametrize("repo", ["/some/where", "s3:///prefix", "gs://bucket", "s3://key:secret@bucket/prefix", "s3://bucket?x=1"])
def test_what_is_no_place_is_refused(s3: pytest.MonkeyPatch, tmp_path: Path, repo: str) -> None:
    with pytest.raises(UsageError, match="no place for a repository"):
        location_of(repo, tmp_path)


def test_missing_keys_and_a_wrong_endpoint_are_named(s3: pytest.MonkeyPatch, tmp_path: Path) -> None:
    s3.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    with pytest.raises(UsageError, match="no URL of a server"):
        location_of("s3://bucket", tmp_path)
    s3.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UsageError, match="needs AWS_SECRET_ACCESS_KEY"):
        location_of("s3://bucket", tmp_path)


def test_an_attached_server_is_told_by_url_and_its_password_by_environment(password: pytest.MonkeyPatch) -> None:
    access = access_of(f"https://alice%40laptop@host:51515?fingerprint={FINGERPRINT}")
    assert (access.url, access.user, access.password) == ("https://host:51515", "alice@laptop", "of-alice")
    assert access.fingerprint == FINGERPRINT
    assert "of-alice" not in repr(access)


def test_its_fingerprint_may_be_in_the_environment_and_written_with_colons(password: pytest.MonkeyPatch) -> None:
    assert access_of("https://alice%40laptop@host:51515").fingerprint == ""
    password.setenv("KOPIA_SERVER_CERT_FINGERPRINT", ":".join(["AB"] * 32))
    assert access_of("https://alice%40laptop@host:51515").fingerprint == FINGERPRINT


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://host:51515", "with a user"),
        ("https://alice@host:51515", "with a user"),
        ("http://alice%40laptop@host:51515", "with a user"),
        ("https://alice%40laptop:hidden@host:51515", "would stand in the journal"),
    ],
)
def test_a_url_that_does_not_say_enough_or_too_much_is_refused(password: pytest.MonkeyPatch, url: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as raised:
        access_of(url)
    assert raised.value.remedy


def test_without_a_password_it_is_refused(password: pytest.MonkeyPatch) -> None:
    password.delenv("KOPIA_PASSWORD")
    with pytest.raises(UsageError, match="password of alice@laptop is missing"):
        access_of("https://alice%40laptop@host:51515")


def test_a_client_is_on_a_host_of_seatrials_own_unless_its_name_says_which() -> None:
    def named(user: str) -> list[str]:
        access = Access(url="https://h:1", fingerprint="", user=user, password="p", repository_password="")
        return [argument for argument in connect_arguments(access) if argument.startswith("--override")]

    assert named("pet-uuid") == ["--override-username=pet-uuid", "--override-hostname=seatrial"]
    assert named("alice@laptop") == ["--override-username=alice", "--override-hostname=laptop"]


def test_a_certificate_is_pinned_where_its_fingerprint_is_known() -> None:
    access = Access(url="https://h:1", fingerprint="", user="u", password="p", repository_password="")
    assert not any("fingerprint" in argument for argument in connect_arguments(access))
    pinned = Access(url="https://h:1", fingerprint=FINGERPRINT, user="u", password="p", repository_password="")
    assert f"--server-cert-fingerprint={FINGERPRINT}" in connect_arguments(pinned)


def test_commands_live_in_a_home_of_their_own(tmp_path: Path) -> None:
    env = environment(tmp_path / "home", {"KOPIA_PASSWORD": "p"})
    places = [env[name] for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "KOPIA_LOG_DIR", "TMPDIR")]
    assert all(Path(place).is_relative_to(tmp_path) for place in places)
    assert Path(env["TMPDIR"]).is_dir()
    assert env["KOPIA_PASSWORD"] == "p"


def test_a_password_hash_is_salted_scrypt_as_kopia_stores_it() -> None:
    profile = json.loads(base64.b64decode(password_hash("p")))
    stored = base64.b64decode(profile["passwordHash"])
    assert profile["passwordHashVersion"] == 1
    assert stored[32:] == hashlib.scrypt(b"p", salt=stored[:32], n=65536, r=8, p=1, maxmem=1 << 27, dklen=32)
    assert stored[:32] != base64.b64decode(json.loads(base64.b64decode(password_hash("p")))["passwordHash"])[:32]


def test_a_cache_is_told_by_its_parts_and_empty_where_there_is_none(tmp_path: Path) -> None:
    for part, sizes in {"contents": (5, 7), "metadata": (11,)}.items():
        (tmp_path / "c" / part / "ab").mkdir(parents=True)
        for number, size in enumerate(sizes):
            (tmp_path / "c" / part / "ab" / str(number)).write_bytes(b"x" * size)
    (tmp_path / "c" / "CACHEDIR.TAG").write_text("not a part")
    frame = CacheGauge("server", tmp_path / "c", limit_bytes=500).frame()
    assert (frame.owner, frame.size_bytes, frame.files, frame.limit_bytes) == ("server", 23, 3, 500)
    assert frame.subdirectories == {"contents": 12, "metadata": 11}
    assert CacheGauge("server", tmp_path / "nowhere").frame().size_bytes == 0
