"""The writers by the name that a preset uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from seatrial.children import Children
from seatrial.targets.protocols import Traits
from seatrial.workload.fio import FioFileWriter, find_fio
from seatrial.workload.native import NativeFileWriter
from seatrial.workload.protocol import FileWriter


def writer_factory(
    kind: Literal["native", "fio"], parent: Path, traits: Traits, children: Children, *, pool_seed: int = 0
) -> Callable[[str], FileWriter]:
    """Makes the writer of a client by its id; each has a data directory of its own below ``parent``.

    Native writers of one ``pool_seed`` share their duplicates. ``UsageError`` at once where the program that it needs is missing.
    """
    loses = traits.not_written
    if kind == "fio":
        program = find_fio()
        return lambda client_id: FioFileWriter(parent / client_id, client_id, program, children, loses=loses)
    return lambda client_id: NativeFileWriter(parent / client_id, client_id, traits.chunk_bytes, loses=loses, pool_seed=pool_seed)
