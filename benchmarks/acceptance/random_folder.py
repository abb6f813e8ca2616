"""A Hugging Face folder of random bf16 weights. usage: random_folder.py CONFIG OUT LAYERS TOKENIZER_FOLDER [VOCABULARY]"""
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

config, out, layers, tokenizer = json.load(open(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
vocabulary = int(sys.argv[5]) if len(sys.argv) > 5 else 32000
config |= {"num_hidden_layers": layers, "vocab_size": vocabulary}
out.mkdir(parents=True)
dim, ffn, width, kv = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"] * config["head_dim"], config["num_key_value_heads"] * config["head_dim"]
torch.manual_seed(1)
device = "cuda" if torch.cuda.is_available() else "cpu"
weight = lambda *shape: (torch.randn(*shape, device=device) * 0.02).to(torch.bfloat16).cpu()
tensors = {"model.embed_tokens.weight": weight(vocabulary, dim), "lm_head.weight": weight(vocabulary, dim), "model.norm.weight": torch.ones(dim, dtype=torch.bfloat16)}
for i in range(layers):
    p = f"model.layers.{i}."
    for name, shape in {"self_attn.q_proj": (width, dim), "self_attn.k_proj": (kv, dim), "self_attn.v_proj": (kv, dim), "self_attn.o_proj": (dim, width),
                        "mlp.gate_proj": (ffn, dim), "mlp.up_proj": (ffn, dim), "mlp.down_proj": (dim, ffn)}.items():
        tensors[p + name + ".weight"] = weight(*shape)
    for name in ("input_layernorm", "post_attention_layernorm"):
        tensors[p + name + ".weight"] = torch.ones(dim, dtype=torch.bfloat16)
save_file(tensors, out / "model.safetensors", {"format": "pt"})
json.dump(config, open(out / "config.json", "w"))
for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(tokenizer / name, out / name)
