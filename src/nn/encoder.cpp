#include "graft/nn/encoder.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/ops/recompute.h"

namespace graft {

Encoder::Encoder(const EncoderShape& shape, const Task& task, const HeadShape& head, TensorSource& source) : shape_(shape), task_(task) {
  const auto append = [&](const std::vector<Site*>& more) { sites_.insert(sites_.end(), more.begin(), more.end()); };
  embeddings_ = register_module("embeddings", std::make_shared<EncoderEmbeddings>(source, shape));
  append(embeddings_->sites());
  for (int64_t i = 0; i < shape.layers; ++i) {
    const std::string path = shape.path + ".encoder.layer." + std::to_string(i);
    layers_.push_back(register_module("layer_" + std::to_string(i), std::make_shared<EncoderLayer>(source, path, shape)));
    append(layers_.back()->sites());
  }
  if (task.kind == TaskKind::causal_lm) return;
  head_ = register_module("head", std::make_shared<TaskHead>(source, head, shape.hidden_size, task.outputs(), task.seed));
  append(head_->sites());
}

Tensor Encoder::hidden(const Batch& given, Cache* cache) {
  check(!cache, "{} is an encoder: it sees whole texts at once and generates none", shape_.path);
  Batch batch = given;
  const Tensor prefix = layers_.front()->prefix().segments(batch);
  batch.mask = {false, visible_both_ways(batch.segments, prefix.defined() ? at::cat({prefix, batch.segments}, 1) : batch.segments)};
  Tensor x = embeddings_->forward(batch);  // [batch, time, dim]
  for (const auto& layer : layers_)
    x = recompute_ != Recompute::none ? recompute(x, [&block = *layer, batch](const Tensor& y) { return block.forward(y, batch); }) : layer->forward(x, batch);
  return pooled(x, task_, batch);
}

Tensor Encoder::predict(const Tensor& hidden, const Batch& batch) {
  check(head_ != nullptr, "{} is an encoder: it predicts nothing without a task (model.task)", shape_.path);
  return head_->forward(hidden, batch);
}

Cache Encoder::new_cache(int64_t, int64_t) const { fail("{} is an encoder: it sees whole texts at once and generates none", shape_.path); }

std::string Encoder::describe() const {
  const EncoderShape& s = shape_;
  return fmt::format("{} encoder layers of {} (feed-forward {}, {}), {} heads, vocabulary {}, {} positions{}", s.layers, s.hidden_size, s.intermediate_size,
                     name_of(s.activation), s.heads, s.vocab_size, max_positions(), task_.kind == TaskKind::causal_lm ? "" : fmt::format(", {} head of {}", name_of(task_.kind), task_.outputs()));
}

}  // namespace graft
