"""What the screen of a finding says, as paragraphs. The words are those of the written report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from seatrial.history.events import Finding
from seatrial.history.view import FindingGroup, RunView
from seatrial.report.circumstances import Circumstances
from seatrial.report.explain import Explanation, Part, command_line, explain, labelled, lines_of
from seatrial.report.prose import plain, plural
from seatrial_tui.lines.page import Paragraph, field, heading
from seatrial_tui.lines.signs import VERDICTS
from seatrial_tui.lines.tones import Cell, Tone

LABEL_CELLS = 22
SIGHTINGS = 20
"""Of one defect, told one by one."""
_HEX = re.compile(r"\s*(0x[0-9a-f]+) (expected|actual)\s+((?:[\[ ][0-9a-f]{2}[\] ]?)+)\s*")
"""A row as ``workload.explain`` writes it: wrong bytes stand in brackets."""
_BYTE = re.compile(r"([\[ ])([0-9a-f]{2})")
_TONES: dict[str, Tone] = {"last good": Tone.GOOD, "first bad": Tone.BAD, "first seen": Tone.BAD, "damage": Tone.BAD, "remedy": Tone.HEAD}
"""By label."""


class Story(NamedTuple):
    """One group of findings and all that is known around it."""

    view: RunView
    group: FindingGroup
    directory: Path
    circumstances: Mapping[str, Circumstances]
    seen: Sequence[Finding]
    """Its first findings."""

    def explained(self) -> Explanation:
        return explain(self.view, self.group, self.circumstances, self.directory)

    @property
    def again(self) -> str:
        """The command that runs the same plan again."""
        return command_line(self.view.header.command)

    @property
    def evidence(self) -> Path | None:
        """Where the damaged files are."""
        return self.directory / self.group.first.evidence if self.group.first.evidence else None


def story_text(story: Story) -> str:
    """All of it for a message to a maintainer."""
    lines = lines_of(story.explained())
    header = story.view.header
    lines += [labelled("seed", f"{header.seed}  (repeats the plan, not the interleaving)"), labelled("run it again", story.again or "-")]
    lines.append(labelled("versions", plain(f"seatrial {header.seatrial_version or '-'}, {header.target} {header.target_version or '-'}")))
    return "\n".join(lines) + "\n"


def story_paragraphs(story: Story) -> Iterator[Paragraph]:
    """All of it for the screen."""
    said = story.explained()
    sign, tone = VERDICTS[story.group.verdict]
    yield Paragraph(((f"{sign} {said.title}", tone),))
    yield Paragraph(((said.message, Tone.HEAD),))
    for part in Part:
        yield Paragraph()
        yield heading(part.value)
        for fact in said.of(part):
            yield field(fact.label, (fact.text, _TONES.get(fact.label, Tone.PLAIN)), LABEL_CELLS)
        if part is Part.WHAT:
            yield from _difference(said.detail)
    yield field("run it again", (story.again or "-", Tone.ACCENT), LABEL_CELLS)
    yield field("", ("the same plan; the interleaving is drawn anew", Tone.FAINT), LABEL_CELLS)
    yield from _sightings(story)


def _difference(detail: Sequence[str]) -> Iterator[Paragraph]:
    """Lines of the difference; what was expected and what came back, byte below byte, wrong ones marked."""
    if detail:
        yield Paragraph()
        yield heading("The difference")
    for line in detail:
        row = _HEX.fullmatch(line)
        if row is None:
            yield Paragraph((line.strip(),), "", 2 + len(line) - len(line.lstrip()))
            continue
        offset, side, text = row.groups()
        found = _BYTE.findall(text)
        yield Paragraph(tuple(_bytes(found, Tone.BAD if side == "actual" else Tone.GOOD)), f"  {offset} {side:<8}", LABEL_CELLS)
        if side == "actual":
            marks = " ".join("^^" if bracket == "[" else "  " for bracket, _ in found).rstrip()
            yield Paragraph(((marks, Tone.BAD),), "", LABEL_CELLS)


def _bytes(found: Sequence[tuple[str, str]], wrong: Tone) -> Iterator[Cell]:
    for position, (bracket, byte) in enumerate(found):
        if position:
            yield " "
        yield (byte, wrong) if bracket == "[" else (byte, Tone.FAINT)


def _sightings(story: Story) -> Iterator[Paragraph]:
    more = story.group.count - 1
    if not more:
        return
    yield Paragraph()
    yield heading(f"Seen {plural(more, 'time')} more")
    told = story.seen[1 : SIGHTINGS + 1]
    for finding in told:
        seen_by = " in ".join(filter(None, (finding.client, f"operation {finding.op}" if finding.op else "")))
        parts = ((f"snapshot {finding.snapshot}" if finding.snapshot else ""), finding.path, seen_by)
        yield field(plain(finding.id), plain(", ".join(filter(None, parts)) or finding.message), LABEL_CELLS)
    if more > len(told):
        yield field("", (f"and {more - len(told):,} more", Tone.FAINT), LABEL_CELLS)
