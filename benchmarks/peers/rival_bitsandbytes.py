"""transformers + PEFT + bitsandbytes: QLoRA (nf4, double quantisation) or LLM.int8 (--format). rivals.py says the rest.

The base is quantised while it loads, as users do; norms, embeddings and head stay in bf16, as TRL's SFTTrainer leaves them.
"""
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

import rivals

FORMATS = {
    "nf4": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16),
    "int8": dict(load_in_8bit=True),
}


def load(options):
    model = rivals.with_lora(AutoModelForCausalLM.from_pretrained(
        rivals.model_folder(options), quantization_config=BitsAndBytesConfig(**FORMATS[options.format]), dtype=torch.bfloat16,
        attn_implementation="sdpa", device_map={"": 0}))
    rivals.set_recompute(model, options.recompute)
    return model


if __name__ == "__main__":
    rivals.run("transformers+peft+bitsandbytes", load, rivals.options_of(rivals.__doc__), ["bitsandbytes"])
