"""What Textual paints of a screen on which a little has changed: that, instead of everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual._compositor import ChopsUpdate, Compositor
from textual.geometry import Region
from textual.strip import Strip


class SparingCompositor(Compositor):
    """Asks only those widgets for lines in which something has changed, only for the lines from the first to the last of these, and
    none that is behind another there.

    Textual's own asks each widget in sight for all of its lines, sends a few of them to the terminal and throws the others away, which
    is most of what a refresh costs. Threading: the screen's thread only.
    """

    def __init__(self) -> None:
        super().__init__()
        self._wanted: Sequence[Region] = ()
        """What has changed, while that is painted; else nothing: all is."""

    def render_partial_update(self) -> ChopsUpdate | None:
        self._wanted = tuple(self._dirty_regions)
        try:
            return super().render_partial_update()
        finally:
            self._wanted = ()

    def _get_renders(self, crop: Region | None = None) -> Iterable[tuple[Region, Region, list[Strip]]]:
        if not self._wanted:
            yield from super()._get_renders(crop)
            return
        wanted = self._wanted
        for widget, (region, clip) in self.visible_widgets.items():  # the foremost first
            seen = region.intersection(clip)
            touched = [seen.intersection(changed) for changed in wanted if seen.overlaps(changed)]
            if touched:
                # Whole lines: where a widget begins and ends the compositor cuts them, between that it does not.
                lines = Region.from_union(touched)
                part = Region(seen.x, lines.y, seen.width, lines.height)
                yield region, part, widget.render_lines(part.translate((-region.x, -region.y)))
                wanted = [changed for changed in wanted if not seen.contains_region(changed)]
