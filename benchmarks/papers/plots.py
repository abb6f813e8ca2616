"""Results as SVG, in greys and middling colours that show on white and on black."""
import math
from html import escape
from pathlib import Path

from report import results_of
from tables import PROMPT_INITS, PROMPT_LENGTHS, TABLES

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 440, 56, 24, 40, 52
GREY = "#808890"
COLORS = {"other": GREY, "bottlenecks": "#3b8fd0", "low rank": "#d9822b", "prompts": "#2f9e6e"}
LETTER, LINE = 5.9, 13   # of a label, px


class Figure:
    """Axes with a logarithmic x, and labels that keep off each other and off the points."""

    def __init__(self, title, x_title, x_range, y_values):
        self.x_range = [math.log10(x) for x in x_range]
        self.y_range = [math.floor(min(y_values)), math.ceil(max(y_values))]
        self.parts, self.taken = [], []
        self.text(WIDTH / 2, 20, title, 14, "middle")
        self.text(WIDTH / 2, HEIGHT - 12, x_title, 12, "middle")
        self.text(12, TOP - 12, "accuracy, %", 12)
        step = next(s for s in (1, 2, 5, 10, 20) if (self.y_range[1] - self.y_range[0]) / s <= 8)
        for y in range(self.y_range[0] + -self.y_range[0] % step, self.y_range[1] + 1, step):
            at = self.y(y)
            self.parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="{GREY}" stroke-opacity="0.25"/>')
            self.text(LEFT - 8, at + 4, str(y), 11, "end")

    def x(self, value):
        return LEFT + (math.log10(value) - self.x_range[0]) / (self.x_range[1] - self.x_range[0]) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - (value - self.y_range[0]) / (self.y_range[1] - self.y_range[0]) * (HEIGHT - TOP - BOTTOM)

    def text(self, x, y, words, size=11, anchor="start", color=GREY):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{color}">{escape(words)}</text>')

    def x_ticks(self, ticks):
        for value, words in ticks:
            self.text(self.x(value), HEIGHT - BOTTOM + 18, words, 11, "middle")

    def point(self, x, result, color):
        """The mean, on a line from the lowest to the highest seed."""
        x, low, mean, high = self.x(x), *map(self.y, (min(result.values), result.mean, max(result.values)))
        self.parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{color}" stroke-width="2" stroke-opacity="0.6"/>'
                          f'<circle cx="{x:.1f}" cy="{mean:.1f}" r="4" fill="{color}"/>')
        self.taken.append((x - 5, min(high, mean - 5), x + 5, max(low, mean + 5)))

    def label(self, x, y, words, color):
        """At the nearest free place round a point, with a line to it where that is not beside it."""
        x, y, width = self.x(x), self.y(y), LETTER * len(words)

        def box(radius, angle):
            middle_x, middle_y = x + (radius + width / 2) * math.cos(angle), y + radius * math.sin(angle)
            return middle_x - width / 2, middle_y - LINE / 2, middle_x + width / 2, middle_y + LINE / 2

        def free(b):
            inside = b[0] >= LEFT and b[2] <= WIDTH - 4 and b[1] >= TOP - 6 and b[3] <= HEIGHT - BOTTOM
            return inside and all(b[2] < t[0] or b[0] > t[2] or b[3] < t[1] or b[1] > t[3] for t in self.taken)
        places = (box(radius, math.pi * turn / 8) for radius in range(10, 400, 8) for turn in range(16))
        left, top, right, bottom = place = next(filter(free, places))
        self.taken.append(place)
        end_x, end_y = min(max(x, left), right), min(max(y, top), bottom)
        if math.hypot(end_x - x, end_y - y) > 14:
            self.parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{end_x:.1f}" y2="{end_y:.1f}" stroke="{color}" stroke-width="0.7"/>')
        self.text((left + right) / 2, bottom - 3, words, 11, "middle", color)

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">\n' + "\n".join(self.parts) + "\n</svg>\n")


def short(count):
    unit, letter = next((u, letter) for u, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k"), (1, "")) if count >= u)
    return f"{count / unit:g}{letter}"


def against_parameters(title, rows, results):
    counts = [r.parameters for r in results.values()]
    first, last = math.floor(math.log10(min(counts))), math.ceil(math.log10(max(counts)))
    figure = Figure(title, "trained parameters (dots: mean of three seeds; lines: lowest to highest)", (10**first, 10**last),
                    [v for r in results.values() for v in r.values])
    figure.x_ticks([(10**e, short(10**e)) for e in range(first, last + 1)])
    for row, result in results.items():
        figure.point(result.parameters, result, COLORS[rows[row].family])
    for row, result in results.items():
        figure.label(result.parameters, result.mean, row, COLORS[rows[row].family])
    return figure


def against_length(results):
    shown = [results[row] for row in (*PROMPT_LENGTHS, *PROMPT_INITS)]
    lengths = [int(row.split(", ")[1]) for row in PROMPT_LENGTHS]
    figure = Figure("SmolLM2-135M: prompt tuning", "virtual tokens (dots: mean of three seeds; lines: lowest to highest)", (0.7, 150), [v for r in shown for v in r.values])
    figure.x_ticks([(length, str(length)) for length in lengths])
    path = " ".join(f"{figure.x(length):.1f},{figure.y(results[row].mean):.1f}" for length, row in zip(lengths, PROMPT_LENGTHS))
    figure.parts.append(f'<polyline points="{path}" fill="none" stroke="{COLORS["prompts"]}" stroke-width="1.5"/>')
    for length, row in zip(lengths, PROMPT_LENGTHS):
        figure.point(length, results[row], COLORS["prompts"])
    inits = {row.split(", ")[2]: (5 * 1.08**(i + 1), results[row]) for i, row in enumerate(PROMPT_INITS)}   # side by side
    for x, result in inits.values():
        figure.point(x, result, COLORS["low rank"])
    figure.label(lengths[0], results[PROMPT_LENGTHS[0]].mean, "from sampled tokens", COLORS["prompts"])
    for name, (x, result) in inits.items():
        figure.label(x, result.mean, f"5, {name}", COLORS["low rank"])
    return figure


def draw(out, figures, tables, steps):
    """A figure a table, and one of prompts' lengths; those whose rows have not been run are left out."""
    for name in tables:
        results = results_of(out, name, steps)
        if results:
            against_parameters(TABLES[name].title, TABLES[name].rows, results).write(Path(figures) / f"{name}.svg")
        if name == "smollm2" and all(row in results for row in (*PROMPT_LENGTHS, *PROMPT_INITS)):
            against_length(results).write(Path(figures) / "prompt_length.svg")
