"""What a reader sees of a figure: its words, and whether any of them touch."""

import itertools
from collections.abc import Callable, Iterator, Mapping

from matplotlib.figure import Figure
from matplotlib.text import Text

from vitbench.present import style


class Figures(Mapping[str, Figure]):
    """Charts by their names, each drawn when it is first asked for."""

    def __init__(self, **draw: Callable[[], Figure]) -> None:
        self._draw = draw
        self._drawn: dict[str, Figure] = {}

    def __getitem__(self, name: str) -> Figure:
        if name not in self._drawn:
            self._drawn[name] = self._draw[name]()
        return self._drawn[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._draw)

    def __len__(self) -> int:
        return len(self._draw)


def drawn_texts(figure, monkeypatch) -> list[Text]:
    """The texts that really are drawn (tick labels outside the axes are not); no pixel is, which takes longest."""
    seen, draw = [], Text.draw

    def recording(self, renderer, *more):
        if self.get_visible() and self.get_text().strip():
            seen.append(self)
        return draw(self, renderer, *more)

    monkeypatch.setattr(Text, "draw", recording)
    with style.theme():
        figure.set_dpi(100)
        figure.draw_without_rendering()
    monkeypatch.setattr(Text, "draw", draw)
    return list(dict.fromkeys(seen))


def words(figure, monkeypatch) -> str:
    return "\n".join(text.get_text() for text in drawn_texts(figure, monkeypatch))


def collisions(figure, monkeypatch) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes touch, and texts that leave the page."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure, monkeypatch)]
    found = []
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        # A pixel of slack: boxes have room above and below the letters.
        beside = first.x1 - 1 <= second.x0 or second.x1 - 1 <= first.x0
        if not beside and first.y1 - 1 > second.y0 and second.y1 - 1 > first.y0:
            found.append((one, other))
    width, height = figure.bbox.width, figure.bbox.height
    found += [(text, "edge") for text, box in boxes if min(box.x0, box.y0) < 0 or box.x1 > width or box.y1 > height]
    return found
