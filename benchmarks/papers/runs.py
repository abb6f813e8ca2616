"""Jobs of a table, and the file of their results: a line a run. Runs that have a line are not run again, so the work can be cut into parts."""
import json
import os
import queue
import re
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tables import TABLES

SEEDS = (1, 2, 3)
TIMED_STEPS = 60


def read_results(out):
    path = Path(out) / "results.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{"table": "six_classes", "steps": None, **line} for line in lines]


def key_of(line):
    return tuple(line[name] for name in ("table", "row", "rate", "seed", "train", "steps"))


def figures(run, stderr):
    metrics = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [m["seconds"] for m in metrics if "loss" in m]
    judged = [{"accuracy": m["accuracy"]} for m in metrics if "accuracy" in m]
    return {**(judged[-1] if judged else {}),
            "parameters": int(re.search(r"(\d+) trainable parameters", stderr).group(1)),
            "ms_a_step": round(1000 * statistics.median(steps), 2),
            "memory_mib": max(m.get("memory", 0) for m in metrics) / 2**20}


def one_run(setting, task, gpu):
    """task: a line without figures. A part `time` is the first steps on all of the training data, not judged."""
    table = TABLES[task["table"]]
    data = Path(setting.data) / table.data
    train, steps = task["train"], task["steps"]
    keys = [f"model.path={setting.models[table.model]}", f"train.learning_rate={task['rate']}", f"train.seed={task['seed']}", f"device={setting.device}"]
    if train == "time":
        train, steps = "train", steps or TIMED_STEPS
    else:
        keys += [f"data.val.0.path={data / ('dev' if train == 'sweep' else 'heldout')}.jsonl", "eval.metric=accuracy"]
    if steps:
        keys.append(f"train.max_steps={steps}")
    start = time.time()
    with tempfile.TemporaryDirectory() as work:
        run = Path(work) / "run"
        result = subprocess.run([setting.graft, "finetune", str(Path(__file__).parent / table.config), *keys, f"data.train.0.path={data / train}.jsonl",
                                 f"output_dir={run}", *table.keys, *table.rows[task["row"]].keys], capture_output=True, text=True,
                                env={**os.environ, **({"CUDA_VISIBLE_DEVICES": str(gpu)} if setting.gpus > 1 else {})})
        line = {**task, "seconds": round(time.time() - start, 1)}
        return {**line, "error": result.stderr[-400:]} if result.returncode else {**line, **figures(run, result.stderr)}


def work_through(setting, tasks, jobs):
    """All that the file holds when the tasks are done or the time is over, by key. `jobs` at once on each GPU."""
    known = {key_of(line): line for line in read_results(setting.out) if "error" not in line}
    left = [task for task in tasks if key_of(task) not in known]
    free = queue.Queue()
    for _ in range(jobs):
        for gpu in range(setting.gpus):
            free.put(gpu)

    def go(task):
        if time.time() > setting.end:
            return None
        gpu = free.get()
        try:
            return one_run(setting, task, gpu)
        finally:
            free.put(gpu)
    with ThreadPoolExecutor(jobs * setting.gpus) as pool, (Path(setting.out) / "results.jsonl").open("a") as file:
        for done in as_completed([pool.submit(go, task) for task in left]):
            if not (line := done.result()):
                continue
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(line, file=sys.stderr)
            known[key_of(line)] = line
    return known


def run_table(setting, name):
    """A learning rate for each row from a part of the training data; three seeds of each; then a step's time, one run after the other on a GPU."""
    rows = {row: given for row, given in TABLES[name].rows.items() if setting.rows is None or row in setting.rows}

    def task(row, rate, seed, train):
        return {"table": name, "row": row, "rate": rate, "seed": seed, "train": train, "steps": setting.steps}
    known = work_through(setting, [task(row, rate, seed, "sweep") for row, given in rows.items() for rate in given.rates for seed in given.sweep_seeds], setting.jobs)
    best = {}
    for row, given in rows.items():
        tried = {rate: [known.get(key_of(task(row, rate, seed, "sweep"))) for seed in given.sweep_seeds] for rate in given.rates}
        if all(all(lines) for lines in tried.values()):
            best[row] = max((statistics.mean(line.get("accuracy", 0) for line in lines), rate) for rate, lines in tried.items())[1]
    work_through(setting, [task(row, rate, seed, "train") for seed in SEEDS for row, rate in best.items()], setting.jobs)
    work_through(setting, [task(row, rate, 1, "time") for row, rate in best.items()], 1)


def run(setting):
    Path(setting.out).mkdir(parents=True, exist_ok=True)
    setting.end = time.time() + 60 * setting.minutes
    for name in setting.tables:
        run_table(setting, name)
