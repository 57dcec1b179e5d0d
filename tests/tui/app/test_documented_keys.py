"""The page about the dashboard tells the keys that there are."""

from __future__ import annotations

from docs.keys import GROUPS, PAGE, page
from seatrial_tui.app import WITH_KEYS


def test_the_page_has_the_keys_that_are_bound() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "write its tables anew: python -m docs.keys"


def test_every_key_that_can_be_changed_is_on_the_page() -> None:
    told = {owner for _, owners in GROUPS for owner in owners}
    assert told == set(WITH_KEYS)
