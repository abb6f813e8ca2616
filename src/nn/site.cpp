#include "graft/nn/site.h"

#include "graft/core/error.h"

namespace graft {

Tensor Frozen::operator()(const Tensor& x) const { return site.frozen(x); }
Tensor Frozen::linear(const Tensor& x) const { return site.frozen_linear(x); }

void Site::seat(const std::string& name, std::shared_ptr<Adapter> adapter) {
  check(!name.empty(), "{}: an adapter needs a name", path_);
  check(adapters_.emplace(name, std::move(adapter)).second, "{}: an adapter named '{}' sits here already", path_, name);
}

std::shared_ptr<Adapter> Site::adapter(const std::string& name) const {
  const auto it = adapters_.find(name);
  return it == adapters_.end() ? nullptr : it->second;
}

Tensor Site::run(const Tensor& x, const Batch& batch) const {
  const auto it = adapters_.find(batch.adapter);
  return it == adapters_.end() ? frozen(x) : it->second->forward(x, Frozen{*this}, batch);
}

}  // namespace graft
