"""The outcome table: what is known of a kopia command from its exit code and its words.

FAILED is a promise that nothing anybody can see has happened. kopia opens the repository before it does anything, uploads before it saves
the snapshot, and flushes last; so what it says of the first two settles that there is no snapshot, and what it says of the last does not.
"""

from __future__ import annotations

from seatrial.targets.programs.outcomes import OutcomeTable, Row
from seatrial.verdicts import Outcome

_CREATE, _RESTORE, _DELETE, _GC = (frozenset({name}) for name in ("create", "restore", "delete", "gc"))
_OPENING = r"(open repository: |error connecting to API server: |error connecting to storage|can't connect to storage)"

TABLE = OutcomeTable(
    rows=(
        Row(
            operations=_CREATE,
            code=0,
            text=r'"incomplete":"',
            outcome=Outcome.UNKNOWN,
            cause="incomplete",
            recognised="exit code 0 with `incomplete` in the JSON: it was told to end, and stored what it had; listings leave it out",
        ),
        Row(
            text=r"code = PermissionDenied",
            outcome=Outcome.FAILED,
            cause="denied",
            recognised="`PermissionDenied`: the server knows no such user and password, or the user may not do this",
        ),
        Row(
            text=r"can't find certificate matching SHA256 fingerprint",
            outcome=Outcome.FAILED,
            cause="denied",
            recognised="the server's certificate is not the pinned one",
        ),
        Row(
            text=r"invalid repository password",
            outcome=Outcome.FAILED,
            cause="wrong-password",
            recognised="`invalid repository password`",
        ),
        Row(
            text=r"repository not initialized in the provided storage",
            outcome=Outcome.FAILED,
            cause="missing",
            recognised="there is no repository",
        ),
        Row(
            text=_OPENING + r"[\s\S]*(connection refused|code = Unavailable|code = DeadlineExceeded|EOF)",
            outcome=Outcome.FAILED,
            cause="unreachable",
            recognised="the repository could not be opened, because the server did not answer",
        ),
        Row(
            operations=_CREATE | _DELETE,
            text=r"no space left on device|disk quota exceeded",
            outcome=Outcome.UNKNOWN,
            cause="no-space",
            recognised="`no space left on device`, here or on the server, perhaps after what counts was written",
        ),
        Row(
            operations=_CREATE,
            text=r"flush error: ",
            outcome=Outcome.UNKNOWN,
            cause="unreachable",
            recognised="`flush error`: the snapshot was saved on this side, and whether the server has it is open",
        ),
        Row(
            operations=_CREATE,
            text=r"Found \d+ fatal error\(s\) while snapshotting",
            outcome=Outcome.UNKNOWN,
            cause="source-unreadable",
            recognised="`Found n fatal error(s)`, exit code 1: the snapshot was saved all the same, without what could not be read",
        ),
        Row(
            text=r"no space left on device|disk quota exceeded",
            outcome=Outcome.FAILED,
            cause="no-space",
            recognised="`no space left on device`, here or on the server",
        ),
        Row(
            operations=_CREATE,
            text=r"failed to prepare source",
            outcome=Outcome.FAILED,
            cause="source-unreadable",
            recognised="`failed to prepare source`: nothing was uploaded",
        ),
        Row(
            operations=_DELETE,
            text=r"no snapshots matched",
            outcome=Outcome.FAILED,
            cause="missing",
            recognised="`no snapshots matched`",
        ),
        Row(
            text=r"(BLOB|blob) not found|backed by missing blob",
            operations=_RESTORE,
            outcome=Outcome.FAILED,
            cause="missing-data",
            recognised="`BLOB not found`: data that the snapshot needs is gone",
        ),
        Row(
            operations=_RESTORE,
            text=r"unable to open object: ([0-9a-f]{32}): content \1 not found",
            outcome=Outcome.FAILED,
            cause="missing",
            recognised="`content ID not found`, with the snapshot's own id: there is no such snapshot",
        ),
        Row(
            operations=_RESTORE,
            text=r"content \w+ not found|object not found",
            outcome=Outcome.FAILED,
            cause="missing-data",
            recognised="`content not found`, with another id: data that the snapshot needs is gone",
        ),
        Row(
            operations=_RESTORE,
            text=r"invalid checksum|invalid data|authentication failed|unable to decrypt|decrypt error",
            outcome=Outcome.FAILED,
            cause="corrupt",
            recognised="data that does not decrypt or has another checksum",
        ),
        Row(
            operations=_GC,
            code=0,
            text=r"(?s)\A(?!.*Finished full maintenance)",
            outcome=Outcome.FAILED,
            cause="contended",
            recognised="exit code 0 without `Finished full maintenance`: another maintenance held the lock, and nothing was done",
        ),
        Row(
            operations=_GC,
            text=r"operation supported only on direct repository",
            outcome=Outcome.FAILED,
            cause="denied",
            recognised="`operation supported only on direct repository`: clients may not",
        ),
    )
)
