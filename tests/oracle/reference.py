"""What the oracles share: models from GGUF or a folder in transformers, their float64 form, logits, and the summary line.

For tests only: graft itself needs no Python. Run the scripts with .deps/venv/bin/python.
"""
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM  # noqa: E402
from transformers.utils import logging  # noqa: E402

logging.set_verbosity_error()
logging.disable_progress_bar()

LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
GGUF_NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
              "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
              "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}


class Summary:
    """Prints `name | figure | bound | holds` lines and remembers whether every bound held."""

    def __init__(self):
        self.good = True

    def line(self, name, figure, bound, holds=None):
        holds = bool(figure <= bound) if holds is None else bool(holds)
        self.good = self.good and holds
        shown = f"{figure:.3g}" if isinstance(figure, float) else figure
        print(f"{name} | {shown} | {bound} | {'holds' if holds else 'short'}", flush=True)

    def exit(self):
        sys.exit(0 if self.good else 1)


def gguf_fields(path):
    from gguf import GGUFReader
    reader = GGUFReader(str(path))
    return reader, {name: field.contents() for name, field in reader.fields.items()}


def unpermuted(rows, heads):
    """GGUF stores llama's q and k with each head's halves interleaved; transformers wants the halves one after the other."""
    out, columns = rows.shape
    return rows.reshape(heads, out // heads // 2, 2, columns).swapaxes(1, 2).reshape(out, columns)


def llama_from_gguf(path):
    """A fp32 LlamaForCausalLM with the dequantised weights of a GGUF file, read by the `gguf` package alone."""
    from gguf.quants import dequantize
    reader, kv = gguf_fields(path)
    assert kv["general.architecture"] == "llama", kv["general.architecture"]
    heads, kv_heads = kv["llama.attention.head_count"], kv["llama.attention.head_count_kv"]
    state = {}
    for tensor in reader.tensors:
        values = np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        part = tensor.name.split(".")
        if part[0] == "blk":
            if part[2] in ("attn_q", "attn_k"):
                values = unpermuted(values, heads if part[2] == "attn_q" else kv_heads)
            name = f"model.layers.{part[1]}.{GGUF_NAMES[part[2]]}.{part[3]}"
        else:
            name = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}[part[0]] + ".weight"
        state[name] = torch.from_numpy(np.ascontiguousarray(values))
    tied = "lm_head.weight" not in state
    config = LlamaConfig(
        hidden_size=kv["llama.embedding_length"], intermediate_size=kv["llama.feed_forward_length"],
        num_hidden_layers=kv["llama.block_count"], num_attention_heads=heads, num_key_value_heads=kv_heads,
        vocab_size=state["model.embed_tokens.weight"].shape[0], max_position_embeddings=kv["llama.context_length"],
        rms_norm_eps=round(kv["llama.attention.layer_norm_rms_epsilon"], 10), tie_word_embeddings=tied,
        rope_theta=kv["llama.rope.freq_base"], bos_token_id=kv.get("tokenizer.ggml.bos_token_id"),
        eos_token_id=kv.get("tokenizer.ggml.eos_token_id"), pad_token_id=None)
    model = LlamaForCausalLM(config)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return model.eval()


def load_model(path, dtype=torch.float32):
    """A model from a .gguf file or a Hugging Face folder."""
    path = Path(path)
    if path.suffix == ".gguf":
        return llama_from_gguf(path).to(dtype)
    capped = read_json(path / "config.json").get("model_type") == "gemma2"   # which SDPA cannot do
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="eager" if capped else "sdpa").eval()


def tokenizer_from_gguf(path):
    """`tokenizers` object for a byte-level BPE GGUF with SmolLM's pre-tokenizer (each digit alone, then GPT-2's pattern)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    _, kv = gguf_fields(path)
    assert kv["tokenizer.ggml.pre"] == "smollm", kv["tokenizer.ggml.pre"]
    tokens = kv["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in kv["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)
                                  for token, kind in zip(tokens, kv["tokenizer.ggml.token_type"]) if kind == 3])
    return tokenizer


def rope_frequencies64(config):
    """Angle per position of each pair, in float64: default, linear and llama3 scaling; None of the others, and of two rules in one model."""
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") not in ("default", "linear", "llama3") or rope.get("partial_rotary_factor", 1) != 1:
        return None
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    inverse = 1.0 / rope["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    kind = rope.get("rope_type", "default")
    if kind == "linear":
        return inverse / rope["factor"]
    if kind == "llama3":
        low, high, old = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
        turns = old * inverse / (2 * np.pi)               # how often a pair turns within the original context
        smooth = ((turns - low) / (high - low)).clamp(0, 1)
        return inverse * ((1 - smooth) / rope["factor"] + smooth)
    return inverse


def to_float64(model):
    """Turns a model (PEFT-wrapped or not) into a true float64 one. `.double()` alone is not: transformers computes RMSNorm and RoPE
    angles in fp32 whatever the model's dtype."""
    model = model.double()
    config = model.config
    frequencies = rope_frequencies64(config)

    def norm(self, x):
        gemma = type(self).__name__.startswith("Gemma")
        weight, eps = (1 + self.weight, self.eps) if gemma else (self.weight, self.variance_epsilon)
        return weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)

    def rotary(self, x, position_ids, layer_type=None):
        inverse, scaling = frequencies, 1.0
        if inverse is None:   # the module's own, as it chooses them for these positions
            type(self).forward(self, x, position_ids, *([layer_type] if layer_type else []))
            inverse = getattr(self, f"{layer_type}_inv_freq" if layer_type else "inv_freq").double()
            scaling = getattr(self, f"{layer_type}_attention_scaling" if layer_type else "attention_scaling")
        angles = position_ids[..., None].double() * inverse
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos() * scaling, angles.sin() * scaling

    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = norm.__get__(module)
        elif type(module).__name__.endswith("RotaryEmbedding"):
            module.forward = rotary.__get__(module)
    return model


def logits_of(model, texts):
    """One [time, vocab] tensor a text (a list of ids)."""
    with torch.no_grad():
        return [model(input_ids=torch.tensor([ids]), use_cache=False).logits[0] for ids in texts]


def largest_difference(a, b):
    """Largest absolute difference over pairs of tensors, in float64."""
    return max(float((x.double() - y.double()).abs().max()) for x, y in zip(a, b, strict=True))


def root_mean_square(a, b):
    """Of the differences over all pairs of tensors."""
    squares = [(x.double() - y.double()).pow(2) for x, y in zip(a, b, strict=True)]
    return float(torch.cat([s.flatten() for s in squares]).mean().sqrt())


def read_json(path):
    return json.loads(Path(path).read_text())


def write_json(path, value):
    Path(path).write_text(json.dumps(value, indent=2) + "\n")

