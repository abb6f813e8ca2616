#!/usr/bin/env python3
"""A step of MiniLM on the CPU, batch 32 of the six-class data: graft's against transformers + PEFT's, in turn.

  cpu_step.py GRAFT MINILM DATA [--threads 2] [--steps 40] [--rounds 3]     DATA: what `papers.py data` wrote

Both pad to the longest text of a batch. The bar's rival takes texts in random order, as transformers' Trainer does unless told otherwise; graft
groups texts of like length, as it always does. What is left of the lead where the rival groups them too is reported beside it. fp32, AdamW,
gradients clipped, the model's own dropout. Of each round the mean step; of the rounds the median ratio.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tables import MINILM_ROWS

BATCH, WINDOW, WARM_UP = 32, 50, 3   # texts are sorted by length within windows of so many batches, as graft does
RIVALS = {"lora, rank 8, q and v": lambda: LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=["query", "value"]),
          "prompt, 10": lambda: PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=10)}


def batches(samples, tokenizer, labels, grouped):
    order = random.Random(1).sample(samples, len(samples))
    if grouped:
        order = [s for at in range(0, len(order), WINDOW * BATCH) for s in sorted(order[at:at + WINDOW * BATCH], key=lambda s: len(tokenizer(s["text"]).input_ids))]
    groups = [order[at:at + BATCH] for at in range(0, len(order) - BATCH + 1, BATCH)]
    for group in random.Random(2).sample(groups, len(groups)):
        yield dict(tokenizer([s["text"] for s in group], padding=True, truncation=True, max_length=128, return_tensors="pt"),
                   labels=torch.tensor([labels.index(s["label"]) for s in group]))


def rival_ms(given, config, samples, grouped):
    labels = sorted({s["label"] for s in samples})
    base = AutoModelForSequenceClassification.from_pretrained(given.minilm, num_labels=len(labels))
    model = get_peft_model(base, config).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    seconds = []
    for _, batch in zip(range(given.steps), batches(samples, AutoTokenizer.from_pretrained(given.minilm), labels, grouped)):
        start = time.perf_counter()
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.mean(seconds[WARM_UP:])


def graft_ms(given, row):
    with tempfile.TemporaryDirectory() as work:
        subprocess.run([given.graft, "finetune", str(Path(__file__).parent / "minilm.yaml"), f"model.path={given.minilm}", *MINILM_ROWS[row].keys,
                        f"data.train.0.path={given.data}/six_classes/train.jsonl", "train.learning_rate=1e-3", f"train.max_steps={given.steps}", "device=cpu",
                        f"output_dir={work}/run"], check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": str(given.threads)})
        metrics = [json.loads(line) for line in Path(work, "run", "metrics.jsonl").read_text().splitlines()]
    return 1000 * statistics.mean([m["seconds"] for m in metrics if "loss" in m][WARM_UP:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("graft", "minilm", "data"):
        parser.add_argument(name)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    samples = [json.loads(line) for line in Path(given.data, "six_classes", "train.jsonl").read_text().splitlines()]
    for row, config in RIVALS.items():
        rounds = [(rival_ms(given, config(), samples, False), rival_ms(given, config(), samples, True), graft_ms(given, row)) for _ in range(given.rounds)]
        for rival, (order, bound) in enumerate((("random order", 1.3), ("grouped by length", None))):
            ratio = statistics.median(times[rival] / times[-1] for times in rounds)
            text = " ".join(f"{times[rival]:.0f}/{times[-1]:.0f}" for times in rounds)
            print(f"MiniLM, {row}: a CPU step of {BATCH}, {given.threads} threads, PEFT ({order}) over graft, ms: {text} | {ratio:.2f}x "
                  f"| {f'>= {bound}x' if bound else 'reported'} | {'short' if bound and ratio < bound else 'holds'}", flush=True)


if __name__ == "__main__":
    main()
