#pragma once
// From files to a model on a device: first everything is checked from the headers, then the weights come one tensor at a time.
#include <memory>
#include <stop_token>
#include <string>

#include "graft/core/log.h"
#include "graft/models/family.h"
#include "graft/models/model_files.h"
#include "graft/nn/language_model.h"

namespace graft {

/// Builds the family's model from the files. RequestErrors (all at once): missing tensors, wrong shapes, tensors that the model does not
/// have (a bias that the config denies, say). Stopped if a stop is asked for on the way.
std::shared_ptr<LanguageModel> load_model(const ModelFiles& files, at::Device device, at::ScalarType dtype, const Log& log = {},
                                          std::stop_token stop = {});

/// The same checks, and a model whose weights have shapes but no memory: for planning, and to seat adapters for a streamed export.
std::shared_ptr<LanguageModel> outline_model(const ModelFiles& files);

/// The model of a config.json with random weights (normal, 0.02), for benchmarks and tests.
std::shared_ptr<LanguageModel> random_model(const Json& config, at::Device device, at::ScalarType dtype, uint64_t seed);

}  // namespace graft
