"""Results as Markdown tables and as bars."""
import statistics
from dataclasses import dataclass

from runs import SEEDS, read_results
from tables import BETTER, TABLES


@dataclass
class Result:
    values: list          # accuracy of each seed, %
    parameters: int
    rate: float
    ms_a_step: float      # alone on the device; None if it was not timed
    memory_mib: float

    @property
    def mean(self):
        return statistics.mean(self.values)

    @property
    def spread(self):
        return max(self.values) - min(self.values)


def results_of(out, table, steps=None):
    """Row -> Result, of the rows whose seeds have all been run."""
    lines = [line for line in read_results(out) if line["table"] == table and line["steps"] == steps and "error" not in line]
    results = {}
    for row in TABLES[table].rows:
        runs = {line["seed"]: line for line in lines if line["row"] == row and line["train"] == "train" and "accuracy" in line}
        if len(runs) < len(SEEDS):
            continue
        timed = next((line["ms_a_step"] for line in lines if line["row"] == row and line["train"] == "time"), None)
        results[row] = Result([100 * runs[seed]["accuracy"] for seed in SEEDS], runs[1]["parameters"], runs[1]["rate"], timed,
                              max(line["memory_mib"] for line in runs.values()))
    return results


def print_table(out, table, steps):
    results = results_of(out, table, steps)
    if not results:
        return
    print(f"{TABLES[table].title}\n\n| method | trained parameters | learning rate | accuracy, mean of three seeds (lowest, highest) | ms a step | memory, MiB |"
          "\n|---|---|---|---|---|---|")
    for row, r in results.items():
        step = "" if r.ms_a_step is None else f"{r.ms_a_step:.1f}"
        print(f"| {row} | {r.parameters:,} | {r.rate:g} | {r.mean:.1f} ({min(r.values):.1f}, {max(r.values):.1f}) | {step} | {r.memory_mib:.0f} |")
    print()


def bar(name, figure, bound, holds):
    print(f"{name} | {figure} | {bound} | {'holds' if holds else 'short'}")


def print_bars(out, table, steps):
    results = results_of(out, table, steps)

    def have(rows, name, bound):
        missing = [row for row in rows if row not in results]
        if missing:
            print(f"{name} | not yet run: {', '.join(missing)} | {bound} | not-run")
        return not missing
    for row, reference in TABLES[table].references.items():
        name, bound = f"{table}, {row}: accuracy of three seeds, %", f">= {reference} within the spread"
        if have([row], name, bound):
            values = results[row].values
            bar(name, f"{min(values):.1f} to {max(values):.1f}", bound, max(values) >= reference)
    for row in TABLES[table].near_full:
        name, bound = f"{table}, {row} against full tuning: accuracy, %, and share of its parameters", "within 1 point, <= 4 %"
        if have([row, "full"], name, bound):
            one, full = results[row], results["full"]
            share = 100 * one.parameters / full.parameters
            bar(name, f"{one.mean:.1f} against {full.mean:.1f}, {share:.2f} %", bound, one.mean >= full.mean - 1 and share <= 4)
    for better, worse in BETTER if table == "smollm2" else ():
        name, bound = f"{table}, {better} over {worse}: accuracy, %", "apart by more than the larger spread of the seeds"
        if have([better, worse], name, bound):
            a, b = results[better], results[worse]
            spread = max(a.spread, b.spread)
            bar(name, f"{a.mean:.1f} over {b.mean:.1f}, spread {spread:.1f}", bound, a.mean - b.mean > spread)
