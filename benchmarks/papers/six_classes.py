#!/usr/bin/env python3
"""The papers' claims at small scale: every method on MiniLM, which of six kinds of thing a WordNet gloss describes.

  six_classes.py data MESSAGES_FOLDER OUT             the quick start's samples (configs/wordnet/make_data.sh) as text and label
  six_classes.py run GRAFT MODEL DATA OUT [--device cuda] [--jobs 4] [--minutes 7]
                                                      a learning rate for each row from a part of the training data, then three seeds of each
  six_classes.py table OUT                            a Markdown table of OUT/results.jsonl
  six_classes.py bars OUT                             the bars that they meet or miss

OUT/results.jsonl has a line a run; runs that are there are not run again, so the work can be cut into parts.
"""
import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SEEDS = (1, 2, 3)
# name -> (overrides, learning rates to choose from)
ROWS = {
    "full": (["adapter.method=full"], [5e-5, 1e-4, 2e-4]),
    "head": (["adapter.method=head"], [1e-3, 3e-3, 1e-2]),
    "head, mean pooling": (["adapter.method=head", "model.pooling=mean"], [3e-3, 1e-2, 3e-2]),
    "houlsby, width 6": (["adapter.method=houlsby", "adapter.reduction_factor=64"], [1e-3, 3e-3]),
    "houlsby, width 24": (["adapter.method=houlsby", "adapter.reduction_factor=16"], [1e-3, 3e-3]),
    "houlsby, width 96": (["adapter.method=houlsby", "adapter.reduction_factor=4"], [1e-3, 3e-3]),
    "pfeiffer, width 24": (["adapter.method=pfeiffer"], [1e-3, 3e-3]),
    "lora, rank 2, q and v": (["adapter.method=lora", "adapter.rank=2", "adapter.alpha=4", "adapter.target_modules=[query,value]"], [1e-3, 3e-3, 6e-3]),
    "lora, rank 8, q and v": (["adapter.method=lora", "adapter.rank=8", "adapter.alpha=16", "adapter.target_modules=[query,value]"], [1e-3, 3e-3, 6e-3]),
    "lora, rank 32, q and v": (["adapter.method=lora", "adapter.rank=32", "adapter.alpha=64", "adapter.target_modules=[query,value]"], [1e-3, 3e-3]),
    "dora, rank 8, q and v": (["adapter.method=dora", "adapter.rank=8", "adapter.alpha=16", "adapter.target_modules=[query,value]"], [1e-3, 3e-3, 6e-3]),
    "ia3": (["adapter.method=ia3"], [3e-3, 1e-2, 3e-2]),
    "prompt, 10": (["adapter.method=prompt_tuning", "adapter.num_virtual_tokens=10"], [1e-2, 3e-2, 1e-1, 3e-1]),
    "prefix, 10 (p_tuning_v2)": (["adapter.method=p_tuning_v2", "adapter.num_virtual_tokens=10"], [3e-3, 1e-2, 3e-2]),
}


