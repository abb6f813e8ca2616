#!/usr/bin/env python3
"""What an answer of SmolLM2 costs with nothing, with a LoRA merged and live, with bottlenecks, and with a prompt.

  latency.py run GRAFT PROGRAM MODEL DATA OUT [--device cuda] [--dtype bf16] [--rounds 25]
                        PROGRAM: benchmarks/answer_latency; DATA: what `papers.py data` wrote, for the LoRA that is merged
  latency.py table OUT  Markdown
  latency.py bars OUT   merged against the base

Noise is what the base shows against itself: it is timed twice in each round, and of the ratios the middle eight tenths count.
"""
import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

FIGURES = {"prompt_ms": "a prompt of 128 tokens", "token_ms": "a generated token"}


def run(given):
    with tempfile.TemporaryDirectory() as work:
        trained, merged = f"{work}/run", f"{work}/merged"
        subprocess.run([given.graft, "finetune", "configs/wordnet.yaml", f"model.path={given.model}", f"data.train.0.path={given.data}/six_classes_chat/train.jsonl",
                        "data.val=[]", "eval.metric=loss", "train.max_steps=2", f"device={given.device}", f"output_dir={trained}"], check=True, capture_output=True)
        subprocess.run([given.graft, "export", trained, "--merged", merged, "--dtype", given.dtype], check=True, capture_output=True)
        text = subprocess.run([given.program, given.model, merged, given.dtype, given.device, str(given.rounds), str(given.tokens)], check=True, capture_output=True,
                              text=True).stdout
    Path(given.out).mkdir(parents=True, exist_ok=True)
    (Path(given.out) / "latency.jsonl").write_text(text)


def read(out):
    path = Path(out) / "latency.jsonl"
    return {line["name"]: line for line in map(json.loads, path.read_text().splitlines())} if path.exists() else {}


def ratios(lines, name, figure):
    return [one / base for one, base in zip(lines[name][figure], lines["base"][figure])]


def table(lines):
    print(f"| SmolLM2-135M | {' | '.join(f'{words}, ms (lowest, highest)' for words in FIGURES.values())} |\n|---|---|---|")
    for name, line in lines.items():
        cells = [f"{statistics.median(line[f]):.2f} ({min(line[f]):.2f}, {max(line[f]):.2f})" for f in FIGURES]
        print(f"| {name} | {' | '.join(cells)} |")


def bars(lines):
    for figure, words in FIGURES.items():
        name = f"SmolLM2, {words}: merged LoRA over base, median of the rounds"
        if not lines:
            print(f"{name} | not yet run | within what the base shows against itself | not-run")
            continue
        tenths = statistics.quantiles(ratios(lines, "base again", figure), n=10)
        ratio = statistics.median(ratios(lines, "merged LoRA", figure))
        print(f"{name} | {ratio:.3f} | {tenths[0]:.3f} to {tenths[-1]:.3f}, as the base against itself | {'holds' if ratio <= tenths[-1] else 'short'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    measure = verbs.add_parser("run")
    for name in ("graft", "program", "model", "data", "out"):
        measure.add_argument(name)
    measure.add_argument("--device", default="cuda")
    measure.add_argument("--dtype", default="bf16")
    measure.add_argument("--rounds", type=int, default=25)
    measure.add_argument("--tokens", type=int, default=32)
    for name in ("table", "bars"):
        verbs.add_parser(name).add_argument("out")
    given = parser.parse_args()
    if given.verb == "run":
        run(given)
    else:
        (table if given.verb == "table" else bars)(read(given.out))


if __name__ == "__main__":
    main()
