"""100 LoRA steps of transformers + PEFT on tiny_chat in fp32 on the CPU: the reference for graft's own 100 steps (bar 3).

  peft_training.py make                 writes tests/golden/training/ (committed)
  peft_training.py check                trains afresh, compares with what is committed
  peft_training.py check FOLDER         the same for FOLDER/losses.json and FOLDER/adapter_model.safetensors, written by graft

tests/golden/training/ holds batches.json, init/ (PEFT folder: A random, B zero), losses.json and adapter_model.safetensors.
batches.json: {"steps": [[{"ids", "targets", "positions"}, ...]]}: 100 steps of 2 micro-batches of 4 rows, right-padded with id 0;
targets[r][t] is the id to predict at t, or -100. losses.json: {"losses", "learning_rates", "gradient_norms"}, one a step.

With N(s) = targets != -100 in both micro-batches of step s = 0..99:
  loss(s)     = sum of -log p(target) over both micro-batches / N(s); gradients are of this loss. It is what losses.json holds,
                measured before the update
  norm, clip  = Euclidean norm over all gradients; each gradient is multiplied by min(1, 1.0 / (norm + 1e-6))
  rate(s)     = 5e-3 * s / 10 for s < 10, then 5e-3 * (100 - s) / 90      (transformers' linear schedule: step 0 has rate 0)
  AdamW       : t = s + 1; p *= 1 - rate * 0.01; m = 0.9 m + 0.1 g; v = 0.999 v + 0.001 g^2;
                p -= rate * (m / (1 - 0.9^t)) / (sqrt(v / (1 - 0.999^t)) + 1e-8); on every A and B
  LoRA        : rank 8, alpha 16 (scale 2), no dropout, all seven linears of both layers
"""
import json
import random
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from reference import LINEARS, Summary, load_model, read_json, to_float64, write_json

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
MODEL, TRAINING = GOLDEN / "tiny_chat", GOLDEN / "training"
STEPS, WARMUP, RATE, ROWS, MICRO_BATCHES = 100, 10, 5e-3, 4, 2


def encoded_samples():
    """(ids, targets) of each training sample; the assistant's text and its end token are learnt."""
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    samples = []
    for line in (MODEL / "data" / "train.jsonl").read_text().splitlines():
        user, assistant = (message["content"] for message in json.loads(line)["messages"])
        prompt = tokenizer.encode(f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n").ids
        answer = tokenizer.encode(f"{assistant}<|im_end|>").ids
        samples.append((prompt + answer, [-100] * (len(prompt) - 1) + answer + [-100]))
    return samples


def micro_batch(rows):
    longest = max(len(ids) for ids, _ in rows)
    return {"ids": [ids + [0] * (longest - len(ids)) for ids, _ in rows],
            "targets": [targets + [-100] * (longest - len(targets)) for _, targets in rows],
            "positions": [list(range(longest)) for _ in rows]}


def make_batches():
    samples, order, queue, steps = encoded_samples(), random.Random(3), [], []
    for _ in range(STEPS):
        if not queue:
            queue = order.sample(range(len(samples)), len(samples))
        take, queue = queue[:ROWS * MICRO_BATCHES], queue[ROWS * MICRO_BATCHES:]
        steps.append([micro_batch([samples[i] for i in take[m * ROWS:(m + 1) * ROWS]]) for m in range(MICRO_BATCHES)])
    return steps


def make_init(folder):
    sys.path.insert(0, str(GOLDEN))
    from make_golden import save_adapter
    torch.manual_seed(5)
    model = get_peft_model(load_model(MODEL), LoraConfig(r=8, lora_alpha=16, target_modules=LINEARS, task_type="CAUSAL_LM"))
    save_adapter(model, folder, "tests/golden/tiny_chat")
    (folder / "adapter_model.safetensors").chmod(0o644)


def learning_rate(step):
    return RATE * (step / WARMUP if step < WARMUP else (STEPS - step) / (STEPS - WARMUP))


def step_loss(model, micro_batches):
    """Gradients of the whole step's mean loss are left in the parameters."""
    count = sum(target != -100 for batch in micro_batches for row in batch["targets"] for target in row)
    total = 0.0
    for batch in micro_batches:
        logits = model(input_ids=torch.tensor(batch["ids"]), position_ids=torch.tensor(batch["positions"]), use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(batch["targets"]).flatten(), ignore_index=-100,
                                                 reduction="sum") / count
        loss.backward()
        total += float(loss.detach())
    return total


def train(steps, init, precise=False):
    """The log (losses.json) and the final adapter under PEFT's keys; `precise` trains in float64, to see the noise of fp32."""
    model = PeftModel.from_pretrained(load_model(MODEL), init, is_trainable=True).train()
    model = to_float64(model) if precise else model
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(parameters.values(), lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    log = {"losses": [], "learning_rates": [], "gradient_norms": []}
    for step, micro_batches in enumerate(steps):
        optimizer.param_groups[0]["lr"] = learning_rate(step)
        log["losses"].append(step_loss(model, micro_batches))
        log["gradient_norms"].append(float(torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)))
        log["learning_rates"].append(learning_rate(step))
        optimizer.step()
        optimizer.zero_grad()
    return log, {name.replace(".default", ""): p.detach().contiguous() for name, p in parameters.items()}


def compare(summary, what, log, adapter, reference_log, reference):
    worst = max(abs(a - b) for a, b in zip(log["losses"], reference_log["losses"], strict=True))
    summary.line(f"{what}: largest difference of 100 losses", worst, 1e-4)
    summary.line(f"{what}: same tensors", len(adapter), len(reference), set(adapter) == set(reference))
    relative = max(float((adapter[k].double() - reference[k].double()).norm() / reference[k].double().norm()) for k in reference)
    summary.line(f"{what}: final adapter, largest relative Frobenius difference", relative, 1e-4)


def make():
    shutil.rmtree(TRAINING, ignore_errors=True)
    TRAINING.mkdir()
    steps = make_batches()
    (TRAINING / "batches.json").write_text(json.dumps({"steps": steps}, separators=(",", ":")) + "\n")
    make_init(TRAINING / "init")
    log, adapter = train(steps, TRAINING / "init")
    write_json(TRAINING / "losses.json", log)
    save_file(adapter, TRAINING / "adapter_model.safetensors", metadata={"format": "pt"})
    (TRAINING / "adapter_model.safetensors").chmod(0o644)
    print(f"losses {log['losses'][0]:.3f} -> {log['losses'][-1]:.3f}, norms {max(log['gradient_norms']):.2f} at most, "
          f"{sum(n > 1 for n in log['gradient_norms'])} steps clipped")


def check(summary, folder):
    steps = read_json(TRAINING / "batches.json")["steps"]
    log, adapter = train(steps, TRAINING / "init")
    committed = load_file(TRAINING / "adapter_model.safetensors")
    compare(summary, "PEFT afresh against golden", log, adapter, read_json(TRAINING / "losses.json"), committed)
    if folder:
        compare(summary, "graft against PEFT afresh", read_json(folder / "losses.json"),
                load_file(folder / "adapter_model.safetensors"), log, adapter)
    else:
        compare(summary, "PEFT fp32 against float64", log, adapter, *train(steps, TRAINING / "init", precise=True))


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:] == ["make"]:
        make()
    elif len(sys.argv) in (2, 3) and sys.argv[1] == "check":
        outcome = Summary()
        check(outcome, Path(sys.argv[2]) if len(sys.argv) == 3 else None)
        outcome.exit()
    else:
        sys.exit("usage: peft_training.py make | check [FOLDER]")