def make_data(source, out):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("train", "heldout"):
        lines = []
        for line in (Path(source) / f"{name}.jsonl").read_text().splitlines():
            question, answer = (m["content"] for m in json.loads(line)["messages"])
            lines.append(json.dumps({"text": re.search(r'"(.*)"$', question, re.S).group(1), "label": answer}))
        (out / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    samples = (out / "train.jsonl").read_text().splitlines()
    random.Random(1).shuffle(samples)   # the files go class by class
    (out / "sweep.jsonl").write_text("\n".join(samples[:3400]) + "\n")
    (out / "dev.jsonl").write_text("\n".join(samples[3400:]) + "\n")


def one_run(setting, name, rate, seed, train, val):
    overrides, _ = ROWS[name]
    run = Path(setting.out) / "runs" / re.sub(r"[^a-z0-9]+", "-", f"{name} {rate} {seed} {train}")
    start = time.time()
    command = [setting.graft, "finetune", "configs/classifier.yaml", f"model.path={setting.model}", f"data.train.0.path={setting.data}/{train}.jsonl",
               f"data.val.0.path={setting.data}/{val}.jsonl", "adapter.target_modules=auto", f"train.learning_rate={rate}", f"train.seed={seed}", "train.micro_batch_size=32",
               "train.epochs=3", "train.dtype=fp32", f"device={setting.device}", f"output_dir={run}", *overrides]
    if overrides[0] in ("adapter.method=lora", "adapter.method=dora"):
        command.remove("adapter.target_modules=auto")
    else:   # the config is for LoRA: its keys are no other method's
        config = Path("configs/classifier.yaml").read_text().replace("  rank: 8\n", "").replace("  alpha: 16\n", "")
        file = run.parent / f"{run.name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(config)
        command[2] = str(file)
    result = subprocess.run([*command, "--overwrite"], capture_output=True, text=True)
    line = {"row": name, "rate": rate, "seed": seed, "train": train, "seconds": round(time.time() - start, 1)}
    if result.returncode:
        return {**line, "error": result.stderr[-400:]}
    metrics = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    line["accuracy"] = next(m["accuracy"] for m in reversed(metrics) if "accuracy" in m)
    line["parameters"] = int(re.search(r"(\d+) trainable parameters", result.stderr).group(1))
    steps = [m["seconds"] for m in metrics if "seconds" in m and "loss" in m and "accuracy" not in m]
    line["ms_a_step"] = round(1000 * statistics.median(steps), 2) if steps else None
    line["memory_mib"] = max(m.get("memory", 0) for m in metrics) / 2**20
    return line


def work_through(setting, todo):
    results = Path(setting.out) / "results.jsonl"
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    known = {(d["row"], d["rate"], d["seed"], d["train"]): d for d in done if "error" not in d}
    left = [t for t in todo if t[:4] not in known]
    with ThreadPoolExecutor(setting.jobs) as pool, results.open("a") as file:
        def go(task):
            return None if time.time() > setting.end else one_run(setting, *task)
        for line in filter(None, pool.map(go, left)):
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(line, file=sys.stderr)
            known[(line["row"], line["rate"], line["seed"], line["train"])] = line
    return known


def run(setting):
    Path(setting.out).mkdir(parents=True, exist_ok=True)
    setting.end = time.time() + 60 * setting.minutes
    known = work_through(setting, [(name, rate, 1, "sweep", "dev") for name, (_, rates) in ROWS.items() for rate in rates])
    best = {}
    for name, (_, rates) in ROWS.items():
        tried = [(known[key].get("accuracy", 0), rate) for rate in rates if (key := (name, rate, 1, "sweep")) in known]
        if len(tried) == len(rates):
            best[name] = max(tried)[1]
    work_through(setting, [(name, rate, seed, "train", "heldout") for seed in SEEDS for name, rate in best.items()])


def table(out):
    lines = [json.loads(line) for line in (Path(out) / "results.jsonl").read_text().splitlines()]
    print("| method | trained parameters | learning rate | accuracy, mean of three seeds (lowest, highest) | ms a step | memory, MiB |\n|---|---|---|---|---|---|")
    for name in ROWS:
        runs = [d for d in lines if d["row"] == name and d["train"] == "train" and "accuracy" in d]
        if not runs:
            continue
        values = [100 * d["accuracy"] for d in runs]
        print(f"| {name} | {runs[0]['parameters']:,} | {runs[0]['rate']:g} | {statistics.mean(values):.1f} ({min(values):.1f}, {max(values):.1f}) "
              f"| {statistics.median(d['ms_a_step'] for d in runs):.1f} | {max(d['memory_mib'] for d in runs):.0f} |")


# transformers + PEFT, one seed, and which row of ours answers.
REFERENCES = {"full": 95.7, "lora, rank 8, q and v": 94.5, "prompt, 10": 93.3, "head, mean pooling": 92.8, "prefix, 10 (p_tuning_v2)": 84.5}
NEAR_FULL = ("houlsby, width 24", "houlsby, width 96", "pfeiffer, width 24", "lora, rank 2, q and v", "lora, rank 8, q and v", "lora, rank 32, q and v")


def bars(out):
    lines = [json.loads(line) for line in (Path(out) / "results.jsonl").read_text().splitlines()]
    runs = {name: [100 * d["accuracy"] for d in lines if d["row"] == name and d["train"] == "train" and "accuracy" in d] for name in ROWS}
    full = runs["full"] and statistics.mean(runs["full"])
    for name, reference in REFERENCES.items():
        spread = f"{min(runs[name]):.1f} to {max(runs[name]):.1f}" if runs[name] else "no run"
        print(f"six classes, {name}: accuracy, % | {spread} | >= {reference} within the spread | {'holds' if runs[name] and max(runs[name]) >= reference else 'short'}")
    for name in NEAR_FULL:
        figure = f"{statistics.mean(runs[name]):.1f}, full {full:.1f}" if runs[name] and full else "no run"
        holds = runs[name] and full and statistics.mean(runs[name]) >= full - 1
        print(f"six classes, {name} with <= 4 % of the parameters: accuracy, % | {figure} | within 1 of full | {'holds' if holds else 'short'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["data", "run", "table", "bars"])
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=7)
    given = parser.parse_args()
    if given.verb == "data":
        make_data(*given.paths)
    elif given.verb in ("table", "bars"):
        (table if given.verb == "table" else bars)(*given.paths)
    else:
        given.graft, given.model, given.data, given.out = given.paths
        run(given)
