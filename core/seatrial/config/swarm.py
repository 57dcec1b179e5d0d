"""Swarm presets: the seed draws clients, weights, sizes and counts out of ranges. Pure.

Integers only, so that the same preset and seed draw the same on any machine.
"""

from __future__ import annotations

import msgspec

from seatrial.config.model import ActionName, ActionOptions, Preset, SwarmSettings
from seatrial.seeds import derive

NEVER_DRAWN = frozenset({ActionName.RESTORE_INTO_DATA, ActionName.REMOVE_CLIENT})
"""Unless the preset's own mix names them: the first takes the place of a client's data, the second ends a client."""
AT_LEAST_ONE = frozenset({ActionName.WRITE, ActionName.SNAPSHOT})
"""Without them nothing is there to be tested."""


def pinned(preset: Preset, clients: int | None) -> Preset:
    """A swarm preset draws its clients; a number that was asked for leaves nothing to draw."""
    if clients is None or preset.swarm is None:
        return preset
    return msgspec.structs.replace(preset, swarm=msgspec.structs.replace(preset.swarm, clients=(clients, clients)))


def resolve(preset: Preset, root_seed: int) -> Preset:
    """The preset with everything drawn, and so without ranges; one without ranges as it is.

    Drawn are: clients; a weight for each action of the preset's mix (for each but ``NEVER_DRAWN`` where it has none); the least and the
    greatest number and size of files; the depth, for writing and deleting alike.
    """
    ranges = preset.swarm
    if ranges is None:
        return preset
    files = sorted(_magnitude(root_seed, name, *ranges.num_files) for name in ("files-a", "files-b"))
    sizes = sorted(_magnitude(root_seed, name, *ranges.file_size) for name in ("size-a", "size-b"))
    depth = _uniform(root_seed, "depth", *ranges.dir_depth)
    replace = msgspec.structs.replace
    options: ActionOptions = replace(
        preset.options,
        write=replace(
            preset.options.write,
            max_dir_depth=depth,
            min_num_files_per_write=files[0],
            max_num_files_per_write=files[1],
            min_file_size=sizes[0],
            max_file_size=sizes[1],
        ),
        delete_subdirectory=replace(preset.options.delete_subdirectory, max_dir_depth=max(1, depth)),
        delete_files=replace(preset.options.delete_files, max_dir_depth=depth),
    )
    return replace(
        preset,
        clients=_uniform(root_seed, "clients", *ranges.clients),
        mix=_mix(preset, ranges, root_seed),
        options=options,
        swarm=None,
    )


def _mix(preset: Preset, ranges: SwarmSettings, root: int) -> dict[ActionName, float]:
    """A weight of 0 leaves an action out of this run, which is what finds what a full mix hides."""
    low, high = ranges.weight
    drawn = {}
    for name in ActionName:
        if preset.mix.get(name, 0) > 0 if preset.mix else name not in NEVER_DRAWN:
            drawn[name] = float(_uniform(root, name.value, max(1, low) if name in AT_LEAST_ONE else low, high))
    if not any(drawn.values()):
        drawn = dict.fromkeys(drawn, float(high))
    return drawn


def _uniform(root: int, what: str, low: int, high: int) -> int:
    """Each value of the range alike."""
    return low + derive(root, "swarm", what) % (high - low + 1)


def _magnitude(root: int, what: str, low: int, high: int) -> int:
    """Each order of magnitude (power of two above ``low``) alike: small files are as likely as large ones."""
    bits = derive(root, "swarm", what, "magnitude") % ((high - low).bit_length() + 1)
    return low + min(high - low, derive(root, "swarm", what) % (1 << bits))
