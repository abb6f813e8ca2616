"""quantize_speed's JSON lines (standard input) as bars. usage: speed_lines.py cpu|cuda"""
import json
import sys

rows = [json.loads(line) for line in sys.stdin]
copy, rows = rows[0]["copy_gb_per_s"], rows[1:]
gpu = sys.argv[1] == "cuda"
bound = 0.85 if gpu else 0.5


def line(name, figure, bound, holds):
    print(f"{name} | {figure} | {bound} | {'holds' if holds else 'short'}")


for format, double in dict.fromkeys((r["format"], r["double"]) for r in rows):
    mine = [r for r in rows if (r["format"], r["double"]) == (format, double)]
    layer = sum(r["bytes"] for r in mine) / sum(r["dequantise_us"] for r in mine) / 1e3 / copy   # the shapes of a layer together
    name = format + (" double" if double else "")
    shapes = ", ".join(f"{100 * r['of_copy']:.0f}" for r in mine)
    line(f"dequantise {name} to bf16, a layer of the 8B shape, of copy speed ({copy:.0f} GB/s; by shape {shapes} %)",
         f"{100 * layer:.0f} %", f">= {100 * bound:.0f} %", layer >= bound)
    if gpu and "one_row_us" in mine[0]:
        speedup = sum(r["dequantise_and_product_us"] for r in mine) / sum(r["one_row_us"] for r in mine)
        line(f"product of one row with {name}, over dequantise + product", f"{speedup:.1f}x", ">= 3x", speedup >= 3)
