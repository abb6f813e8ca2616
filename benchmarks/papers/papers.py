#!/usr/bin/env python3
"""The papers' claims at small scale, in three tables: MiniLM on six classes of nouns and on 15 of verbs, and SmolLM2 on the six as a chat.

  papers.py data DATA                 the samples, from Debian's wordnet-base (a few MB, the same on every machine)
  papers.py run GRAFT DATA OUT --minilm FOLDER --smollm2 FILE [--tables NAME ...] [--minutes 7] [--jobs 6]
                                      a learning rate for each row, three seeds of each, a step's time; goes on where OUT/results.jsonl ends
  papers.py table OUT                 Markdown
  papers.py bars OUT                  the bars that they meet or miss
  papers.py plots OUT FIGURES         SVG figures

To try it: --rows "prompt, 10" --steps 2. Runs with --steps are results of their own: give it to the other verbs to see them.
"""
import argparse

import data
import plots
import report
import runs
from tables import TABLES


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("data")
    make.add_argument("data")
    make.add_argument("--wordnet", default="/usr/share/wordnet")
    run = verbs.add_parser("run")
    for name in ("graft", "data", "out"):
        run.add_argument(name)
    run.add_argument("--minilm", default="")
    run.add_argument("--smollm2", default="")
    run.add_argument("--rows", nargs="+", help="these alone")
    run.add_argument("--device", default="cuda")
    run.add_argument("--jobs", type=int, default=6, help="runs at once on a GPU; a step's time is taken of one alone")
    run.add_argument("--gpus", type=int, default=1)
    run.add_argument("--minutes", type=float, default=7, help="no run starts after them")
    for name in ("table", "bars", "plots"):
        verbs.add_parser(name).add_argument("out")
    verbs.choices["plots"].add_argument("figures")
    for name in ("run", "table", "bars", "plots"):
        verbs.choices[name].add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
        verbs.choices[name].add_argument("--steps", type=int, help="so many optimizer steps instead of three epochs")
    given = parser.parse_args()
    if given.verb == "data":
        return data.make(given.data, given.wordnet)
    if given.verb == "run":
        given.models = {"minilm": given.minilm, "smollm2": given.smollm2}
        given.tables = [name for name in given.tables if given.models[TABLES[name].model]]
        return runs.run(given)
    if given.verb == "plots":
        return plots.draw(given.out, given.figures, given.tables, given.steps)
    for name in given.tables:
        (report.print_table if given.verb == "table" else report.print_bars)(given.out, name, given.steps)


if __name__ == "__main__":
    main()
