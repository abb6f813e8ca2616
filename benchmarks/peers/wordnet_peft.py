"""The quick start's job done by transformers + PEFT: held-out accuracy before and after, training time. The rival of bar 1.

Usage: wordnet_peft.py MODEL.gguf DATA_FOLDER [--steps 120] [--lr 1e-3] [--dtype fp32|bf16] [--threads 2] ...
DATA_FOLDER is what configs/wordnet/make_data.sh wrote. ChatML without a system message.
--order grouped: batches grouped by length; random: as users run it. --head labelled: it sees labelled rows only (as graft does, and as PEFT
users usually do not); all: the model's own loss. --evaluate no: for speed alone.
bf16: the base in bf16, adapters in fp32, under autocast. A class's score is the sum of its tokens' log-likelihoods.
Prints one JSON line.
"""
import argparse
import json
import math
import sys
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "oracle"))
from reference import LINEARS, llama_from_gguf, tokenizer_from_gguf  # noqa: E402


def read_samples(path, encode, system):
    """(prompt ids, label) of each line."""
    head = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    samples = []
    for line in Path(path).read_text().splitlines():
        user, assistant = (message["content"] for message in json.loads(line)["messages"])
        samples.append((encode(f"{head}<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"), assistant))
    return samples


def padded(rows):
    longest = max(map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


def tail_logits(model, rows, starts, autocast):
    """Logits of every row at its positions from starts[row] - 1 to its end, rows one after the other: [positions, vocab]."""
    where = [(r, t) for r, row in enumerate(rows) for t in range(starts[r] - 1, len(row))]
    r, t = torch.tensor(where).T
    causal = model.get_base_model()
    with autocast():
        return causal.lm_head(causal.model(input_ids=padded(rows), use_cache=False).last_hidden_state[r, t]).float()


def contexts_of(labels):
    """Label beginnings that must be run (no run is needed for the beginning of another), and each label's."""
    begins = {tuple(label[:-1]) for label in labels.values()}
    runs = sorted(b for b in begins if not any(o != b and o[:len(b)] == b for o in begins))
    return runs, {name: next(i for i, run in enumerate(runs) if list(run[:len(label) - 1]) == label[:-1])
                  for name, label in labels.items()}


@torch.no_grad()
def accuracy(model, samples, labels, autocast):
    wrong = Counter()
    runs, run_of = contexts_of(labels)
    by_length = sorted(samples, key=lambda sample: len(sample[0]))
    for start in range(0, len(by_length), 16):
        batch = by_length[start:start + 16]
        rows = [prompt + list(run) for prompt, _ in batch for run in runs]
        starts = [len(prompt) for prompt, _ in batch for _ in runs]
        logs = tail_logits(model, rows, starts, autocast).log_softmax(-1).split([len(run) + 1 for _ in batch for run in runs])
        for i, (_, truth) in enumerate(batch):
            score = {name: sum(float(logs[i * len(runs) + run_of[name]][j, token]) for j, token in enumerate(label))
                     for name, label in labels.items()}
            guess = max(score, key=score.get)
            wrong[f"{truth} as {guess}"] += guess != truth
    return 1 - wrong.total() / len(samples), wrong


def epoch_of(samples, size, generator, grouped):
    """Batches of one epoch: shuffled; grouped: sorted by length within windows of 16 batches, batches in random order."""
    order = torch.randperm(len(samples), generator=generator).tolist()
    window = 16 * size
    if grouped:
        order = [i for at in range(0, len(order), window)
                 for i in sorted(order[at:at + window], key=lambda i: len(samples[i][0]))]
    batches = [order[at:at + size] for at in range(0, len(order) - size + 1, size)]
    return [[samples[i] for i in batches[b]] for b in torch.randperm(len(batches), generator=generator).tolist()]


def schedule(kind, step, steps, warmup):
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[kind]


def loss_of_labelled(model, rows, starts, autocast):
    logits = tail_logits(model, [row[:-1] for row in rows], starts, autocast)
    targets = torch.tensor([token for row, start in zip(rows, starts) for token in row[start:]])
    return torch.nn.functional.cross_entropy(logits, targets)


def loss_of_all(model, rows, starts, autocast):
    """The model's own: logits of every position, padding too."""
    ids = padded(rows)
    mask = torch.arange(ids.shape[1])[None] < torch.tensor([[len(row)] for row in rows])
    labels = ids.where(mask & (torch.arange(ids.shape[1])[None] >= torch.tensor(starts)[:, None]), -100)
    with autocast():
        return model(input_ids=ids, attention_mask=mask.long(), labels=labels, use_cache=False).loss


def train(model, samples, labels, end, options, autocast):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=options.lr, weight_decay=options.weight_decay)
    generator = torch.Generator().manual_seed(options.seed)
    queue, losses, tokens = [], [], 0
    for step in range(options.steps):
        queue = queue or epoch_of(samples, options.batch, generator, options.order == "grouped")
        batch = queue.pop()
        for group in optimizer.param_groups:
            group["lr"] = options.lr * schedule(options.schedule, step, options.steps, options.warmup)
        rows = [prompt + labels[label] + end for prompt, label in batch]
        take_loss = loss_of_labelled if options.head == "labelled" else loss_of_all
        loss = take_loss(model, rows, [len(prompt) for prompt, _ in batch], autocast)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, options.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        tokens += sum(map(len, rows))
        if step % 10 == 9:
            print(f"step {step + 1} loss {sum(losses[-10:]) / 10:.3f}", file=sys.stderr, flush=True)
    return losses, tokens


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("data")
    for name, value in dict(steps=120, lr=1e-3, dtype="bf16", threads=2, batch=16, rank=16, alpha=32, dropout=0.0, warmup=10,
                            schedule="cosine", weight_decay=0.0, clip=1.0, seed=1, system="", order="grouped", head="labelled", evaluate="yes").items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    from peft import LoraConfig, get_peft_model
    tokenizer = tokenizer_from_gguf(options.model)

    def encode(text):
        return tokenizer.encode(text).ids

    def autocast():
        return torch.autocast("cpu", torch.bfloat16) if options.dtype == "bf16" else nullcontext()

    samples = read_samples(Path(options.data) / "train.jsonl", encode, options.system)
    held_out = read_samples(Path(options.data) / "heldout.jsonl", encode, options.system)
    labels = {label: encode(label) for label in sorted({label for _, label in samples})}
    base = llama_from_gguf(options.model).to(torch.bfloat16 if options.dtype == "bf16" else torch.float32)
    model = get_peft_model(base, LoraConfig(
        r=options.rank, lora_alpha=options.alpha, lora_dropout=options.dropout, target_modules=LINEARS))
    judged = options.evaluate == "yes"
    before = accuracy(model.eval(), held_out, labels, autocast)[0] if judged else None
    start = time.time()
    losses, tokens = train(model.train(), samples, labels, encode("<|im_end|>"), options, autocast)
    seconds = time.time() - start
    after, wrong = accuracy(model.eval(), held_out, labels, autocast) if judged else (None, Counter())
    print(json.dumps(dict(vars(options), before=before, after=after, seconds=round(seconds, 1), tokens_per_second=round(tokens / seconds, 1),
                          tokens_per_sample=round(tokens / options.steps / options.batch, 1),
                          last_losses=round(sum(losses[-20:]) / 20, 4), wrong=dict(wrong.most_common(6)))), flush=True)


if __name__ == "__main__":
    main()
