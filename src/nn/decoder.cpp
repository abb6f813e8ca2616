#include "graft/nn/decoder.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/ops/recompute.h"
#include "graft/ops/swiglu.h"

namespace graft {
namespace {

void append(std::vector<Site*>& sites, const std::vector<Site*>& more) { sites.insert(sites.end(), more.begin(), more.end()); }

/// Writes `fresh` behind what the cache's layer holds and returns all of it.
Tensor extend(Tensor& cached, const Tensor& fresh, int64_t length) {
  const int64_t end = length + fresh.size(1);
  cached.slice(1, length, end).copy_(fresh);
  return cached.slice(1, 0, end);
}

}  // namespace

DecoderAttention::DecoderAttention(TensorSource& source, const std::string& path, const DecoderShape& shape) : head_dim_(shape.head_dim) {
  const int64_t width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim;
  q_ = register_module("q_proj", std::make_shared<Linear>(source, path + ".q_proj", shape.hidden_size, width, shape.qkv_bias, Role::query));
  k_ = register_module("k_proj", std::make_shared<Linear>(source, path + ".k_proj", shape.hidden_size, kv_width, shape.qkv_bias, Role::key));
  v_ = register_module("v_proj", std::make_shared<Linear>(source, path + ".v_proj", shape.hidden_size, kv_width, shape.qkv_bias, Role::value));
  o_ = register_module("o_proj", std::make_shared<Linear>(source, path + ".o_proj", width, shape.hidden_size, shape.output_bias, Role::attention_output));
  prefix_ = register_module("prefix", std::make_shared<KeyValueSeat>(path, shape.kv_heads, shape.head_dim, q_->device()));
  if (!shape.qk_norm) return;
  q_norm_ = register_module("q_norm", std::make_shared<RmsNorm>(source, path + ".q_norm", head_dim_, shape.norm_eps));
  k_norm_ = register_module("k_norm", std::make_shared<RmsNorm>(source, path + ".k_norm", head_dim_, shape.norm_eps));
}

Tensor DecoderAttention::forward(const Tensor& x, const Batch& batch, Cache* cache, int64_t layer) const {
  const auto heads = [&](const Tensor& y) { return y.view({x.size(0), x.size(1), -1, head_dim_}); };  // [batch, time, heads, head_dim]
  Tensor q = heads(q_->forward(x, batch)), k = heads(k_->forward(x, batch)), v = heads(v_->forward(x, batch));
  if (q_norm_) q = q_norm_->forward(q, batch), k = k_norm_->forward(k, batch);
  q = rotate(q, batch.rotation), k = rotate(k, batch.rotation);
  const bool begins = !cache || cache->length == 0;
  if (const Tensor prefix = begins ? prefix_->forward(batch, k.scalar_type()) : Tensor(); prefix.defined())
    k = at::cat({prefix.select(2, 0), k}, 1), v = at::cat({prefix.select(2, 1), v}, 1);
  if (cache) {
    k = extend(cache->keys[static_cast<size_t>(layer)], k, cache->length);
    v = extend(cache->values[static_cast<size_t>(layer)], v, cache->length);
  }
  return o_->forward(attention(q, k, v, batch.mask), batch);
}

std::vector<Site*> DecoderAttention::sites() const {
  std::vector<Site*> sites{prefix_.get(), q_.get(), k_.get(), v_.get(), o_.get()};
  if (q_norm_) append(sites, {q_norm_.get(), k_norm_.get()});
  return sites;
}

DecoderMlp::DecoderMlp(TensorSource& source, const std::string& path, const DecoderShape& shape) {
  const int64_t dim = shape.hidden_size, width = shape.intermediate_size;
  gate_ = register_module("gate_proj", std::make_shared<Linear>(source, path + ".gate_proj", dim, width, shape.mlp_bias, Role::gate));
  up_ = register_module("up_proj", std::make_shared<Linear>(source, path + ".up_proj", dim, width, shape.mlp_bias, Role::up));
  down_ = register_module("down_proj", std::make_shared<Linear>(source, path + ".down_proj", width, dim, shape.mlp_bias, Role::mlp_output));
}

Tensor DecoderMlp::forward(const Tensor& x, const Batch& batch) const {
  return down_->forward(swiglu(gate_->forward(x, batch), up_->forward(x, batch)), batch);
}

std::vector<Site*> DecoderMlp::sites() const { return {gate_.get(), up_.get(), down_.get()}; }

DecoderLayer::DecoderLayer(TensorSource& source, const std::string& path, const DecoderShape& shape) {
  attention_norm_ = register_module("input_layernorm",
                                    std::make_shared<RmsNorm>(source, path + ".input_layernorm", shape.hidden_size, shape.norm_eps));
  attention_ = register_module("self_attn", std::make_shared<DecoderAttention>(source, path + ".self_attn", shape));
  mlp_norm_ = register_module("post_attention_layernorm", std::make_shared<RmsNorm>(source, path + ".post_attention_layernorm",
                                                                                    shape.hidden_size, shape.norm_eps));
  mlp_ = register_module("mlp", std::make_shared<DecoderMlp>(source, path + ".mlp", shape));
  // The seats' paths are AdapterHub's names for what it puts there.
  const auto add = [&](const char* name, SiteKind kind) {
    return register_module(name, std::make_shared<ResidualAdd>(path + "." + name + ".adapters", kind, shape.hidden_size, attention_norm_->device()));
  };
  after_attention_ = add("attention_adapters", SiteKind::after_attention), after_mlp_ = add("output_adapters", SiteKind::after_mlp);
}

Tensor DecoderLayer::forward(const Tensor& x, const Batch& batch, Cache* cache, int64_t layer) const {
  const Tensor attended = after_attention_->forward(attention_->forward(attention_norm_->forward(x, batch), batch, cache, layer), x, batch);
  return after_mlp_->forward(mlp_->forward(mlp_norm_->forward(attended, batch), batch), attended, batch);
}

std::vector<Site*> DecoderLayer::sites() const {
  std::vector<Site*> sites{attention_norm_.get()};
  append(sites, attention_->sites());
  append(sites, {after_attention_.get(), mlp_norm_.get()});
  append(sites, mlp_->sites());
  sites.push_back(after_mlp_.get());
  return sites;
}

Decoder::Decoder(const DecoderShape& shape, const Task& task, TensorSource& source) : shape_(shape), task_(task) {
  embed_ = register_module("embed_tokens", std::make_shared<Embedding>(source, "model.embed_tokens", shape.vocab_size, shape.hidden_size));
  sites_.push_back(embed_.get());
  for (int64_t i = 0; i < shape.layers; ++i) {
    const std::string path = "model.layers." + std::to_string(i);
    layers_.push_back(register_module("layer_" + std::to_string(i), std::make_shared<DecoderLayer>(source, path, shape)));
    append(sites_, layers_.back()->sites());
  }
  norm_ = register_module("norm", std::make_shared<RmsNorm>(source, "model.norm", shape.hidden_size, shape.norm_eps));
  sites_.push_back(norm_.get());
  make_head(source);
  frequencies_ = register_buffer("frequencies", rope_frequencies(shape.rope, shape.head_dim).to(embed_->weight()->device()));
}

void Decoder::make_head(TensorSource& source) {
  if (task_.kind == TaskKind::causal_lm) {
    head_ = shape_.tied_head ? std::make_shared<Linear>("lm_head", embed_->shared_weight())
                             : std::make_shared<Linear>(source, "lm_head", shape_.hidden_size, shape_.vocab_size, false, Role::head);
    register_module("lm_head", head_);
    sites_.push_back(head_.get());
    return;
  }
  const bool by_token = task_.kind == TaskKind::token_classification;   // transformers gives this one dropout and a bias
  task_head_ = register_module("score", std::make_shared<TaskHead>(source, HeadShape{"", "score", by_token, by_token ? shape_.classifier_dropout : 0, false},
                                                                   shape_.hidden_size, task_.outputs(), task_.seed));
  append(sites_, task_head_->sites());
}

/// Notes who and where this batch's keys are, behind what the cache holds, and says what its queries see.
AttentionMask Decoder::mask_for(const Batch& batch, Cache* cache) const {
  const Tensor prefix = cache && cache->length > 0 ? Tensor() : layers_.front()->prefix().segments(batch);
  if (!cache && !prefix.defined()) return {};   // causal
  Tensor segments = batch.segments, positions = batch.positions;
  if (prefix.defined()) segments = at::cat({prefix, segments}, 1), positions = at::cat({at::zeros_like(prefix), positions}, 1);
  if (cache) segments = extend(cache->segments, segments, cache->length), positions = extend(cache->positions, positions, cache->length);
  return {false, visible(batch.segments, batch.positions, segments, positions)};
}

Tensor Decoder::hidden(const Batch& given, Cache* cache) {
  Batch batch = given;
  batch.rotation = rotation_at(batch.positions, frequencies_);
  batch.mask = mask_for(batch, cache);
  Tensor x = embed_->forward(batch.ids, batch);  // [batch, time, dim]
  for (int64_t i = 0; i < shape_.layers; ++i) {
    const DecoderLayer& layer = *layers_[static_cast<size_t>(i)];
    x = recompute_ && !cache ? recompute(x, [&layer, batch, i](const Tensor& y) { return layer.forward(y, batch, nullptr, i); })
                             : layer.forward(x, batch, cache, i);
  }
  if (cache) cache->length = batch.mask.allowed.size(3);   // the prefix counted
  return pooled(norm_->forward(x, batch), task_, batch);
}

Tensor Decoder::predict(const Tensor& hidden, const Batch& batch) {
  if (task_head_) return task_head_->forward(hidden, batch);
  if (shape_.tied_head && !head_->adapter(batch.adapter))
    if (const auto words = embed_->adapter(batch.adapter))
      if (const Tensor tied = words->predict_tied(hidden, *head_); tied.defined()) return tied;
  return head_->forward(hidden, batch);
}

std::string Decoder::describe() const {
  const DecoderShape& s = shape_;
  return fmt::format("{} layers of {} (feed-forward {}), {} heads, {} key/value heads of {}, vocabulary {}, {} positions, RoPE {} (theta {}), {} head", s.layers,
                     s.hidden_size, s.intermediate_size, s.heads, s.kv_heads, s.head_dim, s.vocab_size, s.max_positions, s.rope.type, s.rope.theta,
                     !head_ ? name_of(task_.kind) : std::string_view(s.tied_head ? "tied" : "own"));
}

Cache Decoder::new_cache(int64_t rows, int64_t capacity) const {
  Cache cache;
  const auto options = at::TensorOptions(dtype()).device(device());
  for (int64_t i = 0; i < shape_.layers; ++i) {
    cache.keys.push_back(at::empty({rows, capacity, shape_.kv_heads, shape_.head_dim}, options));
    cache.values.push_back(at::empty({rows, capacity, shape_.kv_heads, shape_.head_dim}, options));
  }
  cache.segments = at::full({rows, capacity}, -1, options.dtype(at::kLong));
  cache.positions = at::zeros({rows, capacity}, options.dtype(at::kLong));
  return cache;
}

}  // namespace graft
