#include "graft/nn/site.h"

#include "graft/core/error.h"

namespace graft {

Tensor Frozen::operator()(const Tensor& x) const { return residual.defined() ? site.frozen(x, residual, *batch) : site.frozen(x); }
Tensor Frozen::linear(const Tensor& x) const { return site.frozen_linear(x); }

void Site::seat(const std::string& name, std::shared_ptr<Adapter> adapter) {
  check(!name.empty(), "{}: an adapter needs a name", path_);
  check(adapters_.emplace(name, std::move(adapter)).second, "{}: an adapter named '{}' sits here already", path_, name);
}

std::shared_ptr<Adapter> Site::adapter(const std::string& name) const {
  const auto it = adapters_.find(name);
  return it == adapters_.end() ? nullptr : it->second;
}

Tensor Site::run_one(const Tensor& x, const Batch& batch, const Tensor& residual) const {
  const Frozen base{*this, residual, &batch};
  const auto it = adapters_.find(batch.adapter);
  return it == adapters_.end() ? base(x) : it->second->forward(x, base, batch);
}

Tensor Site::run(const Tensor& x, const Batch& batch, const Tensor& residual) const {
  if (adapters_.empty() || !batch.parts) return run_one(x, batch, residual);
  std::vector<Adapter*> adapters;
  for (const Batch& part : *batch.parts)
    if (const auto it = adapters_.find(part.adapter); it != adapters_.end()) adapters.push_back(it->second.get());
  if (adapters.size() == batch.parts->size())
    if (const auto together = adapters.front()->forward_parts(x, adapters, Frozen{*this, residual, &batch}, batch)) return *together;
  std::vector<Tensor> rows;
  int64_t begin = 0;
  for (const Batch& part : *batch.parts) {
    const int64_t count = part.ids.size(0);
    rows.push_back(run_one(x.narrow(0, begin, count), part, residual.defined() ? residual.narrow(0, begin, count) : residual));
    begin += count;
  }
  check(begin == x.size(0), "{}: the parts of a mixed batch have {} rows, its input {}", path_, begin, x.size(0));
  return at::cat(rows);
}

}  // namespace graft
