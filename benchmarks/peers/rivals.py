"""What the rivals' scripts share: shapes, random weights, rows and samples, the timed loop, JSON lines.

Usage of each: rival_NAME.py SHAPE [options] CASE...      SHAPE: a name in configs/shapes/
CASE  4x2048      full rows of random tokens
      pad:16      samples of --lengths in random order, so many a batch, padded to its longest (as most people run it)
      pack:8192   samples of --lengths side by side in rows of so many tokens (the rival's own packing, where it has one)
Each case is a JSON line with graft bench's keys: step_ms (the median) and its spread, tokens_per_second (real tokens), peak_allocated_gib,
peak_reserved_gib; what does not fit into the device's memory is a line with "oom". LoRA r=16 on all seven linears, fp32 adapters under bf16
autocast, fused AdamW, no clipping: what helps the rival is left on, what costs it is left out.
"""
import argparse
import gc
import json
import random
import sys
import time
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WARM_STEPS, FEWEST_STEPS, BATCHES = 3, 5, 16


def options_of(text, argv=None):
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape")
    parser.add_argument("cases", nargs="+", metavar="CASE")
    parser.add_argument("--format", default="none", choices=["none", "nf4", "int8"], help="how the base is kept")
    parser.add_argument("--recompute", default="none", choices=["none", "layer", "offload"])
    parser.add_argument("--lengths", type=Path, help="a file of samples' lengths, one a line")
    parser.add_argument("--seconds", type=float, default=20, help="of steps, once they are warm")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--folder", type=Path, default=Path("/tmp/rivals"), help="where random models are written, for rivals that read one")
    return parser.parse_args(argv)


def config_of(shape):
    from transformers import AutoConfig
    values = json.loads((ROOT / "configs/shapes" / f"{shape}.json").read_text())
    return AutoConfig.for_model(values.pop("model_type"), bos_token_id=0, eos_token_id=1, pad_token_id=2, **values)


def random_model(options):
    """Random weights, made on the device: bf16, or fp32 on a CPU."""
    from transformers import AutoModelForCausalLM
    torch.manual_seed(0)
    dtype = torch.float32 if options.device == "cpu" else torch.bfloat16
    with torch.device(options.device):
        return AutoModelForCausalLM.from_config(config_of(options.shape), dtype=dtype, attn_implementation="sdpa")


def model_folder(options):
    """The random model and a small word-level tokenizer as a folder, written unless it is there."""
    folder = options.folder / options.shape
    if (folder / "tokenizer.json").exists():
        return str(folder)
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    model = random_model(options)
    model.save_pretrained(folder, max_shard_size="4GB")
    del model
    empty_cache(options.device)
    vocabulary = {word: i for i, word in enumerate(["<s>", "</s>", "<pad>", "<unk>"] + [chr(c) for c in range(33, 127)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
                            model_max_length=8192).save_pretrained(folder)
    return str(folder)


def with_lora(model):
    from peft import LoraConfig, get_peft_model
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, task_type="CAUSAL_LM", target_modules=LINEARS))
    model.enable_input_require_grads()
    return model.train()


def set_recompute(model, recompute):
    if recompute == "offload":
        sys.exit("transformers has no offloaded checkpointing")
    if recompute == "layer":
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    else:
        model.gradient_checkpointing_disable()


# --- What is trained on: (the model's arguments, its real tokens) ---------------------------------------------------------------

def full_rows(vocabulary, rows, columns, device):
    for _ in range(BATCHES):
        ids = torch.randint(0, vocabulary, (rows, columns), device=device)
        yield dict(input_ids=ids, labels=ids), rows * columns


def shuffled_lengths(file):
    lengths = [int(line) for line in file.read_text().split()]
    random.Random(1).shuffle(lengths)
    return lengths


def padded(vocabulary, lengths, rows, device):
    for begin in range(0, len(lengths) - rows + 1, rows):
        batch = lengths[begin:begin + rows]
        ids = torch.randint(3, vocabulary, (rows, max(batch)), device=device)
        mask = torch.arange(max(batch), device=device)[None] < torch.tensor(batch, device=device)[:, None]
        yield dict(input_ids=ids.where(mask, 2), attention_mask=mask.long(), labels=ids.where(mask, -100)), sum(batch)


def first_fit(lengths, room):
    rows, left = [], []
    for length in lengths:
        place = next((i for i, free in enumerate(left) if free >= length), None)
        if place is None:
            rows.append([]), left.append(room)
            place = -1
        rows[place].append(length)
        left[place] -= length
    return rows


