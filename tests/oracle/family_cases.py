"""Tiny random models of each family of decoders and each option that its config has: what families.py compares."""
from dataclasses import dataclass, field

import transformers

VOCABULARY = 320   # tiny_chat's, whose tokenizer they take
SHAPE = dict(vocab_size=VOCABULARY, hidden_size=48, intermediate_size=40, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
             max_position_embeddings=256, bos_token_id=None, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False)
SLIDING, FULL = "sliding_attention", "full_attention"


@dataclass
class Case:
    name: str
    family: str                  # of transformers' classes
    settings: dict = field(default_factory=dict)
    context: int = 256           # tokens that texts may have
    quick: bool = False          # 20 steps, exports and so on in the small selection too; logits of all are
    gguf: bool = False           # a GGUF can say all of it
    capped: bool = False         # scores have a cap, which SDPA cannot do

    def build(self):
        config = getattr(transformers, ("Gemma3Text" if self.family == "Gemma3" else self.family) + "Config")
        model = getattr(transformers, "GPT2LMHeadModel" if self.family == "GPT2" else self.family + "ForCausalLM")
        return model(config(**{**({} if self.family == "GPT2" else SHAPE), **self.settings}, attn_implementation="eager" if self.capped else "sdpa"))


def rope(kind, **settings):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 1000.0, **settings}}


def longrope(pairs, **settings):
    return rope("longrope", short_factor=[1 + 0.1 * i for i in range(pairs)], long_factor=[1 + 1.5 * i for i in range(pairs)],
                original_max_position_embeddings=32, **settings)


WIDE = dict(head_dim=16)
GEMMA = dict(WIDE, tie_word_embeddings=True)
GEMMA2 = dict(GEMMA, sliding_window=8, query_pre_attn_scalar=24, attn_logit_softcapping=3.0, final_logit_softcapping=5.0)
GEMMA3 = dict(GEMMA, sliding_window=8, query_pre_attn_scalar=24, num_hidden_layers=3, layer_types=[SLIDING, FULL, SLIDING])
PHI3 = dict(original_max_position_embeddings=256)
GPT2 = dict(vocab_size=VOCABULARY, n_embd=48, n_layer=2, n_head=6, n_positions=128, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0,
            bos_token_id=None, eos_token_id=2)

CASES = [
    Case("llama, yarn", "Llama", dict(rope("yarn", factor=8.0, original_max_position_embeddings=32), head_dim=16)),
    Case("llama, yarn with every setting", "Llama", rope("yarn", factor=4.0, original_max_position_embeddings=64, beta_fast=4.0, beta_slow=2.0,
                                                        attention_factor=0.9, truncate=False)),
    Case("llama, yarn with mscale", "Llama", rope("yarn", factor=4.0, original_max_position_embeddings=64, mscale=0.7, mscale_all_dim=1.3)),
    Case("llama, dynamic", "Llama", dict(rope("dynamic", factor=3.0), max_position_embeddings=48)),
    Case("llama, linear", "Llama", rope("linear", factor=3.0), gguf=True),
    Case("llama, longrope", "Llama", longrope(4)),
    Case("mistral, window", "Mistral", dict(sliding_window=8)),
    Case("mistral, no window", "Mistral", dict(sliding_window=None)),
    Case("ministral, alternating", "Ministral", dict(sliding_window=8, head_dim=8, layer_types=[FULL, SLIDING])),
    Case("ministral, all windows", "Ministral", dict(sliding_window=8, head_dim=16)),
    Case("qwen2, window from the second layer on", "Qwen2", dict(use_sliding_window=True, sliding_window=8, max_window_layers=1)),
    Case("qwen2, layer_types", "Qwen2", dict(use_sliding_window=True, sliding_window=8, layer_types=[SLIDING, FULL])),
    Case("qwen3, window in all layers", "Qwen3", dict(WIDE, use_sliding_window=True, sliding_window=8, max_window_layers=0)),
    Case("gemma", "Gemma", GEMMA, gguf=True),
    Case("gemma, biases, a head of its own", "Gemma", dict(GEMMA, attention_bias=True, tie_word_embeddings=False)),
    Case("gemma2", "Gemma2", GEMMA2, capped=True),
    Case("gemma2, no caps, biases", "Gemma2", dict(GEMMA2, attn_logit_softcapping=None, final_logit_softcapping=None, attention_bias=True), capped=True),
    Case("gemma2, yarn", "Gemma2", dict(GEMMA2, **rope("yarn", factor=4.0, original_max_position_embeddings=64)), capped=True),
    Case("gemma2, as a GGUF has it", "Gemma2", dict(GEMMA2, query_pre_attn_scalar=16), gguf=True, capped=True),
    Case("gemma3", "Gemma3", GEMMA3, quick=True),
    Case("gemma3, as a GGUF has it", "Gemma3", dict(GEMMA, sliding_window=8, query_pre_attn_scalar=16, num_hidden_layers=6, rope_parameters={
        SLIDING: {"rope_type": "default", "rope_theta": 10000.0}, FULL: {"rope_type": "linear", "rope_theta": 5000.0, "factor": 8.0}}), gguf=True),
    Case("gemma3, capped logits, scaled global layers", "Gemma3", dict(GEMMA3, final_logit_softcapping=4.0, rope_parameters={
        SLIDING: {"rope_type": "default", "rope_theta": 500.0}, FULL: {"rope_type": "linear", "rope_theta": 5000.0, "factor": 8.0}})),
    Case("phi3", "Phi3", PHI3, gguf=True),
    Case("phi3, window, some columns turn", "Phi3", dict(PHI3, sliding_window=8, **rope("default", partial_rotary_factor=0.5))),
    Case("phi3, longrope", "Phi3", dict(longrope(3, partial_rotary_factor=0.75), original_max_position_embeddings=32), quick=True, gguf=True),
    Case("phi3, longrope with its own factor", "Phi3", dict(longrope(4, attention_factor=1.25), original_max_position_embeddings=32)),
    Case("gpt2", "GPT2", GPT2, context=128, quick=True, gguf=True),
    Case("gpt2, relu, a head of its own", "GPT2", dict(GPT2, activation_function="relu", n_inner=56, tie_word_embeddings=False), context=128),
    Case("olmo2", "Olmo2", gguf=True),
    Case("olmo2, biases, one head each", "Olmo2", dict(attention_bias=True, num_key_value_heads=6)),
    Case("smollm3", "SmolLM3", dict(no_rope_layer_interval=2, num_hidden_layers=3, tie_word_embeddings=True)),
    Case("smollm3, as a GGUF has it", "SmolLM3", dict(num_hidden_layers=4), gguf=True),
    Case("smollm3, windows without RoPE, biases", "SmolLM3", dict(no_rope_layers=[0, 1], use_sliding_window=True, sliding_window=8, attention_bias=True,
                                                                 mlp_bias=True)),
]
