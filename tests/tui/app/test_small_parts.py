"""The bar, the slider, the news, the requests: small parts of the dashboard, each for itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import ComposeResult

from seatrial.errors import UsageError
from seatrial.harness import control
from seatrial.harness.control import ControlSocket
from seatrial.history.events import Finding
from seatrial.history.view import EndView, FindingGroup, RunView, ServerView
from seatrial.verdicts import Verdict
from seatrial_tui.bar import PaneBar, Tab
from seatrial_tui.lines.tones import Tone, TonedApp
from seatrial_tui.news import News
from seatrial_tui.requests import Requests
from seatrial_tui.slider import Span, TimeSlider
from seatrial_tui.source.moment import Moment
from tests.support.waiting import eventually
from tests.tui.runs import moment_of

TABS = (Tab("clients", "Clients", ("8", Tone.PLAIN)), Tab("log", "Server log", short="Log"), Tab("findings", "Findings", ("6", Tone.BAD)))
STATUS = (("reading the journal", Tone.FAINT), ("● live", Tone.GOOD))


class Bars(TonedApp[None]):
    """A bar and a slider, and what they said."""

    def __init__(self) -> None:
        super().__init__()
        self.bar, self.slider = PaneBar(), TimeSlider()
        self.picked: list[str] = []
        self.sought: list[int] = []

    def compose(self) -> ComposeResult:
        yield self.bar
        yield self.slider

    def on_pane_bar_picked(self, event: PaneBar.Picked) -> None:
        self.picked.append(event.name)

    def on_time_slider_sought(self, event: TimeSlider.Sought) -> None:
        self.sought.append(event.at_ns)

    def line(self, number: int) -> str:
        strips = self.screen._compositor.render_strips()
        return "".join(segment.text for segment in strips[number])


def test_the_bar_is_whole_where_there_is_room_short_where_there_is_less_and_numbers_at_last() -> None:
    async def at(width: int) -> str:
        app = Bars()
        async with app.run_test(size=(width, 5)) as pilot:
            app.bar.show(TABS, "log", STATUS)
            await pilot.pause()
            line = app.line(0)
            assert len(line) == width
            return line

    whole, short, tight, front, bare = (asyncio.run(at(width)) for width in (90, 50, 35, 22, 18))
    assert "1 Clients 8" in whole
    assert "2 Server log" in whole
    assert whole.rstrip().endswith("● live")
    assert "2 Log" in short
    assert "Server log" not in short
    assert tight.split() == ["1", "Clients", "8", "2", "Log", "3", "Findings", "6"]
    assert front.split() == ["1", "8", "2", "Log", "3", "6"]
    assert bare.split() == ["1", "8", "2", "3", "6"]


@pytest.mark.parametrize("width", range(35, 60))
def test_a_status_is_readable_or_not_there(width: int) -> None:
    async def line() -> str:
        app = Bars()
        async with app.run_test(size=(width, 5)) as pilot:
            app.bar.show(TABS, "log", STATUS[1:])
            await pilot.pause()
            return app.line(0)

    assert "…" not in asyncio.run(line())


def test_a_click_on_a_tab_brings_it_and_one_on_the_slider_seeks() -> None:
    async def click() -> Bars:
        app = Bars()
        async with app.run_test(size=(90, 5)) as pilot:
            app.bar.show(TABS, "clients", STATUS)
            app.slider.show(Span(0, 100 * 10**9, 50 * 10**9, 0.0, ()))
            await pilot.pause()
            for text in ("Clients", "Server log", "Findings"):
                await pilot.click(PaneBar, offset=(app.line(0).index(text), 0))
            await pilot.click(PaneBar, offset=(70, 0))  # between the tabs and the status
            begin = app.line(1).index("━")
            await pilot.click(TimeSlider, offset=(begin, 0))
            await pilot.click(TimeSlider, offset=(88, 0))
            await pilot.click(TimeSlider, offset=(1, 0))  # on the words before the bar
            await pilot.pause()
        return app

    app = asyncio.run(click())
    assert app.picked == ["clients", "log", "findings"]
    assert app.sought == [0, 100 * 10**9]


def test_the_slider_tells_where_it_stands_whether_it_plays_and_where_findings_are() -> None:
    async def show(span: Span) -> str:
        app = Bars()
        async with app.run_test(size=(60, 5)) as pilot:
            app.slider.show(span)
            await pilot.pause()
            return app.line(1)

    line = asyncio.run(show(Span(10**18, 10**18 + 3_725 * 10**9, 10**18 + 60 * 10**9, 4.0, (10**18 + 1_800 * 10**9,))))
    assert line.startswith(" ▶ 4x 01:00 / 1:02:05 ")
    assert line.count("!") == 1
    assert line.count("●") == 1
    assert line.index("●") < line.index("!")
    assert "‖" in asyncio.run(show(Span(0, 10**9, 0, 0.0, ())))


@given(st.integers(0, 10**15), st.integers(300, 10**15), st.integers(2, 300), st.data())
def test_a_column_of_the_slider_is_where_its_moment_is(begin: int, length: int, width: int, data: st.DataObject) -> None:
    span = Span(begin, begin + length, begin, 0.0, ())
    column = data.draw(st.integers(0, width - 1))
    at_ns = span.at(column, width)
    assert begin <= at_ns <= begin + length
    assert abs(span.column(at_ns, width) - column) <= 1
    assert (span.at(0, width), span.at(width - 1, width)) == (begin, begin + length)


def finding(group: str, at_ns: int, verdict: Verdict = Verdict.FAIL) -> FindingGroup:
    first = Finding(id="1", group=group, check="restore", verdict=verdict, message=f"{group} [/b] is damaged")
    return FindingGroup(group=group, check="restore", verdict=verdict, count=1, first_ns=at_ns, last_ns=at_ns, first=first)


def test_news_are_what_happens_while_somebody_looks() -> None:
    news = News()
    old = finding("old", 50)
    assert news.of(Moment(view=RunView(seq=1, findings=(old,)), live=True, now_ns=100)) == []
    new = [finding(f"new{number}", 200 + number) for number in range(5)]
    told = news.of(Moment(view=RunView(seq=2, findings=(old, *new)), live=True, now_ns=300))
    assert [item.text for item in told] == [*(f"FAIL: new{number} [/b] is damaged" for number in range(3)), "and 2 further findings"]
    assert all(item.grave for item in told)
    assert news.of(Moment(view=RunView(seq=2, findings=(old, *new)), live=True, now_ns=301)) == []
    died = ServerView(state="died", since_ns=400, detail="killed by SIGKILL")
    assert [item.text for item in news.of(Moment(view=RunView(seq=3, server=died), live=True, now_ns=400))] == [
        "the server died: killed by SIGKILL"
    ]
    assert news.of(Moment(view=RunView(seq=3, server=died), live=True, now_ns=401)) == []


def test_a_journal_that_cannot_be_read_is_news_once_also_of_a_run_that_is_over() -> None:
    news = News()
    assert news.of(Moment(view=RunView(seq=1), now_ns=100)) == []
    broken = Moment(view=RunView(seq=1), now_ns=100, problem="journal-000001.jsonl line 83: [x] cannot be decoded")
    assert news.of(broken) == [("journal-000001.jsonl line 83: [x] cannot be decoded", True)]
    assert news.of(broken) == []


def test_the_end_of_a_run_is_news_once_and_never_of_one_that_had_ended(finished_run: Path) -> None:
    last = moment_of(finished_run)
    assert last.view.end is not None
    ended = News()
    assert ended.of(last) == []
    assert ended.of(last) == []
    news = News()
    before = msgspec.structs.replace(last, view=msgspec.structs.replace(last.view, end=None), live=True)
    assert news.of(before) == []
    at_the_end = msgspec.structs.replace(last, view=msgspec.structs.replace(last.view, end=EndView(at_ns=1, event=last.view.end.event)))
    assert [item.text for item in news.of(at_the_end)] == ["the run has ended: PASS"]
    assert news.of(at_the_end) == []


def test_a_request_that_breaks_is_told_and_the_next_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(run: Path, command: str, argument: str) -> str:
        if command == "gc":
            raise RuntimeError("out of luck")
        return "noted"

    monkeypatch.setattr(control, "request", broken)
    requests = Requests()
    try:
        requests.send(tmp_path, "gc")
        requests.send(tmp_path, "remark", "x")
        answers = []
        assert eventually(lambda: answers.extend(requests.answers()) or len(answers) == 2)
    finally:
        requests.close()
    assert answers == [("gc", "it could not be asked: RuntimeError: out of luck", True), ("remark", "noted", False)]


def test_requests_are_answered_and_refusals_carry_their_remedy(tmp_path: Path) -> None:
    def refuse(argument: str) -> str:
        raise UsageError(f"not {argument}", remedy="say gc")

    socket = ControlSocket(tmp_path, {"gc": lambda argument: f"collected {argument}", "snapshot": refuse})
    socket.start()
    requests = Requests()
    try:
        requests.send(tmp_path, "gc", "all")
        requests.send(tmp_path, "snapshot", "me")
        requests.send(tmp_path / "nowhere", "gc")
        answers = []
        assert eventually(lambda: answers.extend(requests.answers()) or len(answers) == 3)
    finally:
        requests.close()
        socket.close()
    assert [(answer.command, answer.refused) for answer in answers] == [("gc", False), ("snapshot", True), ("gc", True)]
    assert answers[0].text == "collected all"
    assert answers[1].text == "not me: say gc"
    assert "no such run directory" in answers[2].text
