"""Unsloth: its fused kernels, compiled blocks, cross entropy, checkpointing and packing. rivals.py says the rest.

--recompute layer: plain checkpointing; offload: its own, which keeps the layers' inputs in host memory. It compiles for 10 to 40 s, before the
steps that are timed.
"""
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")

from unsloth import FastLanguageModel  # first: it patches what follows
import torch

import rivals

CHECKPOINTING = {"none": False, "layer": True, "offload": "unsloth"}


def load(options):
    checkpointing = CHECKPOINTING[options.recompute]
    longest = max(int(case.split("x")[-1].split(":")[-1]) for case in options.cases)
    model, _ = FastLanguageModel.from_pretrained(
        rivals.model_folder(options), max_seq_length=max(longest, 2048), dtype=torch.bfloat16, load_in_4bit=options.format == "nf4",
        use_gradient_checkpointing=checkpointing)
    model = FastLanguageModel.get_peft_model(
        model, r=16, lora_alpha=32, lora_dropout=0, bias="none", target_modules=rivals.LINEARS,
        use_gradient_checkpointing=checkpointing, random_state=0)
    FastLanguageModel.for_training(model, use_gradient_checkpointing=checkpointing)
    return model


if __name__ == "__main__":
    rivals.run("unsloth", load, rivals.options_of(rivals.__doc__), ["unsloth", "unsloth_zoo", "bitsandbytes", "trl"])
