"""Families of decoders against transformers and PEFT, on tiny random models with every option, in fp32 on the CPU.

Usage: families.py BUILD_FOLDER [--all | --only WORD]      without either: logits and greedy tokens of all, the rest of a few
Each case: (1) logits of texts past the window and the original context, (2) greedy tokens over the cache, (3) the same weights as GGUF, named
by the gguf package, (4) PEFT's folders of what meets scaled embeddings and windows, (5) 20 LoRA steps from the same first values, (6) the trained
folder in PEFT and the merged one in transformers.
"""
import random
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model

from adapter_training import (LOGITS, check_apart, check_losses, graft_job, optimizer_for, parsed_options, randomise, relative_difference, token_loss,
                              train_with_graft, train_with_torch, write_data)
from compare_model import greedy
from family_cases import CASES, VOCABULARY
from gguf_models import write_gguf
from graft_program import graft_greedy, graft_logits, run
from peft_adapters import load_in_peft, logits_without_slots
from peft_training import MODEL
from reference import Summary, load_model, logits_of

sys.path.insert(0, str(MODEL.parent))
from make_golden import randomise as random_weights  # noqa: E402

NEW_TOKENS = 20


def write_model(case, folder, seed):
    model = case.build()
    random_weights(model, torch.Generator().manual_seed(seed))
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MODEL / name, folder)


def texts_for(case):
    chance = random.Random(7)
    return [[chance.randrange(VOCABULARY) for _ in range(length)] for length in (3, 20, 60, case.context - NEW_TOKENS - 5)]


def frequencies_of(model):
    return (getattr(model.config, "rope_parameters", None) or {}).get("rope_type")


def row_by_row(model):
    """Logits of a padded batch, each text alone: transformers takes frequencies that depend on the length by the longest of a batch."""
    def logits(ids):
        rows = [row[:int(row.nonzero().max()) + 1] for row in ids]
        return torch.stack([torch.nn.functional.pad(model(input_ids=row[None]).logits[0], (0, 0, 0, len(ids[0]) - len(row))) for row in rows])
    return logits


class Comparison:
    def __init__(self, summary, build, work):
        self.summary, self.work = summary, Path(work)
        self.program, self.dump = Path(build) / "graft", Path(build) / "tests" / "model_dump"
        self.data = write_data(work)

    def line(self, case, what, *figures):
        self.summary.line(f"{case.name}: {what}", *figures)

    def check_logits(self, case, base, texts):
        """And the logits of transformers."""
        model = load_model(base)
        theirs = logits_of(model, texts)
        self.line(case, "logits", relative_difference(graft_logits(self.dump, base, texts), theirs), LOGITS)
        # From prompts on whose way frequencies stay: transformers keeps what was cached at others (dynamic's change at each step).
        prompts = [texts[1][:4], texts[3][:70]][:1 if frequencies_of(model) == "dynamic" else 2]
        expected = [greedy(model, prompt, {2}, NEW_TOKENS)[0] for prompt in prompts]
        made = [tokens + [2] * (len(tokens) < NEW_TOKENS) for tokens in graft_greedy(self.dump, base, prompts, NEW_TOKENS)]
        self.line(case, "greedy tokens over the cache", sum(a == b for a, b in zip(made, expected, strict=True)), len(prompts), made == expected)
        return theirs

    def check_gguf(self, case, base, texts, theirs):
        file = base.parent / "model.gguf"
        write_gguf(base, file)
        self.line(case, "GGUF, logits", relative_difference(graft_logits(self.dump, file, texts), theirs), 5 * LOGITS)

    def check_folders(self, case, base, texts):
        words = "wte" if case.family == "GPT2" else "embed_tokens"
        for config in (PrefixTuningConfig(num_virtual_tokens=5, task_type="CAUSAL_LM"), PromptTuningConfig(num_virtual_tokens=5, task_type="CAUSAL_LM"),
                       LoraConfig(r=4, target_modules=[words], task_type="CAUSAL_LM")):
            model, folder = get_peft_model(load_model(base), config), base.parent / config.peft_type
            randomise(model)
            model.eval().save_pretrained(folder)
            theirs = logits_without_slots(model, texts)
            self.line(case, f"PEFT's {config.peft_type.value} in graft, logits", relative_difference(graft_logits(self.dump, base, texts, folder), theirs), LOGITS)

    def check_steps(self, case, base, texts):
        folder, out = base.parent / "peft", base.parent / "run"
        torch.manual_seed(5)
        model = get_peft_model(load_model(base), LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
        randomise(model)
        model.eval().save_pretrained(folder)
        self.line(case, "PEFT's folder in graft, logits", relative_difference(graft_logits(self.dump, base, texts, folder), logits_of(model, texts)), LOGITS)
        section = {"method": "lora", "rank": 8, "alpha": 16, "target_modules": "all-linear", "init_from": str(folder)}
        mine = train_with_graft(self.program, base.parent, "job", graft_job(base, section, self.data, out, 2e-3))
        logits = row_by_row(model) if frequencies_of(model) in ("dynamic", "longrope") else lambda ids: model(input_ids=ids).logits
        theirs = train_with_torch(model, optimizer_for(model, 2e-3), token_loss(logits))
        check_losses(self.summary, case.name, mine, theirs)
        live = graft_logits(self.dump, out, texts)
        loaded, faults = load_in_peft(base, out / "adapter")
        self.line(case, "graft's folder in PEFT, logits", relative_difference(logits_of(loaded, texts), live), 2 * LOGITS)   # trained values are larger
        if faults:
            self.line(case, "PEFT takes every key", "; ".join(faults), "no warning", False)
        merged = base.parent / "merged"
        run([self.program, "export", out, "--merged", merged, "--dtype", "fp32"])
        self.line(case, "merged in transformers, logits", relative_difference(logits_of(load_model(merged), texts), live), 2 * LOGITS)

    def check(self, case, whole):
        base, texts = self.work / case.name.replace(" ", "_") / "base", texts_for(case)
        write_model(case, base, seed=len(case.name))
        theirs = self.check_logits(case, base, texts)
        if case.gguf:
            self.check_gguf(case, base, texts, theirs)
        if whole:
            self.check_folders(case, base, texts)
            self.check_steps(case, base, texts)


def main():
    options = parsed_options(__doc__)
    summary = Summary()
    with tempfile.TemporaryDirectory() as work:
        comparison = Comparison(summary, options.build, work)
        for case in CASES:
            if options.only in case.name:
                check_apart(summary, case.name, lambda: comparison.check(case, case.quick or options.all or options.only))
    summary.exit()


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    main()
