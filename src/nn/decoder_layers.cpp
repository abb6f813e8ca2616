// The parts of a decoder's block. Modules are named as transformers has them.
#include "graft/nn/decoder_layers.h"

#include <ATen/ATen.h>

#include "graft/ops/launch.h"

namespace graft {
namespace {

template <class Sites>
void append(std::vector<Site*>& sites, const Sites& more) {
  for (const auto& site : more)
    if (site) sites.push_back(&*site);
}

}  // namespace

Tensor extend(Tensor& cached, const Tensor& fresh, int64_t length) {
  const int64_t end = length + fresh.size(1);
  cached.slice(1, length, end).copy_(fresh);
  return cached.slice(1, 0, end);
}

DecoderAttention::DecoderAttention(TensorSource& source, const std::string& path, const DecoderShape& shape)
    : heads_(shape.heads),
      kv_heads_(shape.kv_heads),
      head_dim_(shape.head_dim),
      qk_norm_(shape.qk_norm),
      scores_(shape.scores),
      dropout_(path + ".attention_dropout", shape.dropout.attention) {
  const int64_t width = heads_ * head_dim_, kv_width = kv_heads_ * head_dim_;
  const auto linear = [&](const std::string& name, int64_t in, int64_t out, bool bias, Role role) {
    return register_module(name, std::make_shared<Linear>(source, path + "." + name, in, out, bias, role));
  };
  const auto& names = shape.names.qkv;
  if (names.size() == 1)
    qkv_ = {linear(names[0], shape.hidden_size, width + 2 * kv_width, shape.qkv_bias, Role::query_key_value)};
  else
    qkv_ = {linear(names[0], shape.hidden_size, width, shape.qkv_bias, Role::query),
            linear(names[1], shape.hidden_size, kv_width, shape.qkv_bias, Role::key),
            linear(names[2], shape.hidden_size, kv_width, shape.qkv_bias, Role::value)};
  output_ = linear(shape.names.attention_output, width, shape.hidden_size, shape.output_bias, Role::attention_output);
  prefix_ = register_module("prefix", std::make_shared<KeyValueSeat>(path, kv_heads_, head_dim_, output_->device()));
  if (qk_norm_ == QkNorm::none) return;
  const bool whole = qk_norm_ == QkNorm::width;
  const RmsGain gain = shape.norm == NormKind::rms_plus_one ? RmsGain::one_plus_weight : RmsGain::weight;
  q_norm_ = register_module("q_norm",
                            std::make_shared<RmsNorm>(source, path + ".q_norm", whole ? width : head_dim_, shape.norm_eps, gain));
  k_norm_ = register_module(
      "k_norm", std::make_shared<RmsNorm>(source, path + ".k_norm", whole ? kv_width : head_dim_, shape.norm_eps, gain));
}

std::array<Tensor, 3> DecoderAttention::queries_keys_values(const Tensor& x, const Batch& batch) const {
  std::vector<Tensor> parts;
  for (const auto& linear : qkv_) parts.push_back(linear->forward(x, batch));
  if (parts.size() == 1)
    parts = parts[0].split_with_sizes({heads_ * head_dim_, kv_heads_ * head_dim_, kv_heads_ * head_dim_}, -1);
  Tensor q = parts[0], k = parts[1];
  if (qk_norm_ == QkNorm::width) q = q_norm_->forward(q, batch), k = k_norm_->forward(k, batch);
  const auto by_head = [&](const Tensor& y) { return y.view({x.size(0), x.size(1), -1, head_dim_}); };
  q = by_head(q), k = by_head(k);
  if (qk_norm_ == QkNorm::head) q = q_norm_->forward(q, batch), k = k_norm_->forward(k, batch);
  return {rotate(q, batch.rotation), rotate(k, batch.rotation), by_head(parts[2])};
}

Tensor DecoderAttention::forward(const Tensor& x, const Batch& batch, Cache* cache, int64_t layer) const {
  auto [q, k, v] = queries_keys_values(x, batch);
  const bool begins = !cache || cache->length == 0;
  if (const Tensor prefix = begins ? prefix_->forward(batch, k.scalar_type()) : Tensor(); prefix.defined())
    k = at::cat({prefix.select(2, 0), k}, 1), v = at::cat({prefix.select(2, 1), v}, 1);
  if (cache) {
    k = extend(cache->keys[static_cast<size_t>(layer)], k, cache->length);
    v = extend(cache->values[static_cast<size_t>(layer)], v, cache->length);
  }
  if (!dropout_.active(batch)) return output_->forward(attention(q, k, v, batch.mask, scores_), batch);
  const auto dropped = [&](const Tensor& weights) { return dropout_.of_attention(weights, batch); };
  return output_->forward(attention_text(q, k, v, batch.mask, scores_, dropped), batch);
}

std::vector<Site*> DecoderAttention::sites() const {
  std::vector<Site*> sites{prefix_.get()};
  append(sites, qkv_);
  append(sites, std::vector<Site*>{output_.get(), q_norm_.get(), k_norm_.get()});
  return sites;
}

DecoderMlp::DecoderMlp(TensorSource& source, const std::string& path, const DecoderShape& shape)
    : gated_(shape.gated_mlp), activation_(shape.activation) {
  const auto linear = [&](const std::string& name, int64_t in, int64_t out, Role role) {
    return register_module(name, std::make_shared<Linear>(source, path + "." + name, in, out, shape.mlp_bias, role));
  };
  const int64_t dim = shape.hidden_size, width = shape.intermediate_size;
  const auto& names = shape.names.mlp_input;
  if (names.size() == 2)
    input_ = {linear(names[0], dim, width, Role::gate), linear(names[1], dim, width, Role::up)};
  else
    input_ = {linear(names[0], dim, gated_ ? 2 * width : width, gated_ ? Role::gate_up : Role::up)};
  output_ = linear(shape.names.mlp_output, width, dim, Role::mlp_output);
}

Tensor DecoderMlp::forward(const Tensor& x, const Batch& batch) const {
  std::vector<Tensor> parts;
  for (const auto& linear : input_) parts.push_back(linear->forward(x, batch));
  if (gated_ && parts.size() == 1) parts = parts[0].chunk(2, -1);
  return output_->forward(gated_ ? gated(parts[0], parts[1], activation_) : activated(parts[0], activation_), batch);
}

std::vector<Site*> DecoderMlp::sites() const {
  std::vector<Site*> sites;
  append(sites, input_);
  sites.push_back(output_.get());
  return sites;
}

DecoderLayer::DecoderLayer(TensorSource& source, const std::string& path, const DecoderShape& shape)
    : attention_dropout_(path + ".attention_output_dropout", shape.dropout.residual),
      mlp_dropout_(path + ".mlp_output_dropout", shape.dropout.residual) {
  const DecoderNames& names = shape.names;
  const auto norm = [&](const std::string& name) -> std::shared_ptr<Norm> {
    return name.empty()
               ? nullptr
               : register_module(name, make_norm(shape.norm, source, path + "." + name, shape.hidden_size, shape.norm_eps));
  };
  before_attention_ = norm(names.before_attention);
  attention_ = register_module("attention", std::make_shared<DecoderAttention>(source, path + "." + names.attention, shape));
  after_attention_ = norm(names.after_attention), before_mlp_ = norm(names.before_mlp);
  mlp_ = register_module("mlp", std::make_shared<DecoderMlp>(source, path + "." + names.mlp, shape));
  after_mlp_ = norm(names.after_mlp);
  // The seats' paths are AdapterHub's names for what it puts there.
  const auto sum = [&](const char* name, SiteKind kind) {
    return register_module(name, std::make_shared<ResidualAdd>(path + "." + name + ".adapters", kind, shape.hidden_size,
                                                               attention_->prefix().device()));
  };
  attention_sum_ = sum("attention_adapters", SiteKind::after_attention), mlp_sum_ = sum("output_adapters", SiteKind::after_mlp);
}

Tensor DecoderLayer::forward(const Tensor& x, const Batch& batch, Cache* cache, int64_t layer) const {
  const auto normed = [&](const std::shared_ptr<Norm>& norm, const Tensor& y) { return norm ? norm->forward(y, batch) : y; };
  const Tensor attended = normed(after_attention_, attention_->forward(normed(before_attention_, x), batch, cache, layer));
  const Tensor middle = attention_sum_->forward(attention_dropout_(attended, batch), x, batch);
  const Tensor fed = normed(after_mlp_, mlp_->forward(normed(before_mlp_, middle), batch));
  return mlp_sum_->forward(mlp_dropout_(fed, batch), middle, batch);
}

std::vector<Site*> DecoderLayer::sites() const {
  std::vector<Site*> sites;
  append(sites, std::vector<Site*>{before_attention_.get()});
  append(sites, attention_->sites());
  append(sites, std::vector<Site*>{after_attention_.get(), attention_sum_.get(), before_mlp_.get()});
  append(sites, mlp_->sites());
  append(sites, std::vector<Site*>{after_mlp_.get(), mlp_sum_.get()});
  return sites;
}

bool DecoderAttention::add_to(BlockParts& parts) const {
  for (const auto& linear : qkv_) parts.qkv.push_back(linear.get());
  parts.attention_output = {output_.get()};
  parts.heads = heads_, parts.kv_heads = kv_heads_, parts.head_dim = head_dim_, parts.scores = scores_;
  if (qk_norm_ == QkNorm::head) {
    const at::ScalarType wide = wide_type(qkv_.front()->weight()->dtype());
    parts.head_norms = {q_norm_->gain().to(wide), k_norm_->gain().to(wide), q_norm_->eps()};
  }
  const bool norms_fit = qk_norm_ == QkNorm::none || (qk_norm_ == QkNorm::head && !qkv_.front()->bias().defined() && has_head_norm(head_dim_));
  return norms_fit && dropout_.share == 0;
}

bool DecoderMlp::add_to(BlockParts& parts) const {
  for (const auto& linear : input_) parts.gate_up.push_back(linear.get());
  parts.mlp_output = {output_.get()}, parts.activation = activation_;
  return gated_ && gates_a_fused_block(activation_);
}

std::optional<BlockParts> DecoderLayer::fused_parts() const {
  BlockParts parts;
  const auto rms = [](const std::shared_ptr<Norm>& norm) { return dynamic_cast<RmsNorm*>(norm.get()); };
  parts.before_attention = rms(before_attention_), parts.after_attention = rms(after_attention_), parts.before_mlp = rms(before_mlp_), parts.after_mlp = rms(after_mlp_);
  parts.sites = sites();
  const bool norms_fit = parts.before_attention && parts.before_mlp && !after_attention_ == !parts.after_attention && !after_mlp_ == !parts.after_mlp;
  const bool drops = attention_dropout_.share > 0 || mlp_dropout_.share > 0;
  return attention_->add_to(parts) && mlp_->add_to(parts) && norms_fit && !drops ? std::optional(parts) : std::nullopt;
}

}  // namespace graft
