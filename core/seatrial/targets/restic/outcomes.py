"""The outcome table of ``restic``. Before 0.17 almost everything is exit code 1, and only the text tells.

Whatever is FAILED for a create or a delete was refused before anything could be seen by others: while the repository was opened or
locked, or by an answer that settles it.
"""

from __future__ import annotations

import re

from seatrial.targets.programs.outcomes import OutcomeTable, Row
from seatrial.verdicts import Outcome

CODES_SINCE = (0, 17)
"""Exit codes 10 and 11; 12 since 0.17.1."""
_GIVES_UP_SINCE = (0, 17)
"""Until then restic repeats for 43 s what was answered 403 or 404, its lock held."""
LOCK_VANISHED = "lock-vanished"
"""To be done again at once."""
_CREATE, _DELETE, _RESTORE = frozenset({"create"}), frozenset({"delete"}), frozenset({"restore"})
_READS = frozenset({"restore", "list", "verify"})
_OPENING = r"unable to open config file: [\s\S]*"
_AGAIN, _AGAIN_AND_AGAIN = r"returned error, retrying after \S+: .*", r"returned error, retrying after (\d{2,}|[4-9])\.\S+: .*"
"""The second one after some 7 s of trying."""
_GONE = "(does not exist|no such file or directory)"
"""Over the network, in a directory."""
_BEFORE_LOCKING = r"\s*(using temporary cache in .*\s*)?(create exclusive lock for repository\s*)?"
"""What ``check`` says on stdout."""
_LOCK_VANISHED = r"Load\(<lock/\w+>\S* \S+ \S+ returned error, retrying after ([\d.]+ms|[1-5]\.\d+s): .*" + _GONE + _BEFORE_LOCKING + r"\Z"
"""The last thing it said, and not near the end of its 43 s, after which it goes on without that lock: nothing but locking has happened."""
_NOT_ALLOWED = r"Remove\(<snapshot/\w+>\) " + _AGAIN + r"\b403\b"
_PACK_LOST = r"Load\(<data/\w+>\S* \S+ \S+ " + _AGAIN_AND_AGAIN + _GONE
_FULL = r"Save\(<(data|index)/\w+>\) " + _AGAIN + r"\(507\)"
_ANOTHER = r"Stat\(<config/>\) " + _AGAIN + "x509: "
_NOBODY_THERE = r"Stat\(<config/>\) " + _AGAIN_AND_AGAIN + "connection refused"
_WRONG = "(ciphertext verification failed|hash mismatch|invalid data returned|wrong data returned|does not match id|decrypt)"
_NOT_AS_WRITTEN = r"(?m:^)(?!.*(<|\\u003c)lock/).*" + _WRONG
"""Of anything but a lock, which rclone shows while it is written."""
_NO_SUCH_SNAPSHOT = r"no matching ID found|failed to load snapshot \S+: (<|\\u003c)snapshot/\w+(>|\\u003e) does not exist"

