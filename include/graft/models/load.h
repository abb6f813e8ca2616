#pragma once
// From files to a model on a device: first everything is checked from the headers, then the weights come one tensor at a time.
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "graft/core/log.h"
#include "graft/models/family.h"
#include "graft/models/model_files.h"
#include "graft/nn/transformer.h"
#include "graft/quant/options.h"

namespace graft {

struct LoadOptions {
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;        // that it computes in
  QuantizationOptions quantization;         // how its matrices are kept
  Task task{};                              // what it predicts
};

/// Builds the family's model from the files. RequestErrors (all at once): missing tensors, wrong shapes, tensors that the model does not
/// have (a bias that the config denies, say; stored_task.h says what may be left). A task's head that the files lack starts at random, which
/// is said. Stopped if a stop is asked for on the way. A matrix is quantised as it is read, on the
/// device, from the type the file has it in; one that the file holds quantised is taken as it is.
std::shared_ptr<Transformer> load_model(const ModelFiles& files, const LoadOptions& options, const Log& log = {}, std::stop_token stop = {});

/// The same checks, and a model whose weights have shapes but no memory: for planning, and to seat adapters for a streamed export.
std::shared_ptr<Transformer> outline_model(const ModelFiles& files, const Task& task = {});
/// ... of a config.json alone.
std::shared_ptr<Transformer> outline_model(const Json& config, const Task& task = {});

/// The model of a config.json with random weights (normal, 0.02), for benchmarks and tests. On a GPU they are drawn there.
std::shared_ptr<Transformer> random_model(const Json& config, const LoadOptions& options, uint64_t seed);

/// A tensor's module: model.layers.0.mlp.up_proj of model.layers.0.mlp.up_proj.weight.
std::string module_of(const std::string& tensor);

/// Which scheme the weight of module `path` is read in, as load_model does it; nullopt: dense.
std::optional<Scheme> storage_of(const ModelFiles& files, const QuantizationOptions& options, const std::string& path);

}  // namespace graft
