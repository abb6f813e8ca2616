"""Bar 9's rival on this processor: transformers + PEFT, LoRA r=16 on all linears, SmolLM2-135M's shape, full rows; and the floor.

Usage: cpu_peft.py [--model FILE.gguf|random] [--dtype fp32|bf16|both] [--threads 2] [--rows 4] [--length 512] [--steps 5]
One JSON line a dtype: step_s (median), user_per_wall (far under the thread count: threads
shared cores, drop the run), and
  floor.mm_s       the step's frozen products (forward and input gradient of every linear, and of the head) by torch.mm, which PEFT uses
  floor.onednn_s   the same products through oneDNN's mkldnn::_linear_pointwise
  floor.sdpa_s     SDPA forward and backward of all layers
  floor.step_s     onednn_s + sdpa_s
bf16 is autocast over fp32 weights, as PEFT users run it; the floor's products are in bf16. Without AVX512-BF16: "not-run".
"""
import argparse
import json
import resource
import statistics
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "oracle"))
from reference import LINEARS, LlamaConfig, LlamaForCausalLM, llama_from_gguf  # noqa: E402

LAYERS, DIM, INNER, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY = 30, 576, 1536, 9, 3, 64, 49152
SHAPES = [(DIM, DIM), (KV_HEADS * HEAD_DIM, DIM), (KV_HEADS * HEAD_DIM, DIM), (DIM, DIM), (INNER, DIM), (INNER, DIM), (DIM, INNER)]


def timed(work, times):
    """Seconds of each call after one to warm up, and user seconds over wall seconds of all."""
    work()
    wall, user = [], resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for _ in range(times):
        start = time.perf_counter()
        work()
        wall.append(time.perf_counter() - start)
    return wall, (resource.getrusage(resource.RUSAGE_SELF).ru_utime - user) / sum(wall)


def build_model(path):
    if path != "random":
        return llama_from_gguf(path)
    return LlamaForCausalLM(LlamaConfig(
        hidden_size=DIM, intermediate_size=INNER, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
        vocab_size=VOCABULARY, rope_theta=100000.0, tie_word_embeddings=True, max_position_embeddings=8192))


def rival(options, dtype):
    from peft import LoraConfig, get_peft_model
    model = get_peft_model(build_model(options.model), LoraConfig(r=16, lora_alpha=32, target_modules=LINEARS,
                                                                  task_type="CAUSAL_LM")).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    ids = torch.randint(0, VOCABULARY, (options.rows, options.length), generator=torch.Generator().manual_seed(1))

    def step():
        with torch.autocast("cpu", torch.bfloat16) if dtype == torch.bfloat16 else nullcontext():
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    wall, ratio = timed(step, options.steps)
    return {"step_s": round(statistics.median(wall), 3), "steps_s": [round(w, 2) for w in wall], "user_per_wall": round(ratio, 2),
            "tokens_per_s": round(ids.numel() / statistics.median(wall))}


def products(tokens, dtype, steps):
    """Seconds of a step's worth of frozen products, by torch.mm and by oneDNN: different weights in each layer, as in training."""
    weights = [torch.randn(shape, dtype=dtype) * 0.02 for _ in range(LAYERS) for shape in SHAPES]
    weights.append(torch.randn(VOCABULARY, DIM, dtype=dtype) * 0.02)
    turned = [w.t().contiguous() for w in weights]
    inputs = {size: torch.randn(tokens, size, dtype=dtype) for size in {side for w in weights for side in w.shape}}
    linear = torch.ops.mkldnn._linear_pointwise

    def by_mm():
        for w in weights:
            torch.mm(inputs[w.shape[1]], w.t())
            torch.mm(inputs[w.shape[0]], w)

    def by_onednn():
        for w, t in zip(weights, turned):
            linear(inputs[w.shape[1]], w, None, "none", [], "")
            linear(inputs[w.shape[0]], t, None, "none", [], "")

    flops = 4 * tokens * sum(w.numel() for w in weights)
    return statistics.median(timed(by_mm, steps)[0]), statistics.median(timed(by_onednn, steps)[0]), flops


def attention(options, dtype):
    def heads():
        return torch.randn(options.rows, HEADS, options.length, HEAD_DIM, dtype=dtype, requires_grad=True)

    def work():
        for _ in range(LAYERS):
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            torch.autograd.grad(out, (q, k, v), gradient)

    q, k, v = heads(), heads(), heads()
    gradient = torch.randn_like(q)
    return statistics.median(timed(work, options.steps)[0])


def floor(options, dtype):
    by_mm, by_onednn, flops = products(options.rows * options.length, dtype, max(3, options.steps // 2))
    sdpa = attention(options, dtype)
    return {"mm_s": round(by_mm, 3), "onednn_s": round(by_onednn, 3), "sdpa_s": round(sdpa, 3), "step_s": round(by_onednn + sdpa, 3),
            "mm_gflops": round(flops / by_mm / 1e9), "onednn_gflops": round(flops / by_onednn / 1e9),
            "onednn_over_mm": round(by_mm / by_onednn, 2)}


def processor():
    return next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")


def main():
    parser = argparse.ArgumentParser()
    for name, value in dict(model="random", dtype="both", threads=2, rows=4, length=512, steps=5).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16}.items():
        if options.dtype not in (name, "both"):
            continue
        line = {"peer": "transformers+peft LoRA r=16", "dtype": name, "rows": options.rows, "length": options.length,
                "threads": options.threads, "processor": processor()}
        if dtype == torch.bfloat16 and "avx512_bf16" not in Path("/proc/cpuinfo").read_text():
            line["not_run"] = "this processor has no AVX512-BF16"
        else:
            line.update(rival(options, dtype), floor=floor(options, dtype))
            line["peak_gib_so_far"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
