"""The golden vectors, bit for bit."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from seatrial.cluster import (
    AutoSyncBackoff,
    BadPatternError,
    Consistency,
    GossipMember,
    Item,
    MerkleTree,
    Node,
    Ring,
    build_key_matcher,
    build_merkle,
    find_owner_key,
    node_id_for,
    parse_seed_spec,
    required_acks,
    setup_in_process_cluster_rf,
    xxh64,
)
from seatrial.cluster import http_wire as wire
from seatrial.cluster.hashing import fnv1a32, shard_index
from seatrial.cluster.hints import hint_size
from seatrial.cluster.items import choose_newer, is_higher_version
from seatrial.cluster.latency import BOUNDS_NS, bucket

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("cluster_golden.json").read_text(encoding="utf-8"))
RINGS = ["ring_5_nodes_rf3_vn64", "ring_3_nodes_rf3_vn64", "ring_2_nodes_rf2_vn64"]


def ring(addresses: list[str], replication: int = 1, virtual_nodes: int = 64) -> Ring:
    made = Ring(replication=replication, virtual_nodes=virtual_nodes)
    made.build(Node.new("", address) for address in addresses)
    return made


def test_xxh64_fnv_shards_and_ids() -> None:
    assert {text: f"{xxh64(text.encode()):016x}" for text in GOLDEN["xxh64_hex_seed0"]} == GOLDEN["xxh64_hex_seed0"]
    assert {text: fnv1a32(text.encode()) for text in GOLDEN["fnv1a32"]} == GOLDEN["fnv1a32"]
    assert {text: shard_index(text, 8) for text in GOLDEN["shard_index_of_8"]} == GOLDEN["shard_index_of_8"]
    assert {text: node_id_for(text) for text in GOLDEN["node_id_from_address"]} == GOLDEN["node_id_from_address"]


@pytest.mark.parametrize("name", RINGS)
def test_lookups_of_derived_ids(name: str) -> None:
    golden = GOLDEN[name]
    made = ring(golden["addresses"], golden["replication"], golden["virtual_nodes"])
    rows = golden["lookups"] | golden.get("named_lookups", {})
    assert {key: made.lookup(key) for key in rows} == {key: row["ids"] for key, row in rows.items()}


def test_the_whole_table_of_five_nodes() -> None:
    golden = GOLDEN["ring_5_nodes_rf3_vn64"]
    table = ring(golden["addresses"], 3).vnode_hashes()
    assert len(table) == golden["vnode_count"]
    assert table[:8] == golden["vnode_hashes_first8"]
    assert table[-2:] == golden["vnode_hashes_last2"]
    assert f"{xxh64(chr(10).join(table).encode()):016x}" == golden["xxh64_hex_of_vnode_hashes_joined_by_newline"]


def test_lookups_of_explicit_ids() -> None:
    golden = GOLDEN["ring_explicit_ids_ABC_rf2_vn32"]
    made = Ring(replication=golden["replication"], virtual_nodes=golden["virtual_nodes"])
    made.build(Node.new(node_id, f"{node_id}:0") for node_id in golden["node_ids"])
    assert {key: made.lookup(key) for key in golden["lookups"]} == golden["lookups"]


def test_positions_repeat_above_256_virtual_nodes() -> None:
    golden = GOLDEN["ring_vnode_index_wraps_at_256"]
    table = ring(golden["addresses"], virtual_nodes=golden["virtual_nodes"]).vnode_hashes()
    assert (len(table), len(set(table))) == (golden["vnodes"], golden["unique"])


@pytest.mark.parametrize("row", GOLDEN["find_owner_key"], ids=lambda row: row["prefix"])
def test_find_owner_key(row: dict[str, Any]) -> None:
    nodes = 2 if "n2:0, rf 2" in row["ring"] else 3
    with setup_in_process_cluster_rf(nodes, nodes) as cluster:
        assert find_owner_key(cluster.nodes[0], row["prefix"], row["desired"], row["limit"]) == row["expected"]


def test_lost_ownership_fixture() -> None:
    made = ring(GOLDEN["ring_5_nodes_rf3_vn64"]["addresses"], 3)
    ids = GOLDEN["aliases"]
    for key, row in GOLDEN["lost_ownership_fixture"].items():
        assert made.lookup(key) == [ids[alias] for alias in row["owners_alias"]]
        assert (ids[row["host"]] in made.lookup(key)) is row["host_is_owner"]


@pytest.mark.parametrize("row", GOLDEN["merkle"])
def test_merkle_trees(row: dict[str, Any]) -> None:
    tree = build_merkle([(each["key"], int(each["version"])) for each in row["entries"]], row["chunk_size"])
    assert [leaf.hex() for leaf in tree.leaf_hashes] == row["leaf_hashes_hex"]
    assert tree.root.hex() == row["root_hex"]
    on_wire = json.loads(wire.encode_merkle(tree))
    assert (on_wire["leaf_hashes"] or [], on_wire["root"] or "") == (row["leaf_hashes_b64"], row["root_b64"])
    assert wire.decode_merkle(wire.encode_merkle(tree)) == tree


def test_an_empty_tree_on_the_wire_is_these_bytes() -> None:
    assert wire.encode_merkle(MerkleTree()) == json.dumps(GOLDEN["merkle_empty_wire_json"], separators=(",", ":")).encode()


def test_merkle_after_a_remove() -> None:
    golden = GOLDEN["merkle_after_remove"]
    with setup_in_process_cluster_rf(1, 1, merkle_chunk_size=golden["chunk_size"]) as cluster:
        node = cluster.nodes[0]
        node.debug_inject(Item("del", b"v", version=1))
        node.remove("del")
        assert node.build_merkle_tree().root.hex() == golden["root_hex"]


@pytest.mark.parametrize("row", GOLDEN["merkle_diff"])
def test_merkle_diffs(row: dict[str, Any]) -> None:
    mine, other = (MerkleTree([bytes.fromhex(leaf) for leaf in row[side]]) for side in ("mine", "other"))
    assert mine.diff_leaf_ranges(other) == row["diff"]


@pytest.mark.parametrize("row", GOLDEN["required_acks"], ids=lambda row: str(row["owners"]))
def test_required_acks(row: dict[str, Any]) -> None:
    assert {str(level): required_acks(row["owners"], level) for level in Consistency} == {
        level: row[level] for level in ("ONE", "QUORUM", "ALL")
    }


@pytest.mark.parametrize("row", GOLDEN["key_matcher_glob"], ids=lambda row: f"{row['pattern']} on {row['key']}")
def test_globs(row: dict[str, Any]) -> None:
    if row.get("raw_glob_only"):
        return  # a lone backslash is a literal prefix here; test_prefixes has it
    if row["err"]:
        with pytest.raises(BadPatternError, match=row["err"]):
            build_key_matcher(row["pattern"])
    else:
        assert build_key_matcher(row["pattern"])(row["key"]) is row["match"]


@pytest.mark.parametrize("row", GOLDEN["key_matcher_prefix"], ids=lambda row: f"{row['pattern']} on {row['key']}")
def test_prefixes(row: dict[str, Any]) -> None:
    assert build_key_matcher(row["pattern"])(row["key"]) is row["match"]


def test_seed_specs() -> None:
    assert [parse_seed_spec(row["raw"]) for row in GOLDEN["seed_spec"]] == [(row["id"], row["address"]) for row in GOLDEN["seed_spec"]]


def versioned(pair: list[Any] | None) -> Item | None:
    return None if pair is None else Item("k", 1, version=pair[0], origin=pair[1])


@pytest.mark.parametrize("row", GOLDEN["choose_newer"])
def test_choose_newer(row: dict[str, Any]) -> None:
    a, b = versioned(row["a"]), versioned(row["b"])
    winner, conflicts, ties = choose_newer(a, b)
    assert winner is (a if row["winner"] == "a" else b)
    assert (conflicts, ties) == (row["conflict"], row["tie_break"])


@pytest.mark.parametrize("row", GOLDEN["is_higher_version"])
def test_is_higher_version(row: dict[str, Any]) -> None:
    """White box: TestIsHigherVersion."""
    candidate, existing = versioned(row["candidate"]), versioned(row["existing"])
    assert candidate is not None
    assert existing is not None
    assert is_higher_version(candidate, existing) is row["result"]


@pytest.mark.parametrize("row", GOLDEN["hint_size"], ids=lambda row: str(row["size"]))
def test_hint_sizes(row: dict[str, Any]) -> None:
    value = bytes.fromhex(row["value_bytes_hex"]) if "value_bytes_hex" in row else row["value"]
    assert hint_size(Item(row["key"], value)) == row["size"]


def test_auto_sync_backoff() -> None:
    """White box: TestAdaptiveBackoff, 2, 4, 8, 8, 8, dirty 1, clean 2."""
    golden = GOLDEN["auto_sync_backoff_max8"]
    backoff = AutoSyncBackoff(8)
    assert backoff.factor == golden["start"]
    factors = []
    for tick in golden["ticks"]:
        backoff.update(tick == "clean")
        factors.append(backoff.factor)
    assert factors == golden["factors"]
    assert backoff.clean_ticks == golden["clean_ticks"]
    assert backoff.next_delay(0.5) == 1.0


def test_latency_buckets() -> None:
    assert list(BOUNDS_NS) == GOLDEN["latency_bucket_upper_bounds_ns"]
    assert [bucket(row["ns"]) for row in GOLDEN["latency_bucket_examples"]] == [row["index"] for row in GOLDEN["latency_bucket_examples"]]


def test_wire_set_request() -> None:
    golden = GOLDEN["wire"]["set_request"]
    spec = golden["item"]
    item = Item(spec["key"], bytes.fromhex(spec["value_bytes_hex"]), spec["expiration_s"], spec["version"], spec["origin"])
    sent = wire.encode_set(item, golden["replicate"])
    assert sent == b'{"key":"k","value":"djE=","expiration_ms":1500,"version":7,"origin":"A","replicate":true,"value_encoding":"base64"}'
    assert json.loads(sent).items() >= golden["json"].items()
    read, replicate = wire.decode_set(json.dumps(golden["json"]).encode(), 5.0)
    assert (read.key, read.value, read.expiration, read.version, read.origin, replicate) == ("k", "djE=", 1.5, 7, "A", True)
    assert wire.decode_set(sent, 5.0)[0].value == item.value


def test_wire_get() -> None:
    golden = GOLDEN["wire"]["get_hit"]
    item, tomb = wire.decode_get(json.dumps(golden).encode(), 0.0)
    assert item is not None
    assert (item.key, item.value, item.expiration, item.version, item.origin, tomb) == ("e", "aGk=", 5.0, 1, "H", None)
    again = json.loads(wire.encode_hit(Item("e", base64.b64decode("aGk="), 5.0, 1, "H", item.last_access, item.last_updated)))
    inexact = {"LastAccess", "LastUpdated"}  # seconds in a float hold no nanoseconds
    assert {name: value for name, value in again["item"].items() if name in golden["item"] and name not in inexact} == {
        name: value for name, value in golden["item"].items() if name not in inexact
    }
    assert all(
        again["item"][name].startswith("2026-01-02T03:04:05.0000000") or again["item"][name] == "2026-01-02T03:04:05Z" for name in inexact
    )
    assert wire.encode_miss(None) == b'{"found":false}'
    assert json.loads(wire.encode_hit(Item("e", 1)))["item"]["LastAccess"] == "0001-01-01T00:00:00Z"


def test_wire_gossip() -> None:
    sent = wire.encode_gossip([GossipMember("swim-self", "127.0.0.1:1", "suspect", 1)])
    assert json.loads(sent) == GOLDEN["wire"]["gossip_body"]
    assert wire.decode_gossip(sent) == [GossipMember("swim-self", "127.0.0.1:1", "suspect", 1)]
