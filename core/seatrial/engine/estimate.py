"""What a run is going to write and to need, as far as that can be said ahead. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from seatrial.config.model import ActionName, Preset, WriteOptions
from seatrial.engine.plan import weights_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Volume:
    """Bytes of files, by mean and at most. Formula: files x size x writes, both uniform in their range; cut by the I/O limit."""

    expected_bytes: int
    most_bytes: int

    @classmethod
    def of_one_write(cls, options: WriteOptions) -> Volume:
        files = (options.min_num_files_per_write + options.max_num_files_per_write) / 2
        mean = int(files * (options.min_file_size + options.max_file_size) / 2)
        most = options.max_num_files_per_write * options.max_file_size
        if options.io_limit_per_write:
            mean, most = min(mean, options.io_limit_per_write), min(most, options.io_limit_per_write)
        return cls(expected_bytes=mean * options.repeat, most_bytes=most * options.repeat)

    def times(self, count: float) -> Volume:
        return Volume(expected_bytes=int(self.expected_bytes * count), most_bytes=int(self.most_bytes * count))


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a run would write and need. Random writes of a run that is limited by time cannot be counted ahead."""

    one_write: Volume
    writes: float
    """Of all clients, as far as they can be counted: steps, and the expected share of a counted number of random actions."""
    disk_bytes: int
    """Data directories, the repository after deduplication, and a restored copy at every client."""

    @classmethod
    def of(cls, preset: Preset) -> Estimate:
        """Of a preset whose ranges have been drawn (``Plan.preset``); one with ranges is taken at what it says beside them."""
        options = preset.options.write
        weights = weights_of(preset)
        share = weights.get(ActionName.WRITE, 0) / (sum(weights.values()) or 1)
        stepped = Counter(preset.steps)[ActionName.WRITE] * preset.rounds
        one_write = Volume.of_one_write(options)
        writes = preset.clients * preset.repeat_action * (stepped + share * preset.actions_per_client)
        data = one_write.times(writes).expected_bytes
        duplicate = (options.min_dedupe_percent + options.max_dedupe_percent) / 200
        return cls(one_write=one_write, writes=writes, disk_bytes=int(data * (3 - duplicate)))
