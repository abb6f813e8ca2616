"""The methods that graft shares with PEFT: what each says in PEFT's config and in graft's job, and how both come to the same first values."""
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from peft import (IA3Config, LoraConfig, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, VeraConfig)

from reference import LINEARS

SHAPE = {"task_type": "CAUSAL_LM"}
LENGTH = 5


def from_folder(peft_model, values):
    """Both start from a PEFT folder of random values."""
    raise AssertionError("no values to take")


def each_its_own(peft_model, values):
    """Both make the first values themselves, from the base's weights."""


def set_parameter(parameter, value):
    with torch.no_grad():
        assert parameter.shape == value.shape, (parameter.shape, value.shape)
        parameter.copy_(value)


def take_prompt_encoder(peft_model, values):
    encoder, prefix = peft_model.prompt_encoder["default"], "model.embed_tokens.prompt_encoder."
    set_parameter(encoder.embedding.weight, values[prefix + "embedding"])
    for i in range(3):
        set_parameter(encoder.mlp_head[2 * i].weight, values[f"{prefix}mlp_{i}_weight"])
        set_parameter(encoder.mlp_head[2 * i].bias, values[f"{prefix}mlp_{i}_bias"])


def take_prefix_encoder(peft_model, values):
    """graft keeps the last layer's rows with the layer of the model that they make; the trunk lies at the first."""
    encoder = peft_model.prompt_encoder["default"]
    named = lambda end: [value for name, value in sorted(values.items()) if name.endswith(end)]   # noqa: E731
    set_parameter(encoder.embedding.weight, named("trunk.embedding")[0])
    set_parameter(encoder.transform[0].weight, named("trunk.weight")[0])
    set_parameter(encoder.transform[0].bias, named("trunk.bias")[0])
    set_parameter(encoder.transform[2].weight, torch.cat(named("projection_weight")))
    set_parameter(encoder.transform[2].bias, torch.cat(named("projection_bias")))


@dataclass
class Case:
    name: str
    config: Callable              # () -> PEFT's config, a fresh one each time
    adapter: dict                 # graft's section
    rate: float
    start: Callable = from_folder
    model: str = "tied"           # tied: tiny_chat; untied: wider, with a head of its own
    lora_plus: float = 1.0
    quantization: dict | None = None
    trained: Callable | None = None   # no method of PEFT's: which of the base's parameters are trained
    converts: bool = False        # PEFT's trained adapter has to be converted to a plain LoRA
    quick: bool = False           # part of the small selection


def lora(name, rate=2e-3, config=None, adapter=None, method="lora", config_of=LoraConfig, **others):
    """Rank 8, alpha 16 and all linears where a case says nothing else."""
    settings = {"r": 8, "lora_alpha": 16, "target_modules": LINEARS, **SHAPE, **(config or {})}
    section = {"method": method, "rank": settings["r"], "alpha": settings["lora_alpha"], "target_modules": settings["target_modules"],
               **(adapter or {})}
    return Case(name, partial(config_of, **settings), section, rate, **others)


def loftq_config(**settings):
    """PEFT asks for scipy when this is said at once, and then makes no use of it."""
    config = LoraConfig(**settings)
    config.init_lora_weights, config.loftq_config = "loftq", {"loftq_bits": 4, "loftq_iter": 1}
    return config


def named(*names):
    """The same fields by the same names on both sides."""
    fields = dict(names)
    return {"config": fields, "adapter": fields}


