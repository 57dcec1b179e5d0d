"""Files that only we may read."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """``data`` at ``path``, mode 0600 from the first moment on; whole or not at all, also after a kill or a power cut.

    Threading: any thread; of several that write the same file at once the last one's stays.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:  # noqa: PTH123 (a mode at creation)
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)  # a secret, on a disk that may be full
        raise


def make_private_directory(path: Path) -> None:
    """``path`` as a directory of mode 0700; one that is there is kept as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
