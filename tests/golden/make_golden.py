"""Writes tests/golden/<case>/: tiny random models with what transformers and PEFT compute on them. Run with .deps/venv/bin/python.

A case is a Hugging Face folder (fp32), `adapter/` (a PEFT LoRA folder, rank 4, alpha 8, all linears, A and B both non-zero) and
golden.safetensors:
  input_ids, targets [2, T] int64       targets: the next token, or -100 (the last column; the first three of row 1)
  logits, logits64 [2, T, vocab]        of the base in fp32, and the same weights in true float64 (reference.to_float64)
  loss, loss64 []                       mean cross-entropy over targets that are not -100, of the base
  adapter_logits, adapter_logits64, adapter_loss, adapter_loss64       the same with the adapter
  grad.<PEFT key>, grad64.<PEFT key>    of adapter_loss for every A and B
config.json is spelled as transformers 4 or 5 writes it (CASES); config.other.json is the other spelling of the same model.
`llama_sharded` is `llama` in shards, without a golden of its own. tiny_chat comes from make_tiny_chat.py.
"""
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracle"))
from reference import LINEARS, load_model, to_float64, write_json  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
import transformers  # noqa: E402
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config,  # noqa: E402
                          Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)


def classes(name):
    return getattr(transformers, name + "Config"), getattr(transformers, name + "ForCausalLM")


def without(settings, key):
    return {name: value for name, value in settings.items() if name != key}


SHAPE = dict(vocab_size=97, hidden_size=48, intermediate_size=40, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
             max_position_embeddings=256, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=None)
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 48}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
YARN = {"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 2.0}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1000.0, "factor": 2.0}
LONGROPE = {"rope_type": "longrope", "rope_theta": 1000.0, "short_factor": [1.0, 1.1, 1.3], "long_factor": [1.0, 2.0, 5.0],
            "original_max_position_embeddings": 16, "partial_rotary_factor": 0.75}
# Two bases: of the layers that see a window, and of those that see all.
BOTH = {"sliding_attention": {"rope_type": "default", "rope_theta": 100.0}, "full_attention": LINEAR}
SMALL = dict(vocab_size=33, hidden_size=24, intermediate_size=20, head_dim=8)
UNTIED, GEMMA = dict(SMALL, tie_word_embeddings=False), dict(SMALL, tie_word_embeddings=True)

# name: (config class, model class, spelling of config.json, sequence length, changes to SHAPE)
CASES = {
    "llama": (LlamaConfig, LlamaForCausalLM, 4, 16, dict(tie_word_embeddings=True)),
    "llama_untied_bias": (LlamaConfig, LlamaForCausalLM, 5, 16, dict(tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
                                                                     head_dim=16)),
    "llama3_rope": (LlamaConfig, LlamaForCausalLM, 4, 160, dict(vocab_size=33, tie_word_embeddings=True, rope_parameters=LLAMA3)),
    "llama_linear_rope": (LlamaConfig, LlamaForCausalLM, 4, 16, dict(tie_word_embeddings=False, rope_parameters=LINEAR)),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, 4, 16, dict(tie_word_embeddings=True, rms_norm_eps=1e-6)),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, 5, 16, dict(tie_word_embeddings=False, head_dim=16, rms_norm_eps=1e-6)),
    "mistral": (MistralConfig, MistralForCausalLM, 5, 16, dict(tie_word_embeddings=False, sliding_window=None)),
    "mistral_window": (MistralConfig, MistralForCausalLM, 5, 24, dict(UNTIED, sliding_window=5)),
    "ministral": (*classes("Ministral"), 5, 24, dict(UNTIED, sliding_window=5, layer_types=["sliding_attention", "full_attention"])),
    "qwen2_window": (Qwen2Config, Qwen2ForCausalLM, 4, 24, dict(without(UNTIED, "head_dim"), use_sliding_window=True, sliding_window=5,
                                                                max_window_layers=1)),
    "gemma": (*classes("Gemma"), 5, 12, GEMMA),
    "gemma2": (*classes("Gemma2"), 4, 24, dict(GEMMA, sliding_window=6, query_pre_attn_scalar=12, attn_logit_softcapping=2.0,
                                              final_logit_softcapping=3.0)),
    "gemma3_text": (transformers.Gemma3TextConfig, transformers.Gemma3ForCausalLM, 5, 24,
                    dict(GEMMA, num_hidden_layers=3, layer_types=["sliding_attention", "sliding_attention", "full_attention"],
                         sliding_window=6, query_pre_attn_scalar=12, rope_parameters=BOTH)),
    "phi3": (*classes("Phi3"), 4, 16, dict(without(UNTIED, "head_dim"), num_attention_heads=3, num_key_value_heads=1, sliding_window=6, pad_token_id=0,
                                           original_max_position_embeddings=256)),
    "phi3_longrope": (*classes("Phi3"), 5, 24, dict(without(UNTIED, "head_dim"), num_attention_heads=3, num_key_value_heads=1, pad_token_id=0,
                                                    max_position_embeddings=64, original_max_position_embeddings=16,
                                                    rope_parameters=LONGROPE)),
    "gpt2": (transformers.GPT2Config, transformers.GPT2LMHeadModel, 5, 24,
             dict(vocab_size=33, n_embd=24, n_layer=2, n_head=3, n_inner=20, n_positions=32, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0)),
    "olmo2": (*classes("Olmo2"), 5, 16, without(UNTIED, "head_dim")),
    "smollm3": (*classes("SmolLM3"), 4, 16, dict(without(GEMMA, "head_dim"), pad_token_id=0, no_rope_layers=[1, 0])),
    "llama_yarn": (LlamaConfig, LlamaForCausalLM, 4, 40, dict(UNTIED, max_position_embeddings=64, rope_parameters=YARN)),
    "llama_dynamic": (LlamaConfig, LlamaForCausalLM, 4, 24, dict(UNTIED, max_position_embeddings=16, rope_parameters=DYNAMIC)),
}
OWN_LAYERS = ("ministral", "gemma3_text")   # no default of their config's gives these layers