CASES = [
    lora("lora", quick=True),
    lora("rslora on some modules of one layer", config={"r": 4, "use_rslora": True, "target_modules": ["q_proj", "v_proj", "down_proj"],
                                                        "layers_to_transform": [1]},
         adapter={"rslora": True, "layers_to_transform": [1]}),
    lora("lora with patterns", quick=True, **named(("rank_pattern", {"q_proj": 2, "layers.1.mlp.down_proj": 5}),
                                                   ("alpha_pattern", {"k_proj": 4, "^model.layers.0.*up_proj": 3}))),
    lora("lora on a regex", config={"target_modules": r".*\.(self_attn|mlp)\.(v|up)_proj"}),
    lora("lora excluding modules", **named(("exclude_modules", ["o_proj", "layers.0.mlp.up_proj"]))),
    lora("lora with norms trained whole", quick=True, **named(("modules_to_save", ["input_layernorm", "model.norm"]))),
    lora("lora with the head trained whole, untied", model="untied", **named(("modules_to_save", ["lm_head"]))),
    lora("lora with embedding and head trained whole, untied", model="untied", **named(("modules_to_save", ["embed_tokens", "lm_head"]))),
    lora("lora with the head trained whole, tied", **named(("modules_to_save", ["lm_head"]))),
    lora("lora with the embedding trained whole, tied", config={"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
         adapter={"modules_to_save": ["embed_tokens"]}),
    lora("lora with every norm trained whole", config={"modules_to_save": ["norm"]},   # PEFT: whatever ends so
         adapter={"modules_to_save": ["input_layernorm", "post_attention_layernorm", "norm"]}),
    lora("lora on the embedding, tied", quick=True, config={"target_modules": [*LINEARS, "embed_tokens"]}),
    lora("lora on embedding and head, untied", model="untied", config={"target_modules": [*LINEARS, "embed_tokens", "lm_head"]}),
    lora("lora with tokens trained, tied", quick=True, **named(("trainable_token_indices", [5, 17, 40]))),
    lora("lora with tokens trained, untied", model="untied", config={"trainable_token_indices": {"embed_tokens": [5, 17], "lm_head": [5, 17]}},
         adapter={"trainable_token_indices": [5, 17]}),
    lora("lora+", rate=1e-3, adapter={"lora_plus_ratio": 16}, lora_plus=16.0, quick=True),
    lora("dora", config={"use_dora": True}, method="dora", quick=True),
    lora("dora with rslora and patterns", method="dora", config={"use_dora": True, "use_rslora": True, "rank_pattern": {"o_proj": 3}},
         adapter={"rslora": True, "rank_pattern": {"o_proj": 3}}),
    lora("pissa", rate=1e-3, config={"init_lora_weights": "pissa"}, method="pissa", start=each_its_own, converts=True, quick=True),
    lora("pissa with rslora and patterns", rate=1e-3, method="pissa", start=each_its_own,
         config={"init_lora_weights": "pissa", "use_rslora": True, "r": 4, "rank_pattern": {"k_proj": 2}, "alpha_pattern": {"v_proj": 4}},
         adapter={"rslora": True, "rank_pattern": {"k_proj": 2}, "alpha_pattern": {"v_proj": 4}}),
    lora("dora, biases", config={"use_dora": True}, method="dora", model="untied"),
    lora("pissa, biases", rate=1e-3, config={"init_lora_weights": "pissa"}, method="pissa", model="untied", start=each_its_own, converts=True),
    # PEFT leaves the scale out of LoftQ's factors, so Q + s B A is nearest to W only where s is 1.
    lora("loftq, nf4", method="loftq", start=each_its_own, model="untied", config={"lora_alpha": 8}, config_of=loftq_config,
         quantization={"format": "nf4", "block_size": 64, "double_quantization": False}),
    Case("vera", partial(VeraConfig, r=16, projection_prng_key=7, target_modules=LINEARS, **SHAPE),
         {"method": "vera", "rank": 16, "projection_prng_key": 7, "target_modules": LINEARS}, 2e-2, quick=True),
    Case("vera without its projection in the file",
         partial(VeraConfig, r=16, projection_prng_key=3, save_projection=False, target_modules=["q_proj", "down_proj"], **SHAPE),
         {"method": "vera", "rank": 16, "projection_prng_key": 3, "save_projection": False, "target_modules": ["q_proj", "down_proj"]}, 2e-2),
    Case("ia3", partial(IA3Config, **SHAPE), {"method": "ia3"}, 2e-2, quick=True),
    Case("ia3 on named modules", partial(IA3Config, target_modules=["q_proj", "up_proj", "o_proj"], feedforward_modules=["up_proj"], **SHAPE),
         {"method": "ia3", "target_modules": ["q_proj", "up_proj", "o_proj"], "feedforward_modules": ["up_proj"]}, 2e-2),
    Case("ia3, biases", partial(IA3Config, target_modules=[*LINEARS], feedforward_modules=["down_proj", "o_proj"], **SHAPE),
         {"method": "ia3", "target_modules": LINEARS, "feedforward_modules": ["down_proj", "o_proj"]}, 2e-2, model="untied"),
    Case("ia3 with norms trained whole", partial(IA3Config, modules_to_save=["input_layernorm"], **SHAPE),
         {"method": "ia3", "modules_to_save": ["input_layernorm"]}, 2e-2),
    Case("vera, biases", partial(VeraConfig, r=16, target_modules=LINEARS, **SHAPE), {"method": "vera", "rank": 16, "target_modules": LINEARS},
         2e-2, model="untied"),
    Case("prompt_tuning with norms trained whole", partial(PromptTuningConfig, num_virtual_tokens=LENGTH, modules_to_save=["input_layernorm"], **SHAPE),
         {"method": "prompt_tuning", "num_virtual_tokens": LENGTH, "modules_to_save": ["input_layernorm"]}, 1e-2),
    Case("prompt_tuning", partial(PromptTuningConfig, num_virtual_tokens=LENGTH, **SHAPE),
         {"method": "prompt_tuning", "num_virtual_tokens": LENGTH}, 1e-1, quick=True),
    Case("p_tuning", partial(PromptEncoderConfig, num_virtual_tokens=LENGTH, encoder_hidden_size=32, **SHAPE),
         {"method": "p_tuning", "num_virtual_tokens": LENGTH, "encoder_hidden_size": 32}, 1e-2, start=take_prompt_encoder),
    Case("prefix_tuning", partial(PrefixTuningConfig, num_virtual_tokens=LENGTH, prefix_projection=True, encoder_hidden_size=32, **SHAPE),
         {"method": "prefix_tuning", "num_virtual_tokens": LENGTH, "encoder_hidden_size": 32}, 1e-2, start=take_prefix_encoder),
    Case("p_tuning_v2", partial(PrefixTuningConfig, num_virtual_tokens=LENGTH, **SHAPE),
         {"method": "p_tuning_v2", "num_virtual_tokens": LENGTH}, 1e-1, quick=True),
    Case("full, tied", None, {"method": "full"}, 1e-3, trained=lambda name: True),
    Case("full, untied", None, {"method": "full"}, 1e-3, trained=lambda name: True, model="untied"),
    Case("head, untied", None, {"method": "head"}, 1e-2, trained=lambda name: name == "lm_head.weight", model="untied"),
]
