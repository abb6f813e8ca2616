#include "graft/nn/decoder.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "graft/core/error.h"
#include "graft/data/batches.h"
#include "graft/ops/recompute.h"
#include "by_parts.h"

namespace graft {
namespace {

void append(std::vector<Site*>& sites, const std::vector<Site*>& more) { sites.insert(sites.end(), more.begin(), more.end()); }

std::string describe(const LayerView& view) {
  std::string text = view.rope ? fmt::format("RoPE {} (theta {})", view.rope->type, view.rope->theta) : "no RoPE";
  if (view.window > 0) text += fmt::format(" in a window of {}", view.window);
  return text;
}

/// At least as long as any.
int64_t longest_text(const Batch& batch) {
  return batch.texts.starts.defined() ? batch.texts.shared + batch.texts.longest : batch.ids.size(1);
}

std::unique_ptr<FusedBlock> fused(const DecoderLayer& layer, const std::shared_ptr<BetweenBlocks>& between) {
  const auto parts = layer.fused_parts();
  return parts ? std::make_unique<FusedBlock>(*parts, between) : nullptr;
}

}  // namespace

Decoder::Decoder(const DecoderShape& shape, const Task& task, TensorSource& source)
    : shape_(shape), task_(task), embedding_dropout_(shape.names.words + ".dropout", shape.dropout.embedding) {
  const DecoderNames& names = shape.names;
  check(static_cast<int64_t>(shape.views.size()) == shape.layers, "a shape of {} layers says of {} what they see", shape.layers,
        shape.views.size());
  embed_ = register_module("words", std::make_shared<Embedding>(source, names.words, shape.vocab_size, shape.hidden_size,
                                                                Role::words, shape.embedding_scale));
  sites_.push_back(embed_.get());
  if (has_position_table()) {
    positions_ = register_module(
        "positions", std::make_shared<Embedding>(source, names.positions, shape.max_positions, shape.hidden_size, Role::other));
    sites_.push_back(positions_.get());
  }
  for (int64_t i = 0; i < shape.layers; ++i) {
    const std::string path = names.layers + "." + std::to_string(i);
    layers_.push_back(register_module("layer_" + std::to_string(i), std::make_shared<DecoderLayer>(source, path, shape)));
    append(sites_, layers_.back()->sites());
    if (device().is_cuda()) fused_.push_back(fused(*layers_.back(), between_));   // now, so that its weights find their place layer by layer
  }
  norm_ = register_module("norm", make_norm(shape.norm, source, names.last_norm, shape.hidden_size, shape.norm_eps));
  sites_.push_back(norm_.get());
  make_head(source);
  make_kinds();
}

void Decoder::make_kinds() {
  for (const LayerView& view : shape_.views) {
    auto kind = std::ranges::find(kinds_, view, &Kind::view);
    if (kind == kinds_.end()) {
      const Tensor frequencies = view.rope ? rope_frequencies(*view.rope, shape_.head_dim).to(device()) : Tensor();
      kind = kinds_.insert(kind, {view, frequencies, 0});
    }
    ++kind->layers;
    kind_of_layer_.push_back(static_cast<size_t>(kind - kinds_.begin()));
  }
}

void Decoder::make_head(TensorSource& source) {
  if (task_.kind == TaskKind::causal_lm) {
    head_ = shape_.tied_head
                ? std::make_shared<Linear>("lm_head", embed_->shared_weight())
                : std::make_shared<Linear>(source, "lm_head", shape_.hidden_size, shape_.vocab_size, false, Role::head);
    register_module("lm_head", head_);
    sites_.push_back(head_.get());
    return;
  }
  const bool by_token = task_.kind == TaskKind::token_classification;  // transformers gives this one dropout and a bias
  const HeadShape head{"", by_token ? shape_.names.token_classifier : "score", by_token, by_token ? shape_.classifier_dropout : 0,
                       false};
  task_head_ =
      register_module("score", std::make_shared<TaskHead>(source, head, shape_.hidden_size, task_.outputs(), task_.seed));
  append(sites_, task_head_->sites());
}

Tensor Decoder::embedded(const Batch& batch) const {
  Tensor x = embed_->forward(batch.ids, batch);  // [batch, time, dim]
  if (positions_)
    x = x + positions_->forward(batch.positions.masked_fill(batch.segments.eq(padding_segment), 0), batch);  // padding may count past the table
  return embedding_dropout_(x, batch);
}

/// Notes in the cache who and where this batch's keys are.
Decoder::Keys Decoder::keys_of(const Batch& batch, Cache* cache) const {
  Keys keys{batch.segments, batch.positions};
  const Tensor prefix = cache && cache->length > 0 ? Tensor() : layers_.front()->prefix().segments(batch);
  if (prefix.defined()) {
    const Tensor in_front = at::arange(prefix.size(1), prefix.options()).expand_as(prefix);
    keys = {at::cat({prefix, keys.segments}, 1), at::cat({in_front, keys.positions}, 1)};
  }
  if (cache)
    keys = {extend(cache->segments, keys.segments, cache->length), extend(cache->positions, keys.positions, cache->length)};
  return keys;
}

Batch Decoder::seen_by(const Kind& kind, const Batch& batch, const Keys& keys) const {
  Batch seen = batch;
  if (const auto& rope = kind.view.rope) {
    const Tensor frequencies = depends_on_length(*rope)
                                   ? rope_frequencies(*rope, shape_.head_dim, text_lengths(batch.segments, batch.positions))
                                   : kind.frequencies;
    seen.rotation = rotation_at(batch.positions, frequencies, rope->attention_factor);
  }
  const bool own_keys = keys.segments.is_same(batch.segments),
             in_reach = kind.view.window == 0 || longest_text(batch) <= kind.view.window;
  const bool by_text = batch.texts.starts.defined() && shape_.dropout.attention == 0 && attends_by_text(device(), dtype(), shape_.head_dim, shape_.scores);
  if (own_keys && in_reach && by_text)
    seen.mask = {false, {}, batch.texts};
  else if (!own_keys || !in_reach || batch.packed)
    seen.mask = {false, visible(batch.segments, batch.positions, keys.segments, keys.positions, kind.view.window)};
  return seen;
}

const FusedBlock* Decoder::fused_block(size_t layer, const Batch& own) const {
  if (fused_.empty() || !fused_[layer] || !fused_[layer]->takes(own)) return nullptr;
  const auto& rope = shape_.views[layer].rope;
  return !rope || rope->rotated_share == 1 ? fused_[layer].get() : nullptr;
}

bool Decoder::fuses(int64_t layer, const std::vector<std::string>& adapters) const {
  std::vector<Batch> parts(adapters.size());
  for (size_t i = 0; i < parts.size(); ++i) parts[i].adapter = adapters[i], parts[i].training = true;
  Batch step = parts.front();
  if (parts.size() > 1) step.parts = std::make_shared<const std::vector<Batch>>(std::move(parts));
  return fused_block(static_cast<size_t>(layer), step) != nullptr;
}

Tensor Decoder::through(size_t index, const Tensor& x, const Batch& own, Cache* cache) const {
  const DecoderLayer& layer = *layers_[index];
  const auto i = static_cast<int64_t>(index);
  if (cache) return layer.forward(x, own, cache, i);
  if (const FusedBlock* block = fused_block(index, own)) return block->forward(x, own, recompute_);
  if (recompute_ == Recompute::none) return layer.forward(x, own, nullptr, i);
  return recompute(x, [&layer, own, i](const Tensor& y) { return layer.forward(y, own, nullptr, i); });
}

void Decoder::set_fused(bool on) {
  fused_.clear();
  if (on)
    for (const auto& layer : layers_) fused_.push_back(fused(*layer, between_));
}

int64_t Decoder::set_fp8(bool on, bool outer_layers) {
  int64_t count = 0;
  for (size_t i = 0; i < fused_.size(); ++i) {
    const bool outer = i == 0 || i + 1 == fused_.size();
    if (fused_[i]) count += fused_[i]->set_fp8(on && (outer_layers || !outer));
  }
  return count;
}

Tensor Decoder::hidden(const Batch& batch, Cache* cache) {
  const Keys keys = keys_of(batch, cache);
  std::vector<Batch> seen;
  for (const Kind& kind : kinds_) seen.push_back(seen_by(kind, batch, keys));
  Tensor x = embedded(batch);
  for (int64_t i = 0; i < shape_.layers; ++i) {
    const auto layer = static_cast<size_t>(i);
    x = through(layer, x, seen[kind_of_layer_[layer]], cache);
  }
  if (cache) cache->length = keys.segments.size(1);  // the prefix counted
  return pooled(norm_->forward(x, batch), task_, batch);
}

/// What sits at the embedding may change the head that follows it: each part of a mixed batch has its own.
Tensor Decoder::tied_logits(const Tensor& hidden, const Batch& batch) const {
  return by_parts(hidden, batch, [&](const Tensor& rows, const Batch& part) {
    const auto words = embed_->adapter(part.adapter);
    const bool follows = words && words->ties_head() && !head_->adapter(part.adapter);
    return follows ? words->predict_tied(rows, *head_) : head_->forward(rows, part);
  });
}

Tensor Decoder::predict(const Tensor& hidden, const Batch& batch) {
  if (task_head_) return task_head_->forward(hidden, batch);
  const Tensor logits = shape_.tied_head ? tied_logits(hidden, batch) : head_->forward(hidden, batch);
  return shape_.logit_cap > 0 ? at::tanh(logits / shape_.logit_cap) * shape_.logit_cap : logits;
}

std::string Decoder::describe() const {
  const DecoderShape& s = shape_;
  std::vector<std::string> views;
  for (const Kind& kind : kinds_)
    views.push_back(kinds_.size() == 1 ? graft::describe(kind.view)
                                       : fmt::format("{} in {} layers", graft::describe(kind.view), kind.layers));
  if (has_position_table()) views = {"in a table"};
  return fmt::format(
      "{} layers of {} (feed-forward {}), {} heads, {} key/value heads of {}, vocabulary {}, {} positions, {}, {} head", s.layers,
      s.hidden_size, s.intermediate_size, s.heads, s.kv_heads, s.head_dim, s.vocab_size, s.max_positions, fmt::join(views, ", "),
      !head_ ? name_of(task_.kind) : std::string_view(s.tied_head ? "tied" : "own"));
}

bool Decoder::shares_beginnings(at::Device device, at::ScalarType dtype, int64_t longest) const {
  const DecoderDropout& drops = shape_.dropout;
  const auto is_blind_to_length = [&](const Kind& kind) {
    const bool in_reach = kind.view.window == 0 || longest + longest / 8 + 128 <= kind.view.window;   // texts' lengths are rounded up (text_places)
    return in_reach && !(kind.view.rope && depends_on_length(*kind.view.rope));
  };
  return attends_by_text(device, dtype, shape_.head_dim, shape_.scores) && drops.embedding == 0 && drops.attention == 0 && drops.residual == 0 &&
         std::ranges::all_of(kinds_, is_blind_to_length);
}

bool Decoder::cache_holds(int64_t from, int64_t to) const {
  return std::ranges::all_of(kinds_,
                             [&](const Kind& kind) { return !kind.view.rope || same_frequencies(*kind.view.rope, from, to); });
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
