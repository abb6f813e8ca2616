#include "graft/nn/task_head.h"

#include <ATen/ATen.h>

#include "graft/core/hash.h"
#include "graft/kernels/api.h"
#include "graft/ops/launch.h"

namespace graft {
namespace {

/// The tensors of a head: the source's own, where they fit.
class HeadSource : public TensorSource {
 public:
  HeadSource(TensorSource& source, uint64_t seed) : source_(source), seed_(seed) {}
  Tensor take(const std::string& name, at::IntArrayRef shape) override {
    Tensor fresh = at::zeros(shape, at::kFloat);
    if (shape.size() > 1)
      kernels::normal_cpu(fresh.mutable_data_ptr<float>(), fresh.numel(), 0.02f, seed_, static_cast<uint32_t>(hash_of(name)));
    return source_.take_or(name, fresh);
  }

 private:
  TensorSource& source_;
  uint64_t seed_;
};

}  // namespace

TaskHead::TaskHead(TensorSource& source, const HeadShape& shape, int64_t dim, int64_t classes, uint64_t seed)
    : first_(shape.out + ".first_dropout", shape.drops_first ? shape.dropout : 0), last_(shape.out + ".dropout", shape.dropout) {
  HeadSource head(source, seed);
  // RoBERTa's dense layer is a part of the classifier, which is trained whole; BERT's pooler is the base's.
  const auto root = [](const std::string& path) { return path.substr(0, path.find('.')); };
  const Role role = root(shape.dense) == root(shape.out) ? Role::head : Role::other;
  if (!shape.dense.empty()) dense_ = register_module("dense", std::make_shared<Linear>(head, shape.dense, dim, dim, true, role));
  out_ = register_module("out", std::make_shared<Linear>(head, shape.out, dim, classes, shape.bias, Role::head));
}

Tensor TaskHead::forward(const Tensor& hidden, const Batch& batch) const {
  const Tensor x = first_(hidden, batch);
  return out_->forward(last_(dense_ ? at::tanh(dense_->forward(x, batch)) : x, batch), batch);
}

std::vector<Site*> TaskHead::sites() const {
  if (dense_) return {dense_.get(), out_.get()};
  return {out_.get()};
}

Tensor pooled(const Tensor& hidden, const Task& task, const Batch& batch) {
  if (task.pooling != Pooling::mean || !task.labels_texts()) return hidden;
  const Tensor same = visible_both_ways(batch.segments, batch.segments).squeeze(1);           // [batch, time, time]
  const at::ScalarType wide = wide_type(hidden);
  const Tensor real = same.logical_and(batch.ids.ge(0).unsqueeze(1)).to(wide);
  const Tensor share = real / real.sum(-1, /*keepdim=*/true).clamp_min(1);
  return at::matmul(share, hidden.to(wide)).to(hidden.scalar_type());
}

}  // namespace graft
