"""``python -m seatrial.targets.embedded serve`` is the server; every other word is a command of ``maintenance``."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Dispatch; imports only what the word needs, as the server is started often."""
    if argv[:1] == ["serve"]:
        from seatrial.targets.embedded.server.main import main as serve  # noqa: PLC0415  # only what this command needs is imported

        return serve(argv[1:])
    from seatrial.targets.embedded import maintenance  # noqa: PLC0415  # only what this command needs is imported

    return maintenance.main(list(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
