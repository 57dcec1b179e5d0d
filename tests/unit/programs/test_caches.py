"""How full a program's cache is."""

from __future__ import annotations

from pathlib import Path

from seatrial.clock import VirtualClock
from seatrial.targets.programs.caches import CacheGauge


def filled(directory: Path, **sizes: int) -> Path:
    for name, size_bytes in sizes.items():
        (directory / name).mkdir(parents=True, exist_ok=True)
        (directory / name / "file").write_bytes(bytes(size_bytes))
    return directory


def test_a_cache_is_told_by_its_parts_where_they_lie(tmp_path: Path) -> None:
    held = filled(tmp_path / "cache" / "of-one-repository", data=300, index=20)
    gauge = CacheGauge("somebody", tmp_path / "cache", limit_bytes=1000, per_repository=True)
    frame = gauge.frame()
    assert (frame.owner, frame.path, frame.size_bytes, frame.files, frame.limit_bytes) == ("somebody", str(held), 320, 2, 1000)
    assert frame.subdirectories == {"data": 300, "index": 20}
    assert all((Path(frame.path) / name).is_dir() for name in frame.subdirectories)


def test_it_is_that_of_the_client_which_connects(tmp_path: Path) -> None:
    gauge = CacheGauge("nobody-yet", filled(tmp_path / "cache", data=1))
    assert gauge.frame().owner == "nobody-yet"
    gauge.belongs_to("brave-otter")
    assert gauge.frame().owner == "brave-otter"


def test_it_is_not_looked_at_again_before_that_has_paid(tmp_path: Path) -> None:
    class Slow(VirtualClock):
        """A second passes whenever somebody looks at it."""

        def monotonic_s(self) -> float:
            self.advance(1.0)
            return super().monotonic_s()

    clock = Slow()
    gauge = CacheGauge("somebody", filled(tmp_path / "cache", data=1), clock=clock)
    first = gauge.frame()
    filled(tmp_path / "cache", data=5)
    assert gauge.frame() is first
    clock.advance(100.0)
    assert gauge.frame().size_bytes == 5
