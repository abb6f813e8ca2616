"""Bar 6: what graft exported, loaded by PEFT and transformers, against graft's own logits with the live adapter. fp32 on the CPU.

Usage: exports.py GRAFT_PROGRAM BASE ADAPTER_FOLDER MERGED_FOLDER [BOUND]
BASE is the model that was trained (.gguf or folder), ADAPTER_FOLDER `export --adapter`, MERGED_FOLDER `export --merged` in fp32.
BOUND: 5e-4 where BASE is a .gguf file, else 1e-5, if not given.
"""
import sys
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import safe_open

from graft_program import graft_logits
from reference import Summary, largest_difference, load_model, logits_of, read_json
from texts import encoder, fixed_ids

LEFT_OVER = ("quantization_config", "_name_or_path", "auto_map")


def merged_dtypes(folder):
    dtypes = set()
    for file in Path(folder).glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            dtypes |= {tensors.get_slice(name).get_dtype() for name in tensors.keys()}
    return dtypes


def check_folder(summary, base, folder):
    """Config, tokenizer and template of the merged folder, as its users will load them."""
    config = read_json(Path(folder) / "config.json")
    left = [key for key in LEFT_OVER if key in config]
    summary.line("merged: config.json without leftover fields", ",".join(left) or "none", "none", not left)
    said = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}[config.get("dtype", config.get("torch_dtype"))]
    stored = merged_dtypes(folder)
    summary.line("merged: config's dtype is the tensors'", "+".join(sorted(stored)), said, stored == {said})
    if Path(base).suffix == ".gguf" or (Path(base) / "tokenizer.json").exists():
        summary.line("merged: tokenizer gives the base's ids", "compared", "equal", fixed_ids(base) == fixed_ids(folder))
        from transformers import AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(folder)
        text = tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], tokenize=False, add_generation_prompt=True)
        summary.line("merged: transformers loads tokenizer and template", len(encoder(folder)(text)), "> 0", "Hello" in text)


def main(program, base, adapter, merged, bound):
    summary, texts = Summary(), fixed_ids(base)
    live = graft_logits(program, base, texts, adapter)
    bare = load_model(base)
    plain = logits_of(bare, texts)
    peft = logits_of(PeftModel.from_pretrained(bare, adapter).eval(), texts)
    effect = largest_difference(peft, plain)
    summary.line("adapter: changes the logits", effect, f"> {10 * bound:g}", effect > 10 * bound)
    summary.line("adapter in PEFT against graft", largest_difference(peft, live), bound)
    whole = logits_of(load_model(merged), texts)
    summary.line("merged in transformers against graft's live adapter", largest_difference(whole, live), bound)
    summary.line("merged in graft against graft's live adapter", largest_difference(graft_logits(program, merged, texts), live),
                 bound)
    check_folder(summary, base, merged)
    summary.exit()


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    torch.set_num_threads(2)
    default = 5e-4 if sys.argv[2].endswith(".gguf") else 1e-5
    main(*sys.argv[1:5], float(sys.argv[5]) if len(sys.argv) == 6 else default)
