"""zstd for blobs and files of format 2."""

from __future__ import annotations

import zstandard

from seatrial.targets.embedded.repository.errors import corrupt
from seatrial.targets.embedded.repository.store import Bytes

LEVEL = 3
"""What restic's default comes to."""


class Codec:
    """A compressor and a decompressor.

    Both keep about 2 MB once used, so that a codec is made for an operation and dropped with it, not kept by each of a thousand
    idle clients. Threading: one thread at a time.
    """

    __slots__ = ("_compressor", "_decompressor")

    def __init__(self) -> None:
        self._compressor: zstandard.ZstdCompressor | None = None
        self._decompressor = zstandard.ZstdDecompressor()

    def compress(self, plain: Bytes) -> bytes:
        """One frame, no checksum: the seal has one."""
        if self._compressor is None:
            self._compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False)
        return self._compressor.compress(plain)

    def decompress(self, frame: Bytes, limit: int) -> bytes:
        """At most ``limit`` bytes out of a frame, which need not carry its size; CORRUPT for a broken or larger one."""
        try:
            if zstandard.frame_content_size(frame) > limit:
                raise corrupt(f"a compressed frame of more than {limit} bytes")
            return self._decompressor.decompress(frame, max_output_size=limit)
        except zstandard.ZstdError as error:
            raise corrupt(f"a broken compressed frame: {error}") from error
