#include "graft/models/load.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <set>

#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/models/stored_task.h"
#include "graft/quant/quantized_weight.h"

namespace graft {
namespace {

/// Tensors with shapes but no memory.
class ShapesOnly : public TensorSource {
 public:
  Tensor take(const std::string&, at::IntArrayRef shape) override { return at::empty(shape, at::TensorOptions(at::kMeta)); }
};

/// The same, and remembers what was wrong.
class CheckingSource : public ShapesOnly {
 public:
  explicit CheckingSource(const ModelFiles& files) : files_(files), left_(files.tensor_names().begin(), files.tensor_names().end()) {}

  Tensor take(const std::string& name, at::IntArrayRef shape) override {
    left_.erase(name);
    if (!files_.contains(name))
      errors_.add("missing: {} [{}]", name, fmt::join(shape, ", "));
    else if (const auto stored = files_.shape(name); at::IntArrayRef(stored) != shape)
      errors_.add("{}: shape [{}] in the file, [{}] by the config", name, fmt::join(stored, ", "), fmt::join(shape, ", "));
    return ShapesOnly::take(name, shape);
  }

  /// Whether the file has it is told when it is read.
  Tensor take_or(const std::string& name, const Tensor& fresh) override {
    left_.erase(name);
    return ShapesOnly::take(name, fresh.sizes());
  }

  void finish() {
    for (const auto& name : left_)
      if (!may_be_left(name)) errors_.add("in the file, but the model has no such tensor: {}", name);
    errors_.raise(files_.where() + ": the weights do not fit the config:");
  }

 private:
  const ModelFiles& files_;
  std::set<std::string> left_;
  ErrorList errors_;
};

class FilesSource : public TensorSource {
 public:
  FilesSource(const ModelFiles& files, const LoadOptions& options, std::stop_token stop) : files_(files), options_(options), stop_(std::move(stop)) {}

  Tensor take(const std::string& name, at::IntArrayRef) override {
    if (stop_.stop_requested()) throw Stopped("stopped while loading the model; nothing was changed");
    return files_.read(name, options_.dtype).to(options_.device);
  }
  Tensor take_or(const std::string& name, const Tensor& fresh) override {
    if (files_.contains(name) && at::IntArrayRef(files_.shape(name)) == fresh.sizes()) return take(name, fresh.sizes());
    drawn_.push_back(name);
    return fresh.to(options_.dtype).to(options_.device);
  }
  /// What take_or did not find in the files.
  const std::vector<std::string>& drawn() const { return drawn_; }
  std::shared_ptr<Weight> take_weight(const std::string& name, at::IntArrayRef shape) override {
    const auto scheme = storage_of(files_, options_.quantization, module_of(name));
    if (!scheme) return std::make_shared<DenseWeight>(take(name, shape));
    if (stop_.stop_requested()) throw Stopped("stopped while loading the model; nothing was changed");
    if (files_.stored_scheme(name)) return std::make_shared<QuantizedWeight>(files_.read_quantized(name).to(options_.device), options_.dtype);
    return make_weight(files_.read(name, files_.stored_dtype(name)).to(options_.device), scheme, options_.dtype, name);
  }

 private:
  const ModelFiles& files_;
  LoadOptions options_;
  std::stop_token stop_;
  std::vector<std::string> drawn_;
};

class RandomSource : public TensorSource {
 public:
  RandomSource(const LoadOptions& options, uint64_t seed)
      : options_(options),
        generator_(options.device.is_cuda() ? at::globalContext().defaultGenerator(options.device).clone() : at::detail::createCPUGenerator(seed)) {
    generator_.set_current_seed(seed);
  }
  Tensor take(const std::string& name, at::IntArrayRef shape) override { return values(name, shape).to(options_.dtype); }
  std::shared_ptr<Weight> take_weight(const std::string& name, at::IntArrayRef shape) override {
    const Tensor x = values(name, shape);
    const auto scheme = scheme_for(options_.quantization, module_of(name));
    return make_weight(options_.device.is_cuda() ? x.to(options_.dtype) : x, scheme, options_.dtype, name);
  }

 private:
  Tensor values(const std::string& name, at::IntArrayRef shape) {
    const auto options = at::TensorOptions(at::kFloat).device(options_.device);
    if (shape.size() == 1 && name.ends_with(".weight")) return at::ones(shape, options);   // a norm's
    return at::empty(shape, options).normal_(0, 0.02, generator_);
  }
  LoadOptions options_;
  at::Generator generator_;
};

}  // namespace

std::shared_ptr<Transformer> outline_model(const ModelFiles& files, const Task& task) {
  CheckingSource source(files);
  auto outline = family_of(files.config()).build(files.config(), task, source);
  source.finish();
  return outline;
}

std::shared_ptr<Transformer> outline_model(const Json& config, const Task& task) {
  ShapesOnly source;
  return family_of(config).build(config, task, source);
}

std::string module_of(const std::string& tensor) { return tensor.substr(0, tensor.rfind('.')); }

std::optional<Scheme> storage_of(const ModelFiles& files, const QuantizationOptions& options, const std::string& path) {
  const auto asked = scheme_for(options, path);
  const std::string name = path + ".weight";
  const auto stored = files.contains(name) ? files.stored_scheme(name) : std::nullopt;
  if (!stored) return asked;
  if (asked && *asked != *stored)
    refuse("{}: {} is stored as {}; quantization asks for {}: leave the section out, or name that format", files.where(), path, describe(*stored), describe(*asked));
  return stored;
}

std::shared_ptr<Transformer> load_model(const ModelFiles& files, const LoadOptions& options, const Log& log, std::stop_token stop) {
  at::NoGradGuard no_grad;
  scheme_of(options.quantization);   // refused here, not half way
  const Family& family = family_of(files.config());
  outline_model(files, options.task);   // checks everything before the first weight is read
  FilesSource source(files, options, std::move(stop));
  auto model = family.build(files.config(), options.task, source);
  std::string storage;
  if (const auto scheme = storage_of(files, options.quantization, model->first_site(SiteKind::linear)->path())) storage = fmt::format(", base kept as {}", describe(*scheme));
  log.info("loaded {} ({}): {} layers of {}, vocabulary {}, {} on {}{}", files.where(), family.name, model->layers(), model->hidden_size(),
           model->vocab_size(), dtype_to_name(options.dtype), options.device.str(), storage);
  if (!source.drawn().empty()) log.info("not in {}, so they start at random (seed {}): {}", files.where(), options.task.seed, fmt::join(source.drawn(), ", "));
  return model;
}

std::shared_ptr<Transformer> random_model(const Json& config, const LoadOptions& options, uint64_t seed) {
  at::NoGradGuard no_grad;
  RandomSource source(options, seed);
  return family_of(config).build(config, options.task, source);
}

}  // namespace graft
