"""Writes tests/golden/<case>/: tiny random encoders and classifiers with what transformers and PEFT compute on them. Run with
.deps/venv/bin/python.

A case is a Hugging Face folder (fp32), `adapter/` (a PEFT LoRA folder on the queries and values, rank 4, alpha 8, A and B both non-zero)
and golden.safetensors, everything in true float64 (make_golden.py's sense):
  input_ids, token_type_ids, lengths       [3, T] and [3] int64: right-padded texts
  hidden                                   last hidden states, padding included, before any head
  logits, adapter_logits                   [3, classes] of the texts, or [3, T, classes] of the tokens
  targets                                  [3] or [3, T] int64 (-100: none); float64 for a regression
  adapter_loss                             mean cross-entropy (or squared error) over the targets
  grad.<PEFT key>                          of adapter_loss for every A and B
bert_base has no head and is stored without a prefix: hidden alone.
"""
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracle"))
from reference import to_float64, write_json  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import (BertConfig, BertForSequenceClassification, BertForTokenClassification, BertModel, LlamaConfig,  # noqa: E402
                          LlamaForSequenceClassification, RobertaConfig, RobertaForSequenceClassification)

# Without dropout of their own: training is compared too.
NO_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
SHAPE = dict(vocab_size=97, hidden_size=48, intermediate_size=40, num_hidden_layers=2, num_attention_heads=6, max_position_embeddings=64)
ENCODER = dict(SHAPE, **NO_DROPOUT, pad_token_id=0, type_vocab_size=2, layer_norm_eps=1e-6)
ROBERTA = dict(SHAPE, **NO_DROPOUT, pad_token_id=1, type_vocab_size=1, hidden_act="gelu_new")
LENGTHS = [12, 5, 9]

# name: (model class, config, LoRA's targets)
CASES = {
    "bert_base": (BertModel, BertConfig(**ENCODER), ["query", "value"]),
    "bert_classifier": (BertForSequenceClassification, BertConfig(**ENCODER, id2label={0: "no", 1: "yes", 2: "unclear"}), ["query", "value"]),
    "bert_tokens": (BertForTokenClassification, BertConfig(**ENCODER, id2label={i: name for i, name in enumerate("OBIX")}), ["query", "value"]),
    "roberta_classifier": (RobertaForSequenceClassification, RobertaConfig(**ROBERTA), ["query", "value"]),
    "roberta_regression": (RobertaForSequenceClassification, RobertaConfig(**ROBERTA, num_labels=1), ["query", "value"]),
    "llama_classifier": (LlamaForSequenceClassification, LlamaConfig(**SHAPE, num_key_value_heads=2, pad_token_id=0, num_labels=3), ["q_proj", "v_proj"]),
}


def randomise(model, generator):
    """Weights large enough that every part matters."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm.weight" in name.lower():
            parameter.data = 1 + 0.1 * noise
        elif name.endswith(".bias"):
            parameter.data = 0.1 * noise
        elif "embed" in name:
            parameter.data = 0.3 * noise
        else:
            parameter.data = 0.8 * noise / parameter.shape[1] ** 0.5


def inputs_of(model, generator):
    config, time = model.config, max(LENGTHS)
    mask = torch.arange(time) < torch.tensor(LENGTHS)[:, None]
    ids = torch.randint(3, config.vocab_size, (len(LENGTHS), time), generator=generator).where(mask, config.pad_token_id)
    inputs = {"input_ids": ids, "attention_mask": mask.long()}
    if getattr(config, "type_vocab_size", 1) > 1:
        inputs["token_type_ids"] = (mask & (torch.arange(time) >= torch.tensor(LENGTHS)[:, None] // 2)).long()
    return inputs


def targets_of(model, generator):
    shape = (len(LENGTHS), max(LENGTHS)) if "Token" in type(model).__name__ else (len(LENGTHS),)
    if model.config.num_labels == 1:
        return torch.rand(shape, generator=generator, dtype=torch.float64) * 5
    targets = torch.randint(0, model.config.num_labels, shape, generator=generator)
    if len(shape) == 2:
        targets[torch.arange(shape[1]) >= torch.tensor(LENGTHS)[:, None]] = -100
        targets[:, ::3] = -100
    return targets


def loss_of(logits, targets):
    if targets.is_floating_point():
        return torch.nn.functional.mse_loss(logits.squeeze(-1), targets)
    return torch.nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=-100)


def save_adapter(model, folder, targets, generator, base_name):
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=targets))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    write_json(folder / "adapter_config.json", dict(config, base_model_name_or_path=base_name, target_modules=sorted(config["target_modules"])))


def hidden_of(model, inputs):
    base = getattr(model, model.base_model_prefix, model)
    return base(**inputs).last_hidden_state


def make_case(name, index):
    model_class, config, lora_targets = CASES[name]
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(2000 + index)
    model = model_class(config).eval()
    randomise(model, generator)
    model.save_pretrained(folder)
    inputs = inputs_of(model, generator)
    golden = {"input_ids": inputs["input_ids"], "lengths": torch.tensor(LENGTHS)}
    if "token_type_ids" in inputs:
        golden["token_type_ids"] = inputs["token_type_ids"]

    def loaded():
        return model_class.from_pretrained(folder, attn_implementation="eager").eval()

    def float64(model):
        return to_float64(model) if "llama" in name else model.double()

    with torch.no_grad():
        golden["hidden"] = hidden_of(float64(loaded()), inputs)
    if name != "bert_base":
        golden["targets"] = targets_of(model, generator)
        save_adapter(loaded(), folder / "adapter", lora_targets, generator, f"tests/golden/{name}")
        with torch.no_grad():
            golden["logits"] = float64(loaded())(**inputs).logits
        trained = float64(PeftModel.from_pretrained(loaded(), folder / "adapter", is_trainable=True))
        logits = trained(**inputs).logits
        loss = loss_of(logits, golden["targets"])
        loss.backward()
        golden.update({"adapter_logits": logits.detach(), "adapter_loss": loss.detach()})
        for key, parameter in trained.named_parameters():
            if parameter.requires_grad:
                golden[f"grad.{key.replace('.default', '')}"] = parameter.grad
    save_file({key: tensor.contiguous() for key, tensor in golden.items()}, folder / "golden.safetensors")
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)
    print(name, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) // 1024, "KB",
          "" if name == "bert_base" else f"loss {float(golden['adapter_loss']):.3f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or list(CASES):
        make_case(name, list(CASES).index(name))
