// A model's files with the head of a task: what an export of a classifier reads.
#include <algorithm>
#include <map>
#include <set>

#include <ATen/ATen.h>

#include "forwarding_files.h"
#include "graft/core/error.h"
#include "graft/models/family.h"
#include "graft/models/stored_task.h"

namespace graft {
namespace {

/// Notes which tensors a model takes, and the first values of those that its files lack.
class Noting : public TensorSource {
 public:
  explicit Noting(const ModelFiles& files) : files_(files) {}
  Tensor take(const std::string& name, at::IntArrayRef shape) override {
    taken.insert(name);
    return at::empty(shape, at::TensorOptions(at::kMeta));
  }
  Tensor take_or(const std::string& name, const Tensor& first) override {
    const bool there = files_.contains(name) && at::IntArrayRef(files_.shape(name)) == first.sizes();
    if (!there) fresh[name] = first;
    return take(name, first.sizes());
  }
  std::set<std::string> taken;
  std::map<std::string, Tensor> fresh;

 private:
  const ModelFiles& files_;
};

class HeadedFiles : public ForwardingFiles {
 public:
  HeadedFiles(std::unique_ptr<ModelFiles> files, const Task& task) : ForwardingFiles(std::move(files)) {
    Noting noted(*files_);
    family_of(files_->config()).build(files_->config(), task, noted);
    fresh_ = std::move(noted.fresh);
    for (const auto& name : files_->tensor_names())
      if (!fresh_.contains(name) && (noted.taken.contains(name) || !may_be_left(name))) names_.push_back(name);
    for (const auto& [name, tensor] : fresh_) names_.push_back(name);
  }
  const std::vector<std::string>& tensor_names() const override { return names_; }
  bool contains(const std::string& name) const override { return std::ranges::find(names_, name) != names_.end(); }
  std::vector<int64_t> shape(const std::string& name) const override { return fresh_.contains(name) ? fresh_.at(name).sizes().vec() : files_->shape(name); }
  Tensor read(const std::string& name, at::ScalarType dtype) const override { return fresh_.contains(name) ? fresh_.at(name).to(dtype) : files_->read(name, dtype); }
  at::ScalarType stored_dtype(const std::string& name) const override { return fresh_.contains(name) ? at::kFloat : files_->stored_dtype(name); }
  std::optional<Scheme> stored_scheme(const std::string& name) const override { return fresh_.contains(name) ? std::nullopt : files_->stored_scheme(name); }

 private:
  std::map<std::string, Tensor> fresh_;
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<ModelFiles> open_headed_files(std::unique_ptr<ModelFiles> files, const Task& task) {
  if (task.kind == TaskKind::causal_lm) return files;
  return std::make_unique<HeadedFiles>(std::move(files), task);
}

}  // namespace graft
