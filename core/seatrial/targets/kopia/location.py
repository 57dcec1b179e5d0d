"""Where the repository lies: a directory of this machine, or a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from seatrial.config.loader import other_variable
from seatrial.errors import UsageError

_MARK = "kopia.repository.f"
_KEY = "kopia.repo"


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """A place for a repository, in kopia's words."""

    arguments: tuple[str, ...]
    """Of ``repository create`` and ``repository connect``."""
    directory: Path | None
    """None for a bucket."""

    @property
    def marks(self) -> tuple[str, ...]:
        """By which a repository of the directory is known."""
        return () if self.directory is None else (_MARK,)

    @property
    def exists(self) -> bool | None:
        """Whether there is a repository; None where only an attempt tells."""
        return None if self.directory is None else (self.directory / _MARK).exists()

    @property
    def title(self) -> str:
        return str(self.directory) if self.directory is not None else " ".join(self.arguments)


def location_of(repo: str, directory: Path) -> Location:
    """Of the setting ``kopia.repo``: ``directory`` where it is empty, or ``s3://bucket/prefix``.

    What else a bucket needs is in the environment, as for other programs that speak S3: ``AWS_ACCESS_KEY_ID`` and
    ``AWS_SECRET_ACCESS_KEY`` (read by kopia itself), ``AWS_SESSION_TOKEN``, ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` for a server
    that is not Amazon's, ``AWS_REGION``. Raises ``UsageError``.
    """
    if not repo:
        return Location(arguments=("filesystem", "--path", str(directory)), directory=directory)
    parts = urlsplit(repo)
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(f"{repo!r} is no place for a repository", where=_KEY, remedy="leave it empty, or say s3://bucket/prefix")
    missing = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not other_variable(name)]
    if missing:
        raise UsageError(f"{repo} needs {' and '.join(missing)}", where=_KEY, remedy="set them in the environment")
    prefix = parts.path.strip("/")
    arguments = ["s3", f"--bucket={parts.netloc}", *([f"--prefix={prefix}/"] if prefix else []), *_endpoint()]
    return Location(arguments=tuple(arguments), directory=None)


def _endpoint() -> list[str]:
    arguments = []
    if url := other_variable("AWS_ENDPOINT_URL_S3") or other_variable("AWS_ENDPOINT_URL"):
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise UsageError(f"{url!r} is no URL of a server", where="AWS_ENDPOINT_URL", remedy="say http://host:port or https://host:port")
        arguments += [f"--endpoint={parts.netloc}", *(["--disable-tls"] if parts.scheme == "http" else [])]
    if region := other_variable("AWS_REGION"):
        arguments.append(f"--region={region}")
    return arguments
