#include "graft/models/load.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <set>

#include "graft/core/error.h"
#include "graft/core/runtime.h"

namespace graft {
namespace {

/// Hands out empty tensors on no device and remembers what was wrong.
class CheckingSource : public TensorSource {
 public:
  explicit CheckingSource(const ModelFiles& files) : files_(files), left_(files.tensor_names().begin(), files.tensor_names().end()) {}

  Tensor take(const std::string& name, at::IntArrayRef shape) override {
    left_.erase(name);
    if (!files_.contains(name))
      errors_.add("missing: {} [{}]", name, fmt::join(shape, ", "));
    else if (const auto stored = files_.shape(name); at::IntArrayRef(stored) != shape)
      errors_.add("{}: shape [{}] in the file, [{}] by the config", name, fmt::join(stored, ", "), fmt::join(shape, ", "));
    return at::empty(shape, at::TensorOptions(at::kMeta));
  }

  void finish(bool tied_head) {
    if (tied_head) left_.erase("lm_head.weight");          // some writers store the shared tensor twice
    for (const auto& name : left_)
      if (!name.ends_with("rotary_emb.inv_freq")) errors_.add("in the file, but the model has no such tensor: {}", name);
    errors_.raise(files_.where() + ": the weights do not fit the config:");
  }

 private:
  const ModelFiles& files_;
  std::set<std::string> left_;
  ErrorList errors_;
};

class FilesSource : public TensorSource {
 public:
  FilesSource(const ModelFiles& files, at::Device device, at::ScalarType dtype, std::stop_token stop)
      : files_(files), device_(device), dtype_(dtype), stop_(std::move(stop)) {}

  Tensor take(const std::string& name, at::IntArrayRef) override {
    if (stop_.stop_requested()) throw Stopped("stopped while loading the model; nothing was changed");
    return files_.read(name, dtype_).to(device_);
  }

 private:
  const ModelFiles& files_;
  at::Device device_;
  at::ScalarType dtype_;
  std::stop_token stop_;
};

class RandomSource : public TensorSource {
 public:
  RandomSource(at::Device device, at::ScalarType dtype, uint64_t seed) : device_(device), dtype_(dtype), generator_(at::detail::createCPUGenerator(seed)) {}
  Tensor take(const std::string& name, at::IntArrayRef shape) override {
    if (name.find("norm") != std::string::npos) return at::ones(shape, at::TensorOptions(dtype_).device(device_));
    return at::empty(shape, at::kFloat).normal_(0, 0.02, generator_).to(dtype_).to(device_);
  }

 private:
  at::Device device_;
  at::ScalarType dtype_;
  at::Generator generator_;
};

}  // namespace

std::shared_ptr<LanguageModel> outline_model(const ModelFiles& files) {
  const DecoderShape shape = family_of(files.config()).shape(files.config());
  CheckingSource source(files);
  auto outline = std::make_shared<Decoder>(shape, source);
  source.finish(shape.tied_head);
  return outline;
}

std::shared_ptr<LanguageModel> load_model(const ModelFiles& files, at::Device device, at::ScalarType dtype, const Log& log,
                                          std::stop_token stop) {
  at::NoGradGuard no_grad;
  const Family& family = family_of(files.config());
  const DecoderShape shape = family.shape(files.config());
  outline_model(files);   // checks everything before the first weight is read
  FilesSource source(files, device, dtype, std::move(stop));
  auto model = std::make_shared<Decoder>(shape, source);
  log.info("loaded {} ({}): {} layers of {}, vocabulary {}, {} on {}", files.where(), family.name, shape.layers, shape.hidden_size,
           shape.vocab_size, dtype_to_name(dtype), device.str());
  return model;
}

std::shared_ptr<LanguageModel> random_model(const Json& config, at::Device device, at::ScalarType dtype, uint64_t seed) {
  at::NoGradGuard no_grad;
  RandomSource source(device, dtype, seed);
  return std::make_shared<Decoder>(family_of(config).shape(config), source);
}

}  // namespace graft
