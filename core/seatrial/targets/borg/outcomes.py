"""borg's outcome table. With ``--log-json`` an error carries the name of its class, which is steadier than its words.

borg says little by exit codes: 2 is any error, 1 a warning or an inconsistent repository, and the deletion of an archive that is not
there ends with 0. Its transactions are what makes FAILED possible: until the commit nothing of a command can be seen.
"""

from __future__ import annotations

from seatrial.targets.programs.outcomes import OutcomeTable, Row
from seatrial.verdicts import Outcome

_CHANGES = frozenset({"create", "delete", "gc"})
_READS = frozenset({"restore", "list", "verify"})


def _raised(*names: str) -> str:
    """The regular expression for an error of one of these classes; one that came over ssh may have lost the class it is nested in."""
    return rf'"msgid": "(?:\w+[.])*({"|".join(name.replace(".", "[.]") for name in names)})"'


_NOT_THERE = r"ObjectNotFound|No such file or directory: '[^']*/data/\d+/\d+'"
_DAMAGED = _raised("IntegrityError", "DecompressionError", "CheckNeeded") + "|IntegrityError"

TABLE = OutcomeTable(
    rows=(
        Row(
            operations=frozenset({"delete"}),
            code=0,
            text=r"Archive \S+ not found",
            outcome=Outcome.FAILED,
            cause="missing",
            recognised="exit code 0, and a warning that the archive was not found",
        ),
        Row(
            text=_raised("LockTimeout", "LockFailed", "LockErrorT", "LockError"),
            outcome=Outcome.FAILED,
            cause="contended",
            recognised="LockTimeout: another has held the lock for all of --lock-wait",
        ),
        Row(text=_raised("Archive.DoesNotExist"), outcome=Outcome.FAILED, cause="missing", recognised="Archive.DoesNotExist"),
        Row(text=_raised("Archive.AlreadyExists"), outcome=Outcome.FAILED, cause="exists", recognised="Archive.AlreadyExists"),
        Row(
            text=r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
            outcome=Outcome.FAILED,
            cause="untrusted",
            recognised="ssh: the server shows another host key than the pinned one",
        ),
        Row(
            text=r"Permission denied \(|Too many authentication failures",
            outcome=Outcome.FAILED,
            cause="denied",
            recognised="ssh: the client's key is not, or no longer, accepted",
        ),
        Row(
            text=_raised("PathNotAllowed"),
            outcome=Outcome.FAILED,
            cause="denied",
            recognised="PathNotAllowed: the forced command restricts the client to another repository",
        ),
        Row(
            text=r"ssh: connect to host|ssh: Could not resolve hostname|kex_exchange_identification",
            outcome=Outcome.FAILED,
            cause="unreachable",
            recognised="ssh: no connection came about, so that nothing was sent",
        ),
        Row(
            text=_raised("PassphraseWrong", "PasscommandFailure", "NoPassphraseFailure"),
            outcome=Outcome.FAILED,
            cause="passphrase",
            recognised="PassphraseWrong and its like: nothing was read or written",
        ),
        Row(
            text=_raised("Repository.DoesNotExist", "Repository.InvalidRepository", "Repository.InvalidRepositoryConfig"),
            outcome=Outcome.FAILED,
            cause="no-repository",
            recognised="Repository.DoesNotExist, Repository.InvalidRepository",
        ),
        Row(
            text=_raised("InsufficientFreeSpaceError", "StorageQuotaExceeded"),
            outcome=Outcome.FAILED,
            cause="no-space",
            recognised="the repository refuses a commit for want of space: the transaction is rolled back",
        ),
        Row(
            text=r"No space left on device|Errno 28\b",
            outcome=Outcome.UNKNOWN,
            cause="no-space",
            recognised="No space left on device, wherever it was: a commit may have been under way",
        ),
        Row(
            operations=_READS,
            text=_NOT_THERE,
            outcome=Outcome.FAILED,
            cause="missing-data",
            recognised="ObjectNotFound, or a segment's file that is not there: stored data is missing",
        ),
        Row(
            operations=_READS,
            text=_DAMAGED,
            outcome=Outcome.FAILED,
            cause="corrupt",
            recognised="IntegrityError and its like: stored data is damaged",
        ),
        Row(
            operations=_CHANGES,
            text=f"{_NOT_THERE}|{_DAMAGED}",
            outcome=Outcome.UNKNOWN,
            cause="corrupt",
            recognised="either of them while something is changed: not known how far it came",
        ),
        Row(
            operations=frozenset({"create"}),
            code=1,
            outcome=Outcome.UNKNOWN,
            cause="incomplete",
            recognised="exit code 1, a warning: the archive exists, and something that it should hold could not be read",
        ),
        Row(
            operations=frozenset({"restore"}),
            code=1,
            outcome=Outcome.FAILED,
            cause="incomplete",
            recognised="exit code 1, a warning: something could not be restored as it was",
        ),
        Row(
            text=_raised("ConnectionClosed", "ConnectionClosedWithHint") + "|BrokenPipeError|ConnectionResetError",
            outcome=Outcome.UNKNOWN,
            cause="unreachable",
            recognised="the connection ended before the answer: a commit may have gone through",
        ),
    )
)
