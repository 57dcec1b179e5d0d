"""What may be asked of the clients of the chaos phase, and what is refused."""

from __future__ import annotations

import pytest

from seatrial.context import Client, Context
from seatrial.errors import UsageError
from seatrial.harness.members import Members

UUID = "0d5b3c1e-1111-4222-8333-444455556666"
OTTER, OTTERS, FOX = f"brave-otter-{UUID}", f"brave-otters-{UUID}", f"calm-fox-{UUID}"


def members(*clients: str) -> Members:
    made = Members()
    for client in clients:
        made.add(ctx(client), newcomer=False)
    return made


def ctx(client: str) -> Context:
    return Context(client=Client(client))


def there(made: Members) -> list[str]:
    return [one.client.id for one in made.present() if one.client is not None]


@pytest.mark.parametrize("name", [FOX, "calm-fox", "calm-fox-0d5b", "c"])
def test_a_client_is_found_by_its_id_its_pet_name_or_a_beginning(name: str) -> None:
    assert members(OTTER, FOX).find(name) == FOX


def test_a_whole_pet_name_wins_over_one_that_begins_with_it() -> None:
    made = members(OTTERS, OTTER)
    assert made.find("brave-otter") == OTTER
    with pytest.raises(UsageError, match="may mean 2 clients: brave-otters, brave-otter"):
        made.find("brave")


@pytest.mark.parametrize("name", ["", "fox", "nobody"])
def test_what_means_nobody_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(UsageError, match=r"no client is called .*there are brave-otter, calm-fox"):
        members(OTTER, FOX).find(name)


def test_a_snapshot_is_asked_for_once_at_a_time() -> None:
    made = members(OTTER, FOX)
    otter, fox = made.of(ctx(OTTER)), made.of(ctx(FOX))
    made.ask_snapshot(OTTER, check_only=True)
    assert not made.take_snapshot_order(otter)
    made.ask_snapshot(OTTER)
    with pytest.raises(UsageError, match="has yet to take"):
        made.ask_snapshot(OTTER)
    assert not made.take_snapshot_order(fox)
    assert made.take_snapshot_order(otter)
    assert not made.take_snapshot_order(otter)
    made.ask_snapshot(OTTER)


def test_one_that_has_done_all_takes_the_snapshot_asked_for_before_and_none_after() -> None:
    made = members(OTTER)
    otter = made.of(ctx(OTTER))
    made.ask_snapshot(OTTER)
    assert not made.done(otter), "one is still to be taken"
    assert made.done(otter)
    with pytest.raises(UsageError, match="has done all its actions"):
        made.ask_snapshot(OTTER)
    assert there(made) == [OTTER], "it stays for the phases to come"


def test_clients_leave_but_never_the_last_one() -> None:
    made = members(OTTER, FOX)
    made.ask_to_leave(OTTER, check_only=True)
    assert not made.leaves(made.of(ctx(OTTER)))
    made.ask_to_leave(OTTER)
    assert made.leaves(made.of(ctx(OTTER)))
    for asked in (made.ask_to_leave, made.ask_snapshot):
        with pytest.raises(UsageError, match="leaves already"):
            asked(OTTER)
    with pytest.raises(UsageError, match="the last client"):
        made.ask_to_leave(FOX)
    made.gone(ctx(OTTER))
    assert there(made) == [FOX]
    with pytest.raises(UsageError, match="no client is called"):
        made.find(OTTER)


def test_a_newcomer_counts_once_it_has_joined() -> None:
    made = members(OTTER)
    made.add(ctx(FOX), newcomer=True)
    for asked in (made.ask_to_leave, made.ask_snapshot):
        with pytest.raises(UsageError, match="has yet to join"):
            asked(FOX)
    with pytest.raises(UsageError, match="the last client"):
        made.ask_to_leave(OTTER)
    assert there(made) == [OTTER]
    made.joined(made.of(ctx(FOX)))
    made.ask_to_leave(OTTER)
    assert there(made) == [OTTER, FOX], "as long as its action is under way"


def test_nothing_is_asked_before_the_phase_or_after_it() -> None:
    with pytest.raises(UsageError, match="no client acts now"):
        Members().find("brave")
    made = members(OTTER, FOX)
    made.close()
    for refused in (lambda: made.find(OTTER), lambda: made.ask_snapshot(OTTER), lambda: made.ask_to_leave(OTTER), made.check_room):
        with pytest.raises(UsageError, match="no client acts now"):
            refused()


def test_there_is_a_limit_to_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatrial.harness.members.CLIENTS_MAX", 2)
    made = members(OTTER)
    made.check_room()
    made.add(ctx(FOX), newcomer=True)
    with pytest.raises(UsageError, match="there are 2 clients already"):
        made.check_room()
