// The parts of an encoder's block. Modules are named and nested as transformers has them.
#include <ATen/ATen.h>

#include "graft/nn/encoder.h"

namespace graft {

EncoderEmbeddings::EncoderEmbeddings(TensorSource& source, const EncoderShape& shape)
    : first_position_(shape.first_position), dropout_(shape.path + ".embeddings.dropout", shape.hidden_dropout) {
  const std::string path = shape.path + ".embeddings.";
  const auto table = [&](const std::string& name, int64_t count, Role role) {
    return register_module(name, std::make_shared<Embedding>(source, path + name, count, shape.hidden_size, role));
  };
  words_ = table("word_embeddings", shape.vocab_size, Role::words);
  positions_ = table("position_embeddings", shape.positions, Role::other);
  types_ = table("token_type_embeddings", shape.types, Role::other);
  norm_ = register_module("LayerNorm", std::make_shared<LayerNorm>(source, path + "LayerNorm", shape.hidden_size, shape.norm_eps));
}

Tensor EncoderEmbeddings::forward(const Batch& batch) const {
  const Tensor types = batch.types.defined() ? batch.types : at::zeros_like(batch.ids);
  const Tensor x = words_->forward(batch.ids, batch) + types_->forward(types, batch) + positions_->forward(batch.positions + first_position_, batch);
  return dropout_(norm_->forward(x, batch), batch);
}

EncoderAttention::EncoderAttention(TensorSource& source, const std::string& path, const EncoderShape& shape)
    : head_dim_(shape.hidden_size / shape.heads), dropout_(path + ".dropout", shape.attention_dropout) {
  const auto linear = [&](const std::string& name, Role role) {
    return register_module(name, std::make_shared<Linear>(source, path + "." + name, shape.hidden_size, shape.hidden_size, true, role));
  };
  query_ = linear("query", Role::query), key_ = linear("key", Role::key), value_ = linear("value", Role::value);
  prefix_ = register_module("prefix", std::make_shared<KeyValueSeat>(path, shape.heads, head_dim_, query_->device()));
}

Tensor EncoderAttention::forward(const Tensor& x, const Batch& batch) const {
  const auto heads = [&](const Tensor& y) { return y.view({x.size(0), x.size(1), -1, head_dim_}); };  // [batch, time, heads, head_dim]
  const Tensor q = heads(query_->forward(x, batch));
  Tensor k = heads(key_->forward(x, batch)), v = heads(value_->forward(x, batch));
  if (const Tensor prefix = prefix_->forward(batch, k.scalar_type()); prefix.defined())
    k = at::cat({prefix.select(2, 0), k}, 1), v = at::cat({prefix.select(2, 1), v}, 1);
  if (!dropout_.active(batch)) return attention(q, k, v, batch.mask);
  return attention_text(q, k, v, batch.mask, {}, [&](const Tensor& weights) { return dropout_.of_attention(weights, batch); });
}

EncoderOutput::EncoderOutput(TensorSource& source, const std::string& path, int64_t in, Role role, SiteKind kind, const EncoderShape& shape)
    : dropout_(path + ".dropout", shape.hidden_dropout) {
  dense_ = register_module("dense", std::make_shared<Linear>(source, path + ".dense", in, shape.hidden_size, true, role));
  norm_ = register_module("LayerNorm", std::make_shared<LayerNorm>(source, path + ".LayerNorm", shape.hidden_size, shape.norm_eps));
  sum_ = register_module("adapters", std::make_shared<ResidualNorm>(path + ".adapters", kind, norm_, shape.hidden_size));   // AdapterHub's name
}

Tensor EncoderOutput::forward(const Tensor& x, const Tensor& residual, const Batch& batch) const {
  return sum_->forward(dropout_(dense_->forward(x, batch), batch), residual, batch);
}

EncoderLayer::EncoderLayer(TensorSource& source, const std::string& path, const EncoderShape& shape) : activation_(shape.activation) {
  attention_ = register_module("attention", std::make_shared<EncoderAttention>(source, path + ".attention.self", shape));
  after_attention_ = register_module("attention_output", std::make_shared<EncoderOutput>(source, path + ".attention.output", shape.hidden_size, Role::attention_output,
                                                                                         SiteKind::after_attention, shape));
  up_ = register_module("intermediate", std::make_shared<Linear>(source, path + ".intermediate.dense", shape.hidden_size, shape.intermediate_size, true, Role::up));
  after_mlp_ = register_module("output", std::make_shared<EncoderOutput>(source, path + ".output", shape.intermediate_size, Role::mlp_output, SiteKind::after_mlp, shape));
}

Tensor EncoderLayer::forward(const Tensor& x, const Batch& batch) const {
  const Tensor attended = after_attention_->forward(attention_->forward(x, batch), x, batch);
  return after_mlp_->forward(activated(up_->forward(attended, batch), activation_), attended, batch);
}

std::vector<Site*> EncoderLayer::sites() const {
  std::vector<Site*> sites = attention_->sites();
  const auto append = [&](const std::vector<Site*>& more) { sites.insert(sites.end(), more.begin(), more.end()); };
  append(after_attention_->sites()), append({up_.get()}), append(after_mlp_->sites());
  return sites;
}

}  // namespace graft