def randomise(model, generator):
    """Weights large enough that every part matters: attention is not uniform, norms are not one, biases are not zero."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 1 and name.endswith(".weight"):
            parameter.data = float(not model.config.model_type.startswith("gemma")) + 0.1 * noise   # Gemma's stand for 1 + w
        elif name.endswith(".bias"):
            parameter.data = 0.1 * noise
        elif any(part in name for part in ("embed_tokens", "lm_head", "wte", "wpe")):
            parameter.data = 0.15 * noise
        else:
            parameter.data = 0.8 * noise / parameter.shape[1] ** 0.5
    model.tie_weights()


def version_4(name, config):
    """The same config as transformers 4 spells it: linear scaling even with the older key `type`, and Qwen's sliding_window set
    though it is not used."""
    left = () if name in OWN_LAYERS else ("layer_types",)
    config = {key: value for key, value in config.items() if key not in left and not (key == "pad_token_id" and value is None)}
    rope = config.pop("rope_parameters", {"rope_theta": None})
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    if "partial_rotary_factor" in rope:
        config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    if (theta := rope.pop("rope_theta")) is not None:
        config["rope_theta"] = theta
    kind = rope.pop("rope_type", "default")
    config["rope_scaling"] = None if kind == "default" else {"type" if kind == "linear" else "rope_type": kind, **rope}
    if config.get("use_sliding_window") is False:
        config["sliding_window"] = 32768
    config["torch_dtype"] = config.pop("dtype")
    if config.get("head_dim", 0) * config.get("num_attention_heads", 0) == config.get("hidden_size"):
        del config["head_dim"]
    return dict(sorted(config.items()), transformers_version="4.46.3")


def both_spellings(folder, spelling):
    five = json.loads((folder / "config.json").read_text())
    four = version_4(folder.name, json.loads(json.dumps(five)))
    write_json(folder / "config.json", four if spelling == 4 else five)
    write_json(folder / "config.other.json", five if spelling == 4 else four)


def save_adapter(peft_model, folder, base_name):
    """PEFT's own save, without its README and with sets in a fixed order."""
    peft_model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    write_json(folder / "adapter_config.json", dict(config, base_model_name_or_path=base_name,
                                                    target_modules=sorted(config["target_modules"])))


