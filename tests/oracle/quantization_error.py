"""Formats on Gaussian weights against a float64 computation of their own. usage: quantization_error.py QUANT_DUMP"""
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

NF4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
       0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]
FP4 = [m * s / 12 for m in (0, 0.0625, 8, 12, 4, 6, 2, 3) for s in (1, -1)]
torch.manual_seed(2)
x = torch.randn(2048, 4096)   # 8.4 M numbers, whole blocks of every size
blocks = [32, 64, 128, 256, 512, 1024, 2048, 4096]
failed = False


def line(name, figure, bound, holds):
    print(f"{name} | {figure} | {bound} | {'holds' if holds else 'short'}")


def nearest(v, points):
    points = torch.tensor(sorted(points), dtype=torch.float64)
    return points[torch.bucketize(v, (points[1:] + points[:-1]) / 2)]


def oracle(kind, groups):
    g = groups.double()
    if kind in ("nf4", "fp4"):
        scale = g.abs().amax(1, keepdim=True)
        return nearest(g / scale, NF4 if kind == "nf4" else FP4) * scale
    if kind == "int4_symmetric":
        scale = g.abs().amax(1, keepdim=True) / 7
        return (g / scale).round().clamp(-7, 7) * scale
    if kind == "int8_absmax":
        g = groups.half().double()
        scale = g.abs().amax(1, keepdim=True) / 127
        return (g / scale).round() * scale
    if kind == "fp8":
        scale = g.abs().amax(1, keepdim=True) / 448
        return (g / scale).float().to(torch.float8_e4m3fn).double() * scale
    low, high = (-128, 127) if kind == "int8_zero_point" else (0, 15)
    least, most = g.amin(1, keepdim=True).clamp(max=0), g.amax(1, keepdim=True).clamp(min=0)
    step = (most - least) / (high - low)
    zero = ((-least / step).round() + low).clamp(low, high)
    return (((g / step).round() + zero).clamp(low, high) - zero) * step


def snr(y, reference):
    return (10 * torch.log10(reference.square().sum() / (y - reference).square().sum())).item()


cases = {f"{kind}/block/{block}/0/none/x": (kind, block) for kind in ("nf4", "fp4", "int4_affine", "int8_absmax", "int8_zero_point") for block in blocks}
cases |= {f"{kind}/row/64/0/none/x": (kind, 4096) for kind in ("int8_absmax", "int8_zero_point", "fp8")}
with tempfile.TemporaryDirectory() as folder:
    save_file({name: x.clone() for name in cases}, f"{folder}/in.safetensors")
    subprocess.run([sys.argv[1], f"{folder}/in.safetensors", f"{folder}/out.safetensors", "cpu"], check=True)
    out = load_file(f"{folder}/out.safetensors")
ours, worst, errors = {}, 0, {}
for name, (kind, block) in cases.items():
    ours[kind, block] = snr(out[name + ".values"].double().view(-1), x.double().view(-1))
    expected = snr(oracle(kind, x.view(-1, block)).view(-1), x.double().view(-1))
    worst = max(worst, abs(ours[kind, block] - expected))
    errors[kind, block] = (out[name + ".values"].double() - x.double()).square().mean().item()
    print(f"{kind} blocks of {block}: {ours[kind, block]:.3f} dB (float64: {expected:.3f})", file=sys.stderr)
line(f"SNR on Gaussian weights against float64, {len(cases)} formats and blocks, dB apart", f"{worst:.4f}", "<= 0.02", worst <= 0.02)
order = all(ours["nf4", b] > snr(oracle("int4_symmetric", x.view(-1, b)).view(-1), x.double().view(-1)) > ours["fp4", b] for b in blocks if 64 <= b <= 1024)
line("nf4 > int4 symmetric > fp4 at blocks of 64 to 1024", "so" if order else "not so", "so", order)
growth = max(errors[kind, b * 2] / errors[kind, b] for kind, b in errors if (kind, b * 2) in errors and kind != "fp8")
line("mean squared error grows a doubling of the block by at most", f"{growth:.3f}x", "<= 1.3x", growth <= 1.3)
