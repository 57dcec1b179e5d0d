"""The file writer of many clients: each call goes to the instance of the context's client, made on first use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from seatrial.config.model import DeleteFilesOptions, DeleteSubdirectoryOptions, WriteOptions
from seatrial.context import Client, Context
from seatrial.multiclient.instances import PerClient
from seatrial.workload.protocol import FileWriter

NewFileWriter = Callable[[Context], FileWriter]


class MultiClientFileWriter:
    """A ``FileWriter`` for any number of clients. Threading: safe from any thread, each client from one at a time."""

    def __init__(self, new_writer: NewFileWriter) -> None:
        self._writers: PerClient[FileWriter] = PerClient(new_writer)

    def data_directory(self, ctx: Context) -> Path:
        return self._writers.get(ctx).data_directory(ctx)

    def write_random_files(self, ctx: Context, options: WriteOptions, seed: int) -> dict[str, Any]:
        return self._writers.get(ctx).write_random_files(ctx, options, seed)

    def delete_random_subdirectory(self, ctx: Context, options: DeleteSubdirectoryOptions, seed: int) -> dict[str, Any]:
        return self._writers.get(ctx).delete_random_subdirectory(ctx, options, seed)

    def delete_directory_contents(self, ctx: Context, options: DeleteFilesOptions, seed: int) -> dict[str, Any]:
        return self._writers.get(ctx).delete_directory_contents(ctx, options, seed)

    def delete_everything(self, ctx: Context) -> None:
        self._writers.get(ctx).delete_everything(ctx)

    def cleanup(self, ctx: Context) -> None:
        """Clean up the context's client and forget it."""
        if (writer := self._writers.pop(ctx)) is not None:
            writer.cleanup(ctx)

    def cleanup_all(self) -> None:
        """Clean up all clients and forget them."""
        for client_id, writer in self._writers.pop_all().items():
            writer.cleanup(Context(client=Client(client_id)))