def packed(vocabulary, lengths, room, device):
    """One row a batch; positions begin again with each sample, whose first token is nobody's target."""
    for row in first_fit(lengths, room):
        ids = torch.randint(3, vocabulary, (1, sum(row)), device=device)
        positions = torch.cat([torch.arange(length, device=device) for length in row])[None]
        yield dict(input_ids=ids, position_ids=positions, labels=ids.masked_fill(positions == 0, -100),
                   packed_seq_lengths=torch.tensor(row, dtype=torch.int32, device=device)), sum(row)


def batches_of(case, options, vocabulary):
    kind, _, size = case.partition(":")
    if kind == "pad":
        return list(padded(vocabulary, shuffled_lengths(options.lengths), int(size), options.device))
    if kind == "pack":
        return list(packed(vocabulary, shuffled_lengths(options.lengths), int(size), options.device))
    rows, columns = map(int, case.split("x"))
    return list(full_rows(vocabulary, rows, columns, options.device))


# --- The loop -------------------------------------------------------------------------------------------------------------------

def empty_cache(device):
    gc.collect()
    if device != "cpu":
        torch.cuda.empty_cache()


class Clock:
    """Marks between steps: events on a GPU, which hold nothing up."""

    def __init__(self, device):
        self.on_gpu, self.marks = device != "cpu", []

    def mark(self):
        if self.on_gpu:
            self.marks.append(torch.cuda.Event(enable_timing=True))
            self.marks[-1].record()
        else:
            self.marks.append(time.perf_counter())

    def milliseconds(self):
        if self.on_gpu:
            torch.cuda.synchronize()
            return [a.elapsed_time(b) for a, b in zip(self.marks, self.marks[1:])]
        return [1e3 * (b - a) for a, b in zip(self.marks, self.marks[1:])]


def timed_steps(step, batches, options):
    """Milliseconds and real tokens of each step once warm: as graft bench takes them."""
    clock, tokens, count = Clock(options.device), [], 0
    began = time.perf_counter()
    warm = None
    while True:
        arguments, real = batches[count % len(batches)]
        loss = step(arguments)
        count += 1
        now = time.perf_counter()
        if warm is None:
            if count >= WARM_STEPS and now - began >= options.seconds / 5:
                warm = now
                clock.mark()
            continue
        clock.mark()
        tokens.append(real)
        if len(tokens) >= FEWEST_STEPS and now - warm >= options.seconds:
            return clock.milliseconds(), tokens, float(loss)


def measure(model, case, options):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    batches = batches_of(case, options, model.config.vocab_size)
    autocast = nullcontext() if options.dtype == "fp32" else torch.autocast(options.device, torch.bfloat16)

    def step(arguments):
        with autocast:
            loss = model(**arguments, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    row = dict(trained=sum(p.numel() for p in parameters))
    if options.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    try:
        times, tokens, loss = timed_steps(step, batches, options)
        order = sorted(times)
        step_ms = order[len(order) // 2]
        full = case[0].isdigit()
        row.update(steps=len(times), step_ms=step_ms, step_ms_min=order[0], step_ms_max=order[-1], tokens_per_step=sum(tokens) / len(tokens),
                   tokens_per_second=1e3 * (tokens[0] / step_ms if full else sum(tokens) / sum(times)), last_loss=loss)
    except torch.cuda.OutOfMemoryError as error:
        row["oom"] = str(error)[:160]
    if options.device != "cpu":
        row.update(peak_allocated_gib=torch.cuda.max_memory_allocated() / 2**30, peak_reserved_gib=torch.cuda.max_memory_reserved() / 2**30)
    optimizer.zero_grad(set_to_none=True)
    del optimizer, batches
    empty_cache(options.device)
    return row


def versions(names):
    found = {}
    for name in ("torch", "transformers", "peft", *names):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def run(program, load, options, packages=()):
    """Measures the cases on the model that `load` makes, a line each."""
    began = time.perf_counter()
    model = load(options)
    loaded = time.perf_counter() - began
    card = torch.cuda.get_device_name() if options.device != "cpu" else f"CPU, {torch.get_num_threads()} threads"
    for case in options.cases:
        row = dict(program=program, model=options.shape, case=case, card=card, format=options.format, dtype=options.dtype,
                   recompute=options.recompute, load_s=round(loaded, 1), **measure(model, case, options), versions=versions(packages))
        print(json.dumps(row), flush=True)
