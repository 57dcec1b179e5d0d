"""Damage to an embedded repository's files, as a disk or an administrator would do it behind the server's back.

For the demonstration and for proving that seatrial catches what it claims to catch. Each function says what it did as a ``Fault``.
"""

from __future__ import annotations

from pathlib import Path

from seatrial.errors import HarnessError
from seatrial.history.events import Fault


def flip_byte(repository: Path) -> Fault:
    """Change one bit in the middle of the largest pack."""
    pack = largest_pack(repository)
    return Fault(fault="flip-byte", state="planted", detail=f"in pack {pack.name}: {flip_bit(pack)}")


def flip_bit(file: Path) -> str:
    """Change one bit in the middle of ``file``, of whatever format; returns what was done."""
    offset, mode = file.stat().st_size // 2, file.stat().st_mode
    file.chmod(0o600)  # packs are read-only
    with file.open("r+b") as opened:
        opened.seek(offset)
        byte = opened.read(1)[0]
        opened.seek(offset)
        opened.write(bytes([byte ^ 0x01]))
    file.chmod(mode & 0o7777)
    return f"byte {offset}: 0x{byte:02x} became 0x{byte ^ 1:02x}"


def delete_pack(repository: Path) -> Fault:
    """Remove the largest pack."""
    pack = largest_pack(repository)
    pack.unlink()
    return Fault(fault="delete-pack", state="planted", detail=f"pack {pack.name} was removed")


def remove_snapshot(repository: Path, snapshot_id: str) -> tuple[Fault, bytes]:
    """Remove a snapshot's file; also returns its bytes, for ``bring_back_snapshot``."""
    file = repository / "snapshots" / snapshot_id
    content = file.read_bytes()
    file.unlink()
    return Fault(fault="remove-snapshot", state="planted", detail=f"snapshot {snapshot_id} was removed behind the server's back"), content


def bring_back_snapshot(repository: Path, snapshot_id: str, content: bytes) -> Fault:
    """Put back the file of a snapshot that was deleted."""
    (repository / "snapshots" / snapshot_id).write_bytes(content)
    return Fault(fault="bring-back-snapshot", state="planted", detail=f"deleted snapshot {snapshot_id} was put back")


def largest_pack(repository: Path) -> Path:
    """The largest pack: it holds file contents, because trees are small."""
    packs = sorted((repository / "data").glob("??/*"), key=lambda path: (path.stat().st_size, path.name))
    if not packs:
        raise HarnessError("the repository holds no pack to damage", where=str(repository), remedy="let the clients write something first")
    return packs[-1]
