"""One defect explained: what came back instead of what, when, what else went on, where to look.

The written report and the finding's own screen say the same, because both say this.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from seatrial.history.events import Finding
from seatrial.history.view import FindingGroup, RunView
from seatrial.report.circumstances import Circumstances, GcRun, InFlight, ServerMoment
from seatrial.report.prose import moment, plain, plural, size
from seatrial.verdicts import exit_status

LISTED = 8
"""Of snapshots, operations and GC runs in one line; the JSON report has them all."""

_LABEL = 18


class Part(Enum):
    """What a fact is about."""

    WHAT = "What came back"
    BETWEEN = "When, and what else went on"
    WHERE = "Where to look, and what to do"


class Fact(NamedTuple):
    """One line: a label (empty: it goes on from the line before) and harmless text."""

    part: Part
    label: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """All that is said of one group of findings. Every text is one harmless line of any length."""

    title: str
    message: str
    facts: tuple[Fact, ...]
    detail: tuple[str, ...]
    """The difference, with hex around it."""

    def of(self, part: Part) -> list[Fact]:
        """The facts of one part, in their order."""
        return [fact for fact in self.facts if fact.part is part]


IN_WORDS: Mapping[str, Mapping[str, str]] = {
    "restore": {
        "missing": "it was snapshotted and did not come back",
        "extra": "it came back and had not been snapshotted",
        "kind": "it came back as another kind of thing: a file, a directory or a link in place of another",
        "size": "it came back with another size, and so with another content",
        "content": "its size is right and its bytes are not",
        "mode": "its bytes are right and its permissions are not",
        "owner": "its bytes are right and its owner is not",
        "link": "the link came back and points elsewhere",
        "device": "the device came back with another number",
        "hardlink": "names that were one file came back as several, or the other way round",
        "xattr": "its bytes are right and its extended attributes are not",
        "mtime": "its bytes are right and its time of modification is not",
        "stale": "what came back is another generation of the same file",
        "foreign": "blocks of another file or of another client stand in it",
        "shifted": "its blocks came back in the wrong place",
        "duplicated": "some of its blocks came back twice",
        "zeroed": "zeros came back in place of data",
        "truncated": "its beginning came back, its end did not",
        "extended": "it came back with bytes after its end",
        "flipped": "single bytes are wrong and all around them is right",
        "overwritten": "bytes that nobody of us wrote came back in place of ours",
        "unknown content": "its writer leaves no marks, so size and hash are all that can be compared",
        "corrupt": "the target itself found what it has stored to be damaged",
    },
    "list": {
        "lost": "its create was acknowledged and nobody of us has deleted it",
        "phantom": "its delete was acknowledged before",
        "reappeared": "it was missing from a listing before and is there again: listings do not agree with each other",
        "late": "its create was taken for one that never happened",
        "foreign": "it carries no mark of ours: somebody else writes into this repository",
    },
    "liveness": {"stuck": "the disturbances are over, and it does not work again"},
}
"""By check and kind of damage; where nothing stands here the message says it all."""


def command_line(command: Iterable[str]) -> str:
    """An argument vector as a shell takes it, harmless to print."""
    return plain(shlex.join(command))


def some(names: Sequence[str]) -> str:
    """The first ``LISTED`` of them, and how many more."""
    shown = ", ".join(plain(name) for name in names[:LISTED])
    return f"{shown} and {len(names) - LISTED} more" if len(names) > LISTED else shown


def explain(view: RunView, group: FindingGroup, circumstances: Mapping[str, Circumstances], directory: Path) -> Explanation:
    """Explain ``group`` of ``view``. ``circumstances`` by group, as far as they are known; ``directory``: the run's."""
    number = next((number for number, each in enumerate(view.findings, 1) if each.group == group.group), 1)
    expected = "Expected finding" if view.header.expect == "fail" else "Finding"
    others = sorted({each for one, around in circumstances.items() if one != group.group for each in around.snapshots})
    facts = (
        *_what(group.first),
        *_between(view, group, circumstances.get(group.group), others),
        *_where(group.first, directory),
    )
    return Explanation(
        title=plain(
            f"{expected} {number} of {len(view.findings)}: {group.check}, {group.verdict.name}, seen {plural(group.count, 'time')}"
        ),
        message=plain(group.first.message),
        facts=facts,
        detail=tuple(plain(line) for line in group.first.detail),
    )


def lines_of(said: Explanation) -> list[str]:
    """The explanation as a piece of the written report."""
    return [
        said.title,
        f"  {said.message}",
        *(labelled(fact.label, fact.text) for fact in said.facts),
        *(f"    {line}" for line in said.detail),
    ]


