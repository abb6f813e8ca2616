"""Quantised folders between graft and transformers + bitsandbytes on the CPU. usage: bitsandbytes_folders.py GRAFT MODEL_DUMP MODEL TEXT
MODEL: a folder or GGUF whose dense export transformers loads."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import bitsandbytes
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

graft, dump, model = sys.argv[1:4]
TEXT = open(sys.argv[4]).read()[:8000]


def line(name, figure, bound, holds):
    print(f"{name} | {figure} | {bound} | {'holds' if holds else 'short'}")


def ours(path, ids, folder, dtype):
    with open(f"{folder}/ids.json", "w") as file:
        json.dump([ids], file)
    subprocess.run([dump, "logits", path, f"{folder}/ids.json", f"{folder}/logits.safetensors"], check=True, env=os.environ | {"GRAFT_DUMP_DTYPE": dtype})
    return load_file(f"{folder}/logits.safetensors")["logits_0"]


def dense_product(module):
    """bitsandbytes' int8 product rounds activations to int8 too; what the weights say is this."""
    def forward(x):
        weight = (module.state.CB if module.state.CB is not None else module.weight.data).float()
        scale = module.state.SCB if module.state.SCB is not None else module.weight.SCB
        return torch.nn.functional.linear(x, (weight * scale.view(-1, 1) / 127).to(x.dtype), module.bias)
    return forward


def logits(loaded, ids, dtype):
    for parameter in loaded.parameters():   # transformers leaves what is dense in a quantised folder in the folder's type
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    for module in loaded.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):   # computes in the type that the folder names, in bf16 where the processor has it
            module.compute_dtype, module.compute_type_is_set, module.support_avx512bf16_for_cpu = dtype, True, False
        if isinstance(module, bitsandbytes.nn.Linear8bitLt):
            module.forward = dense_product(module)
    with torch.no_grad():
        return loaded(torch.tensor([ids])).logits[0].float()


def theirs(path, ids, dtype):
    return logits(AutoModelForCausalLM.from_pretrained(path, dtype=dtype, device_map="cpu"), ids, dtype)


def compare(name, found, expected):
    apart = (found - expected).abs().max().item()
    line(f"{name}, fp32, logits apart", f"{apart:.1e}", "<= 5e-4", apart <= 5e-4)


def same(found, expected):
    return 100 * (found.argmax(-1) == expected.argmax(-1)).float().mean().item()


def agree(name, path, ids, own, folder):
    """On the model's own greedy text, where its choice is clear; on prose bf16 itself moves a few per cent, in transformers too."""
    share = same(ours(path, own, folder, "bf16"), theirs(path, own, torch.bfloat16))
    line(f"{name}, bf16, same likeliest token at {len(own)} positions of its own text", f"{share:.1f} %", ">= 99 %", share >= 99)
    prose, itself = same(ours(path, ids, folder, "bf16"), theirs(path, ids, torch.bfloat16)), same(theirs(path, ids, torch.float32), theirs(path, ids, torch.bfloat16))
    line(f"{name}, bf16, same likeliest token at {len(ids)} positions of prose", f"{prose:.1f} %", f">= transformers' bf16 against its fp32 ({itself:.1f} %) - 1", prose >= itself - 1)


FORMATS = {"nf4": [], "nf4 double": ["--double-quantization"], "fp4": [], "int8_absmax": []}
CONFIGS = {
    "nf4 double": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32),
    "fp4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="fp4", bnb_4bit_compute_dtype=torch.float32),
    "int8": BitsAndBytesConfig(load_in_8bit=True),
}
with tempfile.TemporaryDirectory() as folder:
    for name, flags in FORMATS.items():
        out = f"{folder}/ours"
        subprocess.run([graft, "quantize", model, "--to", name.split()[0], out] + flags, check=True, stderr=subprocess.DEVNULL)
        tokenizer = AutoTokenizer.from_pretrained(out)
        ids = tokenizer(TEXT)["input_ids"][:1000]
        text = subprocess.run([graft, "generate", out, "--raw", "--prompt", "The town lies on the river", "--max-new-tokens", "300", "--dtype", "fp32"], check=True,
                              capture_output=True, text=True).stdout
        own = tokenizer("The town lies on the river" + text)["input_ids"][:300]
        compare(f"{name}: graft's folder in bitsandbytes", theirs(out, ids, torch.float32), ours(out, ids, folder, "fp32"))
        agree(f"{name}: graft's folder in bitsandbytes", out, ids, own, folder)
        shutil.rmtree(out)

    # the other way round: bitsandbytes quantises graft's dense export and saves it
    dense = f"{folder}/dense"
    subprocess.run([graft, "export", model, "--merged", dense, "--dtype", "fp32", "--no-verify"], check=True, stderr=subprocess.DEVNULL)
    for name, config in CONFIGS.items():
        out = f"{folder}/theirs"
        loaded = AutoModelForCausalLM.from_pretrained(dense, quantization_config=config, dtype=torch.float32, device_map="cpu")
        loaded.save_pretrained(out)
        AutoTokenizer.from_pretrained(dense).save_pretrained(out)
        compare(f"{name}: bitsandbytes' folder in graft", ours(out, ids, folder, "fp32"), logits(loaded, ids, torch.float32))
        shutil.rmtree(out)
