"""A Hugging Face folder as a GGUF in fp32: tensors under the gguf package's names, keys and rearrangements as llama.cpp's converter has them."""
import gguf
import numpy as np

from reference import load_model

ARCHITECTURES = {"llama": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3", "gemma": "GEMMA", "gemma2": "GEMMA2", "gemma3_text": "GEMMA3", "phi3": "PHI3",
                 "gpt2": "GPT2", "olmo2": "OLMO2", "smollm3": "SMOLLM3"}


def interleaved(rows, heads):
    """llama.cpp turns neighbouring rows: each head's halves are interleaved."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def rearranged(kind, config, name, values):
    if kind in ("llama", "smollm3") and ("q_proj" in name or "k_proj" in name):
        return interleaved(values, config.num_attention_heads if "q_proj" in name else config.num_key_value_heads)
    if kind.startswith("gemma") and name.endswith("norm.weight"):
        return values + 1
    if kind == "gpt2" and values.ndim == 2 and ".c_" in name:
        return values.T
    return values


def add_rope(writer, config, kind):
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if kind == "phi3":
        writer.add_rope_dimension_count(int(config.hidden_size // config.num_attention_heads * rope.get("partial_rotary_factor", 1)))
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
    if "long_factor" in rope:
        ratio, original = config.max_position_embeddings / config.original_max_position_embeddings, config.original_max_position_embeddings
        writer.add_rope_scaling_attn_factors(rope.get("attention_factor") or float(np.sqrt(1 + np.log(ratio) / np.log(original))))
        for length in ("long", "short"):
            writer.add_tensor(f"rope_factors_{length}.weight", np.array(rope[f"{length}_factor"], dtype=np.float32))


def add_keys(writer, config, kind):
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    if kind == "gpt2":
        writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
        return writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if getattr(config, "head_dim", None):
        writer.add_key_length(config.head_dim)
    if getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)
    for cap, add in (("attn_logit_softcapping", writer.add_attn_logit_softcapping), ("final_logit_softcapping", writer.add_final_logit_softcapping)):
        if getattr(config, cap, None):
            add(getattr(config, cap))
    return add_rope(writer, config, kind)


def write_gguf(folder, file):
    model = load_model(folder)
    config, kind = model.config, model.config.model_type
    architecture = getattr(gguf.MODEL_ARCH, ARCHITECTURES[kind])
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    writer = gguf.GGUFWriter(str(file), gguf.MODEL_ARCH_NAMES[architecture])
    add_keys(writer, config, kind)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = rearranged(kind, config, name, tensor.float().numpy())
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
