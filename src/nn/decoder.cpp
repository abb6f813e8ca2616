#include "graft/nn/decoder.h"

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
  q_ = register_module("q_proj", std::make_shared<Linear>(source, path + ".q_proj", shape.hidden_size, width, shape.qkv_bias));
  k_ = register_module("k_proj", std::make_shared<Linear>(source, path + ".k_proj", shape.hidden_size, kv_width, shape.qkv_bias));
  v_ = register_module("v_proj", std::make_shared<Linear>(source, path + ".v_proj", shape.hidden_size, kv_width, shape.qkv_bias));
  o_ = register_module("o_proj", std::make_shared<Linear>(source, path + ".o_proj", width, shape.hidden_size, shape.output_bias));
  if (!shape.qk_norm) return;
  q_norm_ = register_module("q_norm", std::make_shared<RmsNorm>(source, path + ".q_norm", head_dim_, shape.norm_eps));
  k_norm_ = register_module("k_norm", std::make_shared<RmsNorm>(source, path + ".k_norm", head_dim_, shape.norm_eps));
}

Tensor DecoderAttention::forward(const Tensor& x, const Batch& batch, Cache* cache, int64_t layer) const {
  const auto heads = [&](const Tensor& y) { return y.view({x.size(0), x.size(1), -1, head_dim_}); };  // [batch, time, heads, head_dim]
  Tensor q = heads(q_->forward(x, batch)), k = heads(k_->forward(x, batch)), v = heads(v_->forward(x, batch));
  if (q_norm_) q = q_norm_->forward(q, batch), k = k_norm_->forward(k, batch);
  q = rotate(q, batch.rotation), k = rotate(k, batch.rotation);
  if (cache) {
    k = extend(cache->keys[static_cast<size_t>(layer)], k, cache->length);
    v = extend(cache->values[static_cast<size_t>(layer)], v, cache->length);
  }
  return o_->forward(attention(q, k, v, batch.mask), batch);
}

std::vector<Site*> DecoderAttention::sites() const {
  std::vector<Site*> sites{q_.get(), k_.get(), v_.get(), o_.get()};
  if (q_norm_) append(sites, {q_norm_.get(), k_norm_.get()});
  return sites;
}

DecoderMlp::DecoderMlp(TensorSource& source, const std::string& path, const DecoderShape& shape) {
  const int64_t dim = shape.hidden_size, width = shape.intermediate_size;
  gate_ = register_module("gate_proj", std::make_shared<Linear>(source, path + ".gate_proj", dim, width, shape.mlp_bias));
  up_ = register_module("up_proj", std::make_shared<Linear>(source, path + ".up_proj", dim, width, shape.mlp_bias));
  down_ = register_module("down_proj", std::make_shared<Linear>(source, path + ".down_proj", width, dim, shape.mlp_bias));
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
}

Tensor DecoderLayer::forward(const Tensor& x, const Batch& batch, Cache* cache, int64_t layer) const {
  const Tensor attended = x + attention_->forward(attention_norm_->forward(x, batch), batch, cache, layer);
  return attended + mlp_->forward(mlp_norm_->forward(attended, batch), batch);
}

std::vector<Site*> DecoderLayer::sites() const {
  std::vector<Site*> sites{attention_norm_.get()};
  append(sites, attention_->sites());
  sites.push_back(mlp_norm_.get());
  append(sites, mlp_->sites());
  return sites;
}

Decoder::Decoder(const DecoderShape& shape, TensorSource& source) : shape_(shape) {
  embed_ = register_module("embed_tokens", std::make_shared<Embedding>(source, "model.embed_tokens", shape.vocab_size, shape.hidden_size));
  sites_.push_back(embed_.get());
  for (int64_t i = 0; i < shape.layers; ++i) {
    const std::string path = "model.layers." + std::to_string(i);
    layers_.push_back(register_module("layer_" + std::to_string(i), std::make_shared<DecoderLayer>(source, path, shape)));
    append(sites_, layers_.back()->sites());
  }
  norm_ = register_module("norm", std::make_shared<RmsNorm>(source, "model.norm", shape.hidden_size, shape.norm_eps));
  head_ = shape.tied_head ? std::make_shared<Linear>("lm_head", embed_->shared_weight())
                          : std::make_shared<Linear>(source, "lm_head", shape.hidden_size, shape.vocab_size, false);
  register_module("lm_head", head_);
  append(sites_, {norm_.get(), head_.get()});
  frequencies_ = register_buffer("frequencies", rope_frequencies(shape.rope, shape.head_dim).to(embed_->weight()->device()));
}

Tensor Decoder::hidden(const Batch& given, Cache* cache) {
  Batch batch = given;
  batch.rotation = rotation_at(batch.positions, frequencies_);
  batch.mask.causal = cache == nullptr;
  if (cache) {
    const Tensor segments = extend(cache->segments, batch.segments, cache->length);
    const Tensor positions = extend(cache->positions, batch.positions, cache->length);
    batch.mask.allowed = visible(batch.segments, batch.positions, segments, positions);
  }
  Tensor x = embed_->forward(batch.ids, batch);  // [batch, time, dim]
  for (int64_t i = 0; i < shape_.layers; ++i) {
    const DecoderLayer& layer = *layers_[static_cast<size_t>(i)];
    x = recompute_ && !cache ? recompute(x, [&layer, batch, i](const Tensor& y) { return layer.forward(y, batch, nullptr, i); })
                             : layer.forward(x, batch, cache, i);
  }
  if (cache) cache->length += batch.ids.size(1);
  return norm_->forward(x, batch);
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
