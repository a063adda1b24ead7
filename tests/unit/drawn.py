"""What a reader sees of a figure: its words, and whether any of them touch."""

import itertools

from matplotlib.text import Text

from vitbench.present import style


def drawn_texts(figure, monkeypatch) -> list[Text]:
    """The texts that really are drawn (tick labels outside the axes are not)."""
    seen, draw = [], Text.draw

    def recording(self, renderer, *more):
        if self.get_visible() and self.get_text().strip():
            seen.append(self)
        return draw(self, renderer, *more)

    monkeypatch.setattr(Text, "draw", recording)
    with style.theme():
        figure.set_dpi(100)
        figure.canvas.draw()
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
