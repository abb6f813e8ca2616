"""SmolLM2 on the WordNet task with a base in few bits: pairs of runs that differ in the base alone, and quantisation-aware training.
usage: low_bit_tasks.py pairs|qat GRAFT MODEL DATA_FOLDER WORK_FOLDER DEVICE [SEEDS [STEPS]]"""
import json
import math
import os
import re
import shutil
import subprocess
import sys

task, graft, model, data, work, device = sys.argv[1:7]
seeds = range(1, int(sys.argv[7]) + 1 if len(sys.argv) > 7 else 4)
steps = sys.argv[8] if len(sys.argv) > 8 else "100"
T95 = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776}   # Student's t, two sides, n - 1 degrees of freedom


def line(name, figure, bound, holds):
    print(f"{name} | {figure} | {bound} | {'holds' if holds else 'short'}", flush=True)


def run(*arguments):
    done = subprocess.run([graft, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"graft {' '.join(arguments)}: {done.stderr[-500:]}")
    return done.stdout


def train(name, seed, *overrides):
    folder = f"{work}/{name}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    run("finetune", "configs/wordnet.yaml", f"model.path={model}", f"data.train=[{data}/train.jsonl]", "data.val=[]", "eval.metric=loss", f"output_dir={folder}", f"train.seed={seed}",
        f"train.max_steps={steps}", f"device={device}", "checkpoint.every=0", *overrides)
    return folder


def accuracy(target):
    text = run("evaluate", target, f"{data}/heldout.jsonl", "--chat-template", "configs/wordnet/plain.jinja", "--device", device, "--batch-size", "50")
    return float(re.search(r"accuracy ([0-9.]+) % of 600", text).group(1))


def interval(differences):
    n, mean = len(differences), sum(differences) / len(differences)
    deviation = math.sqrt(sum((d - mean) ** 2 for d in differences) / (n - 1))
    return mean, T95[n] * deviation / math.sqrt(n)


os.makedirs(work, exist_ok=True)
if task == "pairs":
    bases = {"16 bits": [], "nf4": ["quantization.format=nf4", "quantization.double_quantization=true"], "int8": ["quantization.format=int8_absmax"]}
    found = {}
    for name, overrides in bases.items():
        found[name] = [accuracy(train(name.replace(" ", ""), seed, *overrides)) for seed in seeds]
        print(name, found[name], file=sys.stderr, flush=True)
    for name, allowed in (("nf4", 2), ("int8", 1)):
        mean, half = interval([a - b for a, b in zip(found["16 bits"], found[name])])
        # within: the interval of the loss excludes one above the allowed points plus half a point
        line(f"{name} base: accuracy lost to 16 bits, {len(found[name])} seeds ({found[name]} against {found['16 bits']})", f"{mean:.2f} +- {half:.2f} points",
             f"below {allowed + 0.5}", mean + half <= allowed + 0.5)
else:
    block = os.environ.get("QAT_BLOCK", "1024")
    rows = []
    for seed in seeds:
        plain = train("plain", seed)
        qat = train("qat", seed, "quantization.qat.format=int4_affine", f"quantization.qat.block_size={block}")
        for folder in ("merged", "ptq", "exported"):
            shutil.rmtree(f"{work}/{folder}", ignore_errors=True)
        run("export", plain, "--merged", f"{work}/merged", "--no-verify")
        run("quantize", f"{work}/merged", "--to", "int4_affine", "--block-size", block, f"{work}/ptq", "--device", device)
        run("export", qat, "--merged", f"{work}/exported", "--into", "requantized", "--no-verify")
        rows.append([accuracy(f"{work}/merged"), accuracy(f"{work}/ptq"), accuracy(f"{work}/exported")])
        print(f"seed {seed}: 16 bits {rows[-1][0]}, quantised after {rows[-1][1]}, trained for it {rows[-1][2]}", file=sys.stderr, flush=True)
    lost = sum(r[0] - r[1] for r in rows) / len(rows)
    won = sum(r[2] - r[1] for r in rows) / len(rows)
    line(f"int4 in blocks of {block}: points that quantising afterwards loses ({len(rows)} seeds: {rows})", f"{lost:.2f}", "measurable: >= 1", lost >= 1)
    line("share of them that training for it recovers", f"{100 * won / lost:.0f} %" if lost > 0 else "-", ">= 50 %", lost > 0 and won >= 0.5 * lost)