def labelled(label: str, text: str) -> str:
    """A line of the written report."""
    return f"  {label:<{_LABEL}} {text}".rstrip()


def subject(finding: Finding) -> list[tuple[str, str]]:
    """Which snapshot, client, path and damage, label and text: what the running commentary says too."""
    seen_by = " in ".join(filter(None, (finding.client, f"operation {finding.op}" if finding.op else "")))
    damage = finding.damage
    if finding.expected or finding.actual:
        damage = f"{damage or 'difference'}: expected {finding.expected or '-'}, found {finding.actual or '-'}"
    fields = (
        ("snapshot", finding.snapshot),
        ("made by", finding.owner),
        ("seen by", seen_by),
        ("path", finding.path),
        ("damage", damage),
    )
    return [(label, plain(text)) for label, text in fields if text]


def _what(finding: Finding) -> Iterator[Fact]:
    for label, text in subject(finding):
        yield Fact(Part.WHAT, label, text)
    meaning = IN_WORDS.get(finding.check, {}).get(finding.damage)
    if meaning:
        yield Fact(Part.WHAT, "", meaning)


def _between(view: RunView, group: FindingGroup, around: Circumstances | None, others: Sequence[str]) -> Iterator[Fact]:
    def fact(label: str, text: str) -> Fact:
        return Fact(Part.BETWEEN, label, text)

    if around is None:
        yield fact("first seen", moment(group.first_ns))
    else:
        if group.first.snapshot:
            yield fact("last good", _last_good(around))
        yield fact("first bad", moment(around.first_bad_ns) + (f", last {moment(group.last_ns)}" if group.count > 1 else ""))
        yield from (fact("garbage collection" if i == 0 else "", text) for i, text in enumerate(_gc(around, view.header.started_ns)))
        yield fact("in flight then", some([_operation(each) for each in around.in_flight]) or "nothing else")
        if around.server:
            yield fact("server since good", some([_server(each) for each in around.server]))
        hit = [each for each in around.snapshots if each != group.first.snapshot]
        yield fact("also hit", some(hit) or "no other snapshot by this defect")
        if others:
            yield fact("", f"by other findings: {some(others)}")
    before = [row for row in view.faults if row.at_ns <= group.first_ns]
    if before:
        yield fact("faults before", some([f"{row.fault.fault} {row.fault.state} {moment(row.at_ns)}" for row in before]))


def _where(finding: Finding, directory: Path) -> Iterator[Fact]:
    if finding.evidence:
        yield Fact(Part.WHERE, "evidence", plain(str(directory / finding.evidence)))
    yield Fact(Part.WHERE, "server log", f"byte {finding.server_log_offset:,} of server.log at that moment")
    if finding.remedy:
        yield Fact(Part.WHERE, "remedy", plain(finding.remedy))


def _last_good(around: Circumstances) -> str:
    if around.last_good_ns:
        return f"{moment(around.last_good_ns)}, restored and equal"
    if around.created_ns:
        return f"never restored before; acknowledged {moment(around.created_ns)}"
    return "not in this run; an earlier run made it"


def _gc(around: Circumstances, started_ns: int) -> Iterator[str]:
    if not around.gc_runs:
        yield "none had run in this run"
        return
    running = some([f"{run.op} of {run.client}, since {moment(run.began_ns)}" for run in around.gc_running])
    yield f"running at that moment: {running}" if running else "not running at that moment"
    since = moment(around.last_good_ns or around.created_ns or started_ns)
    yield f"since {since}: {some([_gc_span(run) for run in around.gc_since_good]) or 'none'}"
    if around.gc_in_create:
        yield f"while the snapshot was made: {some([_gc_span(run) for run in around.gc_in_create])}"


def _gc_span(run: GcRun) -> str:
    if not run.ended_ns:
        return f"{run.op} from {moment(run.began_ns)}, not ended"
    outcome = run.outcome.value if run.outcome else "-"
    return f"{run.op} {moment(run.began_ns)} to {moment(run.ended_ns)} ({outcome}, freed {size(run.freed_bytes)})"


def _operation(each: InFlight) -> str:
    return f"{each.action} {each.op} of {each.client}"


def _server(each: ServerMoment) -> str:
    code = f" with {exit_status(each.exit_code)}" if each.exit_code is not None else ""
    return f"{'ready again' if each.state == 'ready' else each.state}{code} {moment(each.at_ns)}"
