"""Codes, constants and values against bitsandbytes, byte for byte. usage: bitsandbytes_bytes.py QUANT_DUMP cuda|cpu [TENSORS]

On CUDA bitsandbytes is the definition; graft's CPU text is compared with graft's CUDA in the same run. On the CPU its own kernels differ
from that (contracts 1.3): NF4 without double quantisation must be equal, FP4 but for values that round to zero or lie on a threshold."""
import random
import subprocess
import sys
import tempfile

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import load_file, save_file

dump, device = sys.argv[1], sys.argv[2]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 1200
random.seed(1)
torch.manual_seed(1)
BLOCKS = [32, 64, 128, 256, 512, 1024, 2048, 4096]


def make(i):
    """Shapes with tails, blocks of zeros and of one value, tiny and large numbers."""
    rows, columns = random.choice([(1, 1), (1, 63), (3, 50), (17, 129), (64, 64), (33, 768), (128, 512), (5, 4097), (256, 257)])
    x = torch.randn(rows, columns, device="cpu") * 10 ** random.uniform(-4, 1)
    kind = i % 7
    if kind == 1:
        x.view(-1)[: min(x.numel(), 4096)] = 0
    if kind == 2:
        x.fill_(random.choice([-0.37, 0.0, 2.5]))
    if kind == 3:
        x.view(-1)[::97] *= 30
    return x.to(random.choice([torch.float32, torch.bfloat16, torch.float16]))


def run_dump(tensors, where):
    with tempfile.TemporaryDirectory() as folder:
        save_file(tensors, f"{folder}/in.safetensors")
        subprocess.run([dump, f"{folder}/in.safetensors", f"{folder}/out.safetensors", where], check=True)
        return load_file(f"{folder}/out.safetensors")


def line(name, figure, bound, holds):
    print(f"{name} | {figure} | {bound} | {'holds' if holds else 'short'}")


tensors = {}
for i in range(count):
    kind = random.choice(["nf4", "fp4", "int8_absmax"] if device == "cuda" else ["nf4", "fp4"])   # its int8 CPU kernel divides another way
    if kind == "int8_absmax":
        tensors[f"{kind}/row/64/0/none/{i}"] = make(i)
    else:
        tensors[f"{kind}/block/{random.choice(BLOCKS)}/{i % 2}/none/{i}"] = make(i)

ours = run_dump(tensors, device)
codes = {"nf4": 0, "fp4": 0, "int8_absmax": 0}
wrong = dict(codes)
constants = values = offsets = worst_offset = excused = map_off_by_one = map_codes = 0
for name, x in tensors.items():
    kind, _, block, double, *_ = name.split("/")
    get = lambda part: ours[f"{name}.{part}"].to(device)
    x = x.to(device)
    if kind == "int8_absmax":
        q, scale, _ = bnb.int8_vectorwise_quant(x.to(torch.float16))
        expected = (q.float() * scale.view(-1, 1) * 7.874015718698502e-3).to(x.dtype)
        codes[kind] += x.numel()
        wrong[kind] += (q.view(torch.uint8).view(-1) != get("codes")).sum().item()
        constants += (scale != get("scale")).sum().item()
        values += (expected.view(-1) != get("values").view(-1)).sum().item()
        continue
    q, state = bnb.quantize_4bit(x, blocksize=int(block), quant_type=kind, compress_statistics=double == "1")
    mine, theirs = get("codes"), q.view(-1)
    codes[kind] += x.numel()
    if device == "cuda":
        wrong[kind] += (mine != theirs).sum().item()
    elif double == "0" or kind == "nf4":
        differ = torch.stack([(mine >> 4) != (theirs >> 4), (mine & 15) != (theirs & 15)], 1).view(-1)[: x.numel()]
        scaled = (x.float().view(-1) / get("scale").repeat_interleave(int(block))[: x.numel()].clamp_min(1e-38)) if double == "0" else torch.zeros(x.numel())
        zero = x.float().view(-1) == 0
        near = torch.zeros_like(differ)
        if kind == "fp4":
            for t in (0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333):
                near |= (scaled.abs() - t).abs() < 1e-6
            near |= scaled.abs() < 0.0026042
        excused += (differ & (near | zero)).sum().item()
        wrong[kind] += (differ & ~near & ~zero).sum().item()
    if double == "0":
        constants += (state.absmax != get("scale")).sum().item() if device == "cuda" else (~torch.isclose(state.absmax, get("scale"), 1e-6, 1e-37)).sum().item()
    else:
        offset = get("offset").item()
        worst_offset = max(worst_offset, abs(offset - state.offset.item()) / max(abs(state.offset.item()), 1e-30) if state.offset.item() else abs(offset))
        # the same nested offset for both: bitsandbytes' second quantisation of what is left
        absmax = bnb.quantize_4bit(x, blocksize=int(block), quant_type=kind)[1].absmax
        again, nested = bnb.quantize_blockwise(absmax - torch.tensor(offset, device=device), blocksize=256)
        apart = (again.view(-1).int() - get("scale_codes").int()).abs()
        if device == "cpu":   # a block of zeros has another code there, which also stands for zero; and its search is coarse next to zero
            largest = get("nested_scale").repeat_interleave(256)[: apart.numel()]
            apart *= (largest > 0) & ((absmax - offset).abs() > 1e-4 * largest)
        map_codes += apart.numel()
        map_off_by_one += (apart == 1).sum().item()
        constants += (apart > (0 if device == "cuda" else 1)).sum().item()
        constants += (nested.absmax != get("nested_scale")).sum().item() if device == "cuda" else 0
        state = bnb.QuantState(absmax=get("scale_codes"), shape=x.shape, dtype=x.dtype, blocksize=int(block), quant_type=kind, code=state.code,
                               offset=torch.tensor(offset, device=device), state2=nested)
    if device == "cuda":
        expected = bnb.dequantize_4bit(q, state)
        values += (expected.view(-1) != get("values").view(-1)).sum().item()

where = "CUDA" if device == "cuda" else "its CPU kernels"
for kind in [k for k in codes if codes[k]]:
    line(f"{kind} codes unlike bitsandbytes' on {where}, of {codes[kind]} numbers in {count} tensors", wrong[kind], "0", wrong[kind] == 0)
line(f"constants unlike bitsandbytes' on {where}", constants, "0", constants == 0)
line("nested offset against bitsandbytes', relative", f"{worst_offset:.1e}", "<= 1e-6", worst_offset <= 1e-6)
if device == "cuda":
    line("dequantised values unlike bitsandbytes'", values, "0", values == 0)
    cpu = run_dump(tensors, "cpu")
    differ = [k for k in cpu if not torch.equal(cpu[k].cpu().contiguous().view(torch.uint8) if cpu[k].dim() else cpu[k], ours[k].cpu().contiguous().view(torch.uint8) if ours[k].dim() else ours[k])]
    line(f"graft's CPU text unlike graft's CUDA, of {len(cpu)} parts", len(differ), "0", not differ)
else:
    print(f"excused: {excused} FP4 codes at zero or on a threshold; {map_off_by_one} of {map_codes} dynamic-map codes off by one", file=sys.stderr)
