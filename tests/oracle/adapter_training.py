"""What the comparisons with PEFT (peft_adapters.py, families.py) and AdapterHub (hub_adapters.py) share: their options, the batch, the schedule,
20 steps, the bounds.

Every step sees the same 16 samples of tiny_chat (graft: 2 micro-batches of 8, its data file holds no others), so the order does not matter.
Rate of step s = 0..19: RATE * s / 2 for s < 2, then RATE * (20 - s) / 18; AdamW with decay 0.01; gradients clipped to norm 1.
"""
import argparse
import json
import os
from pathlib import Path

import torch

from graft_program import graft_losses
from peft_training import MODEL, encoded_samples, micro_batch

STEPS, WARMUP, SAMPLES, DECAY = 20, 2, 16, 0.01
LOGITS, LOSSES = 1e-5, 1e-4   # the bounds

os.environ.setdefault("OMP_NUM_THREADS", "1")


def learning_rate(peak, step):
    return peak * (step / WARMUP if step < WARMUP else (STEPS - step) / (STEPS - WARMUP))


def the_batch():
    batch = micro_batch(encoded_samples()[:SAMPLES])
    return torch.tensor(batch["ids"]), torch.tensor(batch["targets"])


def write_data(folder):
    path = Path(folder) / "samples.jsonl"
    path.write_text("".join((MODEL / "data" / "train.jsonl").read_text().splitlines(keepends=True)[:SAMPLES]))
    return path


def graft_job(model, adapter, data, out, rate, steps=STEPS, **others):
    """`adapter` is the job's section. One step alone has rate 0: its checkpoint holds the first values."""
    return {"model": {"path": str(model)}, "adapter": adapter, "data": {"train": [str(data)]}, "device": "cpu", "output_dir": str(out),
            "train": {"max_steps": steps, "warmup_steps": min(WARMUP, steps), "micro_batch_size": SAMPLES // 2,
                      "gradient_accumulation_steps": 2, "lr_scheduler": "linear", "learning_rate": rate, "weight_decay": DECAY,
                      "max_grad_norm": 1.0, "dtype": "fp32"}, **others}


def train_with_graft(program, folder, name, job):
    """Losses of the 20 steps."""
    file = Path(folder) / f"{name}.yaml"
    file.write_text(json.dumps(job))   # JSON is YAML
    return graft_losses(program, file, job["output_dir"])


def randomise(model):
    generator = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)


def optimizer_for(model, rate):
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate, weight_decay=DECAY)


def token_loss(logits_of_batch):
    """The batch's loss; `logits_of_batch(ids)` may have more columns in front than ids."""
    ids, targets = the_batch()
    return lambda: torch.nn.functional.cross_entropy(logits_of_batch(ids)[:, -ids.shape[1]:].flatten(0, 1), targets.flatten(), ignore_index=-100)


def train_with_torch(model, optimizer, loss_of_step):
    """Losses of the 20 steps, each before its update."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    peaks, losses = [group["lr"] for group in optimizer.param_groups], []
    model.train()
    for step in range(STEPS):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = learning_rate(peak, step)
        loss = loss_of_step()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    model.eval()
    return losses


def relative_difference(a, b):
    """Largest over all numbers of all texts: |a - b| / max(1, |b|)."""
    return max(float(((x.double() - y.double()).abs() / y.double().abs().clamp_min(1)).max()) for x, y in zip(a, b, strict=True))


def check_losses(summary, name, mine, theirs):
    worst = max(abs(a - b) for a, b in zip(mine, theirs, strict=True))
    summary.line(f"{name}: {STEPS} losses from {theirs[0]:.3f} to {theirs[-1]:.3f}, largest difference", worst, LOSSES)
    fall = theirs[0] - theirs[-1]
    if fall < 300 * LOSSES:   # a comparison of standing losses says nothing
        summary.line(f"{name}: the loss falls", fall, f">= {300 * LOSSES:g}", False)


def parsed_options(description):
    """BUILD_FOLDER [--all] [--only PART_OF_A_NAME]"""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default="")
    return parser.parse_args()


def check_apart(summary, name, check):
    """Runs one case; if it breaks off, that is its line: the other cases are worth knowing too."""
    try:
        check()
    except (Exception, SystemExit) as fault:
        summary.line(name, str(fault).strip().replace("\n", " ")[-400:] or type(fault).__name__, "runs", False)
