"""The conformance suite: what every target must hold, as a class for pytest. For a target of one's own::

    from seatrial.testing import TargetConformance

    class TestMine(TargetConformance):
        target = MyTarget()

It starts real servers and real clients of the target, and takes some seconds. A target that cannot run on this machine is skipped by
name. One stage (a server, two clients) serves all tests of the class; only the last test has servers of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from seatrial.config.model import ActionName, Preset
from seatrial.targets.protocols import Target
from seatrial.testing import hard_rules, rules, sample
from seatrial.testing.rules import Kept, Returned
from seatrial.testing.stage import Player, Stage


class TargetConformance:
    """Subclass it, name it ``Test...``, and set ``target``. Each test's docstring in ``rules`` and ``hard_rules`` says what must hold."""

    target: ClassVar[Target]
    preset: ClassVar[Preset] = Preset()
    """Settings of the target: another program, another server behind it."""

    def damage(self, repository: Path) -> str:
        """Damage stored data at rest, while no server runs; returns how. Override it where the largest file is not data."""
        return sample.damage_largest(repository)

    # -- the stage

    @pytest.fixture(scope="class")
    @classmethod
    def stage(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
        cls._skip_unless_it_can_run()
        stage = Stage(cls.target, tmp_path_factory.mktemp("conformance") / "stage", cls.preset).open()
        try:
            yield stage
        finally:
            stage.close()

    @pytest.fixture(scope="class")
    @classmethod
    def first(cls, stage: Stage) -> Player:
        return stage.join()

    @pytest.fixture(scope="class")
    @classmethod
    def second(cls, stage: Stage) -> Player:
        return stage.join()

    @pytest.fixture(scope="class")
    @classmethod
    def kept(cls, stage: Stage, first: Player) -> Kept:
        return rules.keep(first, sample.make_sample(stage.new_source(), cls.target.traits))

    @pytest.fixture(scope="class")
    @classmethod
    def returned(cls, second: Player, kept: Kept) -> Returned:
        return rules.bring_back(second, kept)

    @pytest.fixture(scope="class")
    @classmethod
    def missing(cls, first: Player) -> str:
        return rules.deleted(first)

    # -- what comes back

    def test_everything_comes_back(self, returned: Returned) -> None:
        rules.nothing_is_lost_or_added(returned)

    def test_an_empty_file_comes_back(self, returned: Returned) -> None:
        rules.comes_back(returned, sample.EMPTY_FILE)

    def test_an_empty_directory_comes_back(self, returned: Returned) -> None:
        rules.comes_back(returned, sample.EMPTY_DIRECTORY)

    def test_a_large_file_comes_back(self, returned: Returned) -> None:
        rules.comes_back(returned, sample.LARGE_FILE)

    def test_what_it_promises_to_keep_comes_back(self, returned: Returned) -> None:
        rules.promises_are_kept(returned)

    def test_holes_come_back_where_promised(self, returned: Returned) -> None:
        rules.holes_are_kept(returned, self.target.traits.keeps)

    # -- what is listed, and who may do what

    def test_a_snapshot_is_listed_at_once_for_all_until_it_is_deleted(self, first: Player, second: Player) -> None:
        rules.listed_at_once_for_all(first, second)

    def test_the_servers_own_listing_is_the_same(self, stage: Stage, second: Player, kept: Kept) -> None:
        rules.server_lists_the_same(stage, second)

    def test_two_clients_side_by_side(self, first: Player, second: Player) -> None:
        rules.side_by_side(first, second)

    def test_deleting_what_is_missing_fails(self, second: Player, missing: str) -> None:
        rules.deleting_what_is_missing_fails(second, missing)

    def test_restoring_what_is_missing_fails(self, second: Player, missing: str) -> None:
        rules.restoring_what_is_missing_fails(second, missing)

    def test_a_client_reconnects(self, second: Player, kept: Kept) -> None:
        rules.reconnects(second)

    def test_a_removed_client_is_turned_away(self, stage: Stage) -> None:
        self._skip_if_absent(stage, ActionName.REMOVE_CLIENT)
        rules.turned_away_once_removed(stage)

    # -- the server's side

    def test_garbage_collection_keeps_what_is_live(self, stage: Stage, first: Player, kept: Kept, missing: str) -> None:
        self._skip_if_absent(stage, ActionName.GC)
        rules.garbage_collection_keeps_what_is_live(stage, first, kept)

    def test_verification_of_a_whole_repository_is_clean(self, stage: Stage, first: Player, kept: Kept) -> None:
        self._skip_if_absent(stage, ActionName.VERIFY_REPOSITORY)
        rules.verification_is_clean(stage, first)

    def test_the_server_says_who_it_is(self, stage: Stage, first: Player) -> None:
        rules.says_who_it_is(stage, first)

    def test_a_client_keeps_its_cache_in_its_own_place(self, second: Player, returned: Returned) -> None:
        rules.caches_are_the_clients_own(second)

    def test_secrets_stay_off_command_lines(self, first: Player) -> None:
        hard_rules.secrets_stay_off_command_lines(first)

    # -- disturbed

    def test_deadline_and_cancellation_end_a_create_that_hangs(self, first: Player, second: Player) -> None:
        hard_rules.ends_when_told(first, second)

    def test_the_servers_death_is_told_and_survived(self, stage: Stage, second: Player, kept: Kept) -> None:
        hard_rules.survives_the_servers_death(stage, second, kept)

    def test_nothing_is_left_behind_and_damage_at_rest_is_seen(self, tmp_path: Path) -> None:
        self._skip_unless_it_can_run()
        hard_rules.sees_damage(self.target, tmp_path / "stages", self.preset, self.damage)

    # -- what cannot be asked here

    @classmethod
    def _skip_unless_it_can_run(cls) -> None:
        found = cls.target.availability(cls.preset)
        if not found.usable:
            pytest.skip(f"the target {cls.target.name!r} cannot run here: {found.why_not}")

    @staticmethod
    def _skip_if_absent(stage: Stage, action: ActionName) -> None:
        if action in stage.server.absent:
            pytest.skip(f"{action.value} is not run: {stage.server.absent[action]}")
