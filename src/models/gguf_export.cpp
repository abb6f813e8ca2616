#include "graft/models/gguf_export.h"

#include <ATen/ATen.h>

#include <cmath>

#include "graft/core/error.h"
#include "graft/nn/decoder.h"

namespace graft {
namespace {

const GgufForm llama_form;

const Family& gguf_family(const Json& config) {
  const Family& family = family_of(config);
  require(!family.gguf_architecture.empty(),
          "llama.cpp has no form of {} that graft writes; export a Hugging Face folder (--merged)", family.name);
  return family;
}

DecoderShape shape_of(const Transformer& outline, std::string_view family) {
  const auto* decoder = dynamic_cast<const Decoder*>(&outline);
  require(decoder && outline.task().kind == TaskKind::causal_lm,
          "llama.cpp gets models of the next token from graft; this {} predicts classes", family);
  return decoder->shape();
}

/// The rotary positions of layers that see all, and of those in a window.
const RopeSpec* find_rope(const DecoderShape& shape, bool windowed) {
  for (const LayerView& view : shape.views)
    if (view.rope && (view.window > 0) == windowed) return &*view.rope;
  return nullptr;
}
const RopeSpec* main_rope(const DecoderShape& shape) {
  const RopeSpec* global = find_rope(shape, false);
  return global ? global : find_rope(shape, true);
}

/// Adds keys under the architecture's name.
struct Keys {
  std::string prefix;
  std::vector<GgufKey> list;
  void number(std::string_view name, int64_t value) {
    list.push_back(gguf_key(prefix + std::string(name), static_cast<uint32_t>(value)));
  }
  void real(std::string_view name, double value) {
    list.push_back(gguf_key(prefix + std::string(name), static_cast<float>(value)));
  }
  void word(std::string_view name, std::string_view value) { list.push_back(gguf_key(prefix + std::string(name), value)); }
};

void put_rope(Keys& keys, const DecoderShape& shape) {
  const RopeSpec* rope = main_rope(shape);
  if (!rope) return;
  keys.number("rope.dimension_count", std::llround(rope->rotated_share * static_cast<double>(shape.head_dim)));
  keys.real("rope.freq_base", rope->theta);
  if (const RopeSpec* local = find_rope(shape, true)) keys.real("rope.freq_base_swa", local->theta);
  if (rope->type == "linear" || rope->type == "yarn") {
    keys.word("rope.scaling.type", rope->type);
    keys.real("rope.scaling.factor", rope->factor);
  }
  if (rope->type == "yarn" || rope->type == "longrope")
    keys.number("rope.scaling.original_context_length", rope->original_max_position);
  if (rope->type == "longrope") keys.real("rope.scaling.attn_factor", rope->attention_factor);
}

Tensor factors(const std::vector<double>& values) { return at::tensor(values, at::kDouble).to(at::kFloat); }

bool near(double a, double b) { return std::fabs(a - b) <= 1e-6 * std::max(std::fabs(a), std::fabs(b)); }

/// Whether two specs turn columns alike, in texts within the original context and past it.
bool same_rope(const RopeSpec& a, const RopeSpec& b, int64_t head_dim, int64_t max_positions) {
  if (a.rotated_share != b.rotated_share || !near(a.attention_factor, b.attention_factor)) return false;
  const Tensor lengths =
      at::tensor({int64_t{1}, a.original_max_position, a.original_max_position + 1, max_positions, 2 * max_positions});
  return at::allclose(rope_frequencies(a, head_dim, lengths), rope_frequencies(b, head_dim, lengths), 1e-5, 0);
}

bool same_view(const LayerView& a, const LayerView& b, int64_t head_dim, int64_t max_positions) {
  return a.window == b.window && a.rope.has_value() == b.rope.has_value() &&
         (!a.rope || same_rope(*a.rope, *b.rope, head_dim, max_positions));
}

}  // namespace

GgufModel::GgufModel(const Json& config, const Transformer& outline)
    : family(gguf_family(config)), form(family.gguf ? *family.gguf : llama_form), shape(shape_of(outline, family.name)) {
  const bool any_bias = family.gguf_architecture == "llama" || family.gguf_architecture == "gpt2";
  require(any_bias || !(shape.output_bias || shape.mlp_bias),
          "llama.cpp's {} has no bias behind attention or in the feed-forward", family.name);
}

std::vector<GgufKey> gguf_shape_keys(const GgufModel& model) {
  const DecoderShape& shape = model.shape;
  Keys keys{std::string(model.family.gguf_architecture) + ".", {}};
  keys.number("vocab_size", shape.vocab_size);
  keys.number("context_length", shape.max_positions);
  keys.number("embedding_length", shape.hidden_size);
  keys.number("block_count", shape.layers);
  keys.number("feed_forward_length", shape.intermediate_size);
  keys.number("attention.head_count", shape.heads);
  keys.number("attention.head_count_kv", shape.kv_heads);
  keys.number("attention.key_length", shape.head_dim);
  keys.number("attention.value_length", shape.head_dim);
  keys.real(shape.norm == NormKind::layer ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", shape.norm_eps);
  int64_t window = 0;
  for (const LayerView& view : shape.views) window = std::max(window, view.window);
  if (window > 0) keys.number("attention.sliding_window", window);
  if (shape.scores.cap > 0) keys.real("attn_logit_softcapping", shape.scores.cap);
  if (shape.logit_cap > 0) keys.real("final_logit_softcapping", shape.logit_cap);
  put_rope(keys, shape);
  return keys.list;
}

TensorMap gguf_rope_tensors(const DecoderShape& shape) {
  const RopeSpec* rope = main_rope(shape);
  if (rope && rope->type == "longrope")
    return {{"rope_factors_long.weight", factors(rope->long_factor)}, {"rope_factors_short.weight", factors(rope->short_factor)}};
  if (!rope || rope->type != "llama3") return {};
  RopeSpec plain = *rope;
  plain.type = "default";
  return {{"rope_freqs.weight", rope_frequencies(plain, shape.head_dim) / rope_frequencies(*rope, shape.head_dim)}};
}

Tensor gguf_rows(const GgufModel& model, const std::string& name, const Tensor& tensor) {
  const bool q = name.find(".q_proj.") != std::string::npos, k = name.find(".k_proj.") != std::string::npos;
  if (!model.family.gguf_permutes_qk || (!q && !k)) return tensor;
  const int64_t heads = q ? model.shape.heads : model.shape.kv_heads, half = model.shape.head_dim / 2;
  return tensor.reshape({heads, 2, half, -1}).transpose(1, 2).reshape(tensor.sizes());
}

Tensor gguf_tensor(const GgufModel& model, const std::string& name, const Tensor& tensor) {
  return model.form.norms_plus_one && name.ends_with("norm.weight") ? tensor + 1 : gguf_rows(model, name, tensor);
}

std::vector<std::string> gguf_differences(const DecoderShape& model, const DecoderShape& read) {
  std::vector<std::string> found;
  const auto same = [&](bool holds, const char* what) {
    if (!holds) found.emplace_back(what);
  };
  same(model.vocab_size == read.vocab_size && model.hidden_size == read.hidden_size && model.layers == read.layers &&
           model.heads == read.heads && model.kv_heads == read.kv_heads && model.head_dim == read.head_dim &&
           model.intermediate_size == read.intermediate_size,
       "sizes");
  same(model.positions == read.positions && model.max_positions == read.max_positions, "positions");
  same(model.norm == read.norm && near(model.norm_eps, read.norm_eps) && model.qk_norm == read.qk_norm, "norms");
  same(model.gated_mlp == read.gated_mlp && model.activation == read.activation, "the activation");
  same(model.qkv_bias == read.qkv_bias && model.output_bias == read.output_bias && model.mlp_bias == read.mlp_bias, "biases");
  same(near(model.embedding_scale, read.embedding_scale), "the embedding's scale");
  const double usual = 1 / std::sqrt(static_cast<double>(model.head_dim));
  same(near(model.scores.scale.value_or(usual), read.scores.scale.value_or(usual)), "how queries are scaled");
  same(near(model.scores.cap, read.scores.cap) && near(model.logit_cap, read.logit_cap), "soft caps");
  for (size_t i = 0; i < model.views.size() && i < read.views.size(); ++i)
    if (!same_view(model.views[i], read.views[i], model.head_dim, model.max_positions)) {
      found.push_back(fmt::format("what layer {} sees (its window or its rotary positions)", i));
      break;
    }
  return found;
}

}  // namespace graft