def random_adapter(model, folder, generator, base_name):
    targets = LINEARS if model.config.model_type in ("llama", "qwen2", "qwen3", "mistral") else "all-linear"
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=targets, task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    save_adapter(model, folder, base_name)


def loss_of(logits, targets):
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


def measured(folder, ids, targets, suffix):
    """Reference tensors of one precision: suffix "" is fp32, "64" true float64. Everything is read back from the folder."""
    def prepared(model):
        return to_float64(model) if suffix else model

    tensors = {}
    with torch.no_grad():
        tensors["logits" + suffix] = prepared(load_model(folder))(input_ids=ids, use_cache=False).logits
        tensors["loss" + suffix] = loss_of(tensors["logits" + suffix], targets)
    model = prepared(PeftModel.from_pretrained(load_model(folder), folder / "adapter", is_trainable=True))
    logits = model(input_ids=ids, use_cache=False).logits
    loss = loss_of(logits, targets)
    loss.backward()
    tensors.update({"adapter_logits" + suffix: logits.detach(), "adapter_loss" + suffix: loss.detach()})
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            tensors[f"grad{suffix}.{name.replace('.default', '')}"] = parameter.grad
    return tensors


def make_case(name, index):
    config_class, model_class, spelling, length, changes = CASES[name]
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(1000 + index)
    shape = changes if name == "gpt2" else {**SHAPE, "rope_parameters": dict(ROPE), **changes}
    model = model_class(config_class(**shape))
    randomise(model, generator)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name == "llama":
        make_sharded(model)
    both_spellings(folder, spelling)
    random_adapter(model, folder / "adapter", generator, f"tests/golden/{name}")

    ids = torch.randint(0, model.config.vocab_size, (2, length), generator=generator)
    targets = torch.cat([ids[:, 1:], torch.full((2, 1), -100)], dim=1)
    targets[1, :3] = -100
    loaded, rope = load_model(folder).config, getattr(model.config, "rope_parameters", {})
    assert all(loaded.rope_parameters[key] == value for key, value in rope.items()), loaded.rope_parameters
    golden = {"input_ids": ids, "targets": targets, **measured(folder, ids, targets, ""), **measured(folder, ids, targets, "64")}
    assert set(load_file(folder / "adapter" / "adapter_model.safetensors")) == {k[5:] for k in golden if k.startswith("grad.")}
    save_file({key: tensor.contiguous() for key, tensor in golden.items()}, folder / "golden.safetensors")
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)
    report(name, golden, folder)


def make_sharded(model):
    folder = HERE / "llama_sharded"
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, max_shard_size="80KB")
    (folder / "generation_config.json").unlink(missing_ok=True)


def report(name, golden, folder):
    def difference(key):
        return float((golden[key].double() - golden[key + "64"]).abs().max())

    gradients = max(float((golden["grad." + key].double() - golden["grad64." + key]).norm() / golden["grad64." + key].norm())
                    for key in (k[7:] for k in golden if k.startswith("grad64.")))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) // 1024
    print(f"{name}: {size} KB, loss {float(golden['loss']):.3f}, with adapter {float(golden['adapter_loss']):.3f}; fp32 against "
          f"float64: logits {difference('logits'):.1e} of {float(golden['logits'].abs().max()):.1f}, "
          f"adapter {difference('adapter_logits'):.1e}, "
          f"gradients {gradients:.1e}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    wanted = sys.argv[1:] or list(CASES)
    for name in wanted:
        make_case(name, list(CASES).index(name))
