"""Ten steps of bitsandbytes' AdamW8bit (0.50.2, on the CPU) on gradients that are a function: tests/golden/adamw_8bit/steps.safetensors.
usage: make_adamw_8bit.py"""
import pathlib

import bitsandbytes as bnb
import torch
from safetensors.torch import save_file

COUNT, STEPS = 4 * 1024 + 100, 10   # large enough for 8 bits; the last block is short


def gradient(step):
    """A few are larger, signs change. None is much smaller than its block's largest: there the CPU's codes are coarse."""
    i = torch.arange(COUNT, dtype=torch.float64)
    return (torch.sin(0.37 * i + step) * (1 + 3 * ((i * 7919) % 97 == 0))).float()


torch.set_num_threads(1)
p = torch.nn.Parameter(torch.cos(torch.arange(COUNT, dtype=torch.float64)).float())
optimizer = bnb.optim.AdamW8bit([p], lr=1e-2, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
for step in range(STEPS):
    p.grad = gradient(step)
    optimizer.step()
state = optimizer.state[p]
save_file({"p": p.data, "exp_avg": state["state1"], "exp_avg_sq": state["state2"], "exp_avg.absmax": state["absmax1"], "exp_avg_sq.absmax": state["absmax2"],
           "signed_map": state["qmap1"], "unsigned_map": state["qmap2"]}, pathlib.Path(__file__).parent / "adamw_8bit/steps.safetensors")