TABLE = OutcomeTable(
    rows=(
        Row(
            given_up=True,
            text=_LOCK_VANISHED,
            before=_GIVES_UP_SINCE,
            outcome=Outcome.FAILED,
            cause=LOCK_VANISHED,
            recognised="given up: asked again for a lock that somebody has given back; it had not begun by then",
        ),
        Row(
            operations=_DELETE,
            given_up=True,
            text=_NOT_ALLOWED,
            before=_GIVES_UP_SINCE,
            outcome=Outcome.FAILED,
            cause="denied",
            recognised="given up: `forget` was answered 403, and asked again",
        ),
        Row(
            operations=_READS,
            given_up=True,
            text=_PACK_LOST,
            before=_GIVES_UP_SINCE,
            outcome=Outcome.FAILED,
            cause="missing-data",
            recognised="given up: asked for a pack that is not there, for 7 s",
        ),
        Row(
            given_up=True,
            text=_NOBODY_THERE,
            since=_GIVES_UP_SINCE,
            outcome=Outcome.FAILED,
            cause="unreachable",
            recognised="given up: opening the repository found nobody there, for 7 s",
        ),
        Row(
            given_up=True,
            text=_ANOTHER,
            since=_GIVES_UP_SINCE,
            outcome=Outcome.FAILED,
            cause="denied",
            recognised="given up: opening the repository met another certificate, and tried again",
        ),
        Row(
            operations=_CREATE,
            given_up=True,
            text=_FULL,
            before=_GIVES_UP_SINCE,
            outcome=Outcome.FAILED,
            cause="no-space",
            recognised="given up: a pack or an index was answered 507, and sent again",
        ),
        Row(code=11, since=CODES_SINCE, outcome=Outcome.FAILED, cause="contended", recognised="exit code 11: the lock was refused"),
        Row(
            code=1,
            text="repository is already locked",
            before=CODES_SINCE,
            outcome=Outcome.FAILED,
            cause="contended",
            recognised="exit code 1 and `repository is already locked`",
        ),
        Row(code=10, since=CODES_SINCE, outcome=Outcome.FAILED, cause="no-repository", recognised="exit code 10"),
        Row(code=12, since=CODES_SINCE, outcome=Outcome.FAILED, cause="wrong-password", recognised="exit code 12"),
        Row(
            code=1,
            text="wrong password or no key found",
            outcome=Outcome.FAILED,
            cause="wrong-password",
            recognised="exit code 1 and `wrong password or no key found`",
        ),
        Row(
            code=1,
            text=_OPENING + r"\b40[13]\b",
            outcome=Outcome.FAILED,
            cause="denied",
            recognised="exit code 1, and opening the repository was answered 401 or 403",
        ),
        Row(
            code=1,
            text=_OPENING + "(connection refused|no such host|no route to host)",
            outcome=Outcome.FAILED,
            cause="unreachable",
            recognised="exit code 1, and opening the repository found nobody there",
        ),
        Row(
            code=1,
            text=_OPENING + "x509:",
            outcome=Outcome.FAILED,
            cause="denied",
            recognised="exit code 1, and opening the repository met another certificate",
        ),
        Row(
            code=1,
            text=_OPENING + r"(\b404\b|does not exist)",
            before=CODES_SINCE,
            outcome=Outcome.FAILED,
            cause="no-repository",
            recognised="exit code 1, and opening the repository was answered 404",
        ),
        Row(
            operations=_DELETE,
            code=0,
            text="no matching ID found",
            outcome=Outcome.FAILED,
            cause="missing",
            recognised="`forget` of an unknown id: exit code 0 and `no matching ID found` (0.14)",
        ),
        Row(
            operations=_DELETE | _RESTORE,
            code=1,
            text=_NO_SUCH_SNAPSHOT,
            outcome=Outcome.FAILED,
            cause="missing",
            recognised="exit code 1, and the snapshot does not exist",
        ),
        Row(
            operations=_DELETE,
            code=3,
            text=r"unexpected HTTP response \(403\)",
            since=CODES_SINCE,
            outcome=Outcome.FAILED,
            cause="denied",
            recognised="`forget` with exit code 3: the server answered 403",
        ),
        Row(
            operations=_CREATE,
            code=3,
            outcome=Outcome.UNKNOWN,
            cause="incomplete",
            recognised="`backup` with exit code 3: something was unreadable, and the snapshot exists without it",
        ),
        Row(
            operations=_CREATE,
            code=1,
            text="all (source|target) directories/files do not exist",
            outcome=Outcome.FAILED,
            cause="source-unreadable",
            recognised="`backup` with exit code 1: there was nothing to read",
        ),
        Row(
            operations=_CREATE,
            code=1,
            text="snapshot is empty",
            outcome=Outcome.FAILED,
            cause="source-empty",
            recognised="`backup .` of an empty directory: exit code 1 and `snapshot is empty`",
        ),
        Row(
            operations=_RESTORE,
            code=1,
            text="no space left on device",
            outcome=Outcome.FAILED,
            cause="no-space",
            recognised="exit code 1: the disk of the client is full",
        ),
        Row(
            operations=_CREATE,
            code=1,
            text=r"Save\(<(data|index)/\w+>\) failed: .*\(507\)",
            since=_GIVES_UP_SINCE,
            outcome=Outcome.FAILED,
            cause="no-space",
            recognised="exit code 1: a pack or an index was answered 507",
        ),
        Row(
            operations=_READS,
            code=1,
            text=r"(<|\\u003c)data/\w+(>|\\u003e).* does not exist|\b404\b|not found in (the )?(index|repository)",
            outcome=Outcome.FAILED,
            cause="missing-data",
            recognised="exit code 1: a pack or blob is not there",
        ),
        Row(
            operations=_READS,
            code=1,
            text=_NOT_AS_WRITTEN,
            outcome=Outcome.FAILED,
            cause="corrupt",
            recognised="exit code 1: what is stored is not what was written",
        ),
        Row(
            operations=_RESTORE,
            code=2,
            text="creating restorer failed: .*" + _WRONG,
            before=CODES_SINCE,
            outcome=Outcome.FAILED,
            cause="corrupt",
            recognised="`restore` with exit code 2: the snapshot's file is not what was written",
        ),
    )
)


def hopeless(operation: str, said: str) -> bool:
    """Whether a command goes on trying what cannot come true, by what it has said on stderr so far."""
    return any(
        row.given_up and (not row.operations or operation in row.operations) and re.search(row.text, said) is not None for row in TABLE.rows
    )
