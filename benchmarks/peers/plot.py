"""Lines of benchmarks/acceptance/speed.sh as an SVG: what graft and its rivals reach of the floor of the same call.

    python3 benchmarks/peers/plot.py benchmarks/peers/results/h200.txt docs/figures/speed.svg
"""
import re
import sys
from html import escape
from pathlib import Path

WIDTH, LEFT, RIGHT, TOP, BAR, GAP = 760, 210, 40, 64, 18, 18
GREY, OURS, THEIRS = "#808890", "#3b8fd0", "#d9822b"   # show on white and on black
FLOOR = re.compile(r"^(?P<case>.*): share of the floor \((?P<ours>\d+) of (?P<floor>\d+) tokens/s; .*; NVIDIA (?P<card>[^(]+?) \(")
RIVAL = re.compile(r"^(?P<case>.*): over (?P<name>\w+) \(\d+ and (?P<theirs>\d+) tokens/s\)")


def cases_of(lines):
    """{case: (tokens/s of the floor, [(name, tokens/s)])}, and the card."""
    cases, card = {}, ""
    for line in lines:
        if found := FLOOR.match(line):
            cases[found["case"]] = int(found["floor"]), [("graft", int(found["ours"]))]
            card = found["card"]
        elif (found := RIVAL.match(line)) and found["case"] in cases:
            cases[found["case"]][1].append((found["name"], int(found["theirs"])))
    return cases, card


def drawn(cases, card):
    parts = []

    def text(x, y, words, size=12, anchor="start", color=GREY):
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{color}">{escape(words)}</text>')

    def x_of(share):
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    height = TOP + sum(len(bars) * BAR + GAP for _, bars in cases.values()) + 16
    text(WIDTH / 2, 20, f"LoRA r=16 on one {card}: tokens/s as a share of the floor", 14, "middle")
    text(WIDTH / 2, 37, "the step's frozen products and attention alone, timed in the same call", 11, "middle")
    for tenth in range(0, 11, 2):
        x = x_of(tenth / 10)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - 18}" stroke="{GREY}" stroke-opacity="{0.7 if tenth == 10 else 0.25}"/>')
        text(x, height - 4, f"{tenth * 10} %", 11, "middle")
    y = TOP
    for case, (floor, bars) in cases.items():
        text(LEFT - 10, y + len(bars) * BAR / 2 + 4, case, 12, "end")
        for name, tokens in bars:
            color = OURS if name == "graft" else THEIRS
            parts.append(f'<rect x="{LEFT}" y="{y + 1}" width="{x_of(tokens / floor) - LEFT:.1f}" height="{BAR - 2}" fill="{color}"/>')
            inside, end = tokens > floor / 2, x_of(tokens / floor)
            text(end - 6 if inside else end + 6, y + BAR - 5, f"{name} {tokens:,}", 11, "end" if inside else "start", "#ffffff" if inside else color)
            y += BAR
        y += GAP
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">\n' + "\n".join(parts) + "\n</svg>\n"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    found, card_name = cases_of(Path(sys.argv[1]).read_text().splitlines())
    if not found:
        sys.exit(f"{sys.argv[1]}: no line says a share of the floor")
    Path(sys.argv[2]).write_text(drawn(found, card_name))
