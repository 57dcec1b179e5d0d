"""The restic repository format, versions 1 and 2: reading, writing, collecting garbage, checking.

The order in which to read: errors, store (where files live), crypto, keys, gojson, codec, packs, index, repository (all of these
together), trees, snapshots, locks, writer, backup, restore, prune, check. Nothing here knows HTTP or outcomes.
"""
