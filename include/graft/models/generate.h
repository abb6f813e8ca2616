#pragma once
// Text from a model: greedy or sampled (temperature, top-k, top-p: Holtzman et al. 2020), batched, over a key/value cache.
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/config/visit.h"
#include "graft/nn/transformer.h"

namespace graft {

struct GenerateOptions {
  int64_t max_new_tokens = 256;
  double temperature = 0;
  int64_t top_k = 0;
  double top_p = 1;
  uint64_t seed = 42;
  void visit(auto& v) {
    v("max_new_tokens", max_new_tokens, "stop after so many tokens", AtLeast(1));
    v("temperature", temperature, "0: the likeliest token; higher: more random", AtLeast(0));
    v("top_k", top_k, "sample among the k likeliest; 0: all", AtLeast(0));
    v("top_p", top_p, "sample among the likeliest that hold this share of the probability", Between(0, 1));
    v("seed", seed, "of the sampling");
  }
};

/// What is asked, and of whom. Of several adapters the logits are averaged at each token (an ensemble in one model); {""}: of the base alone.
struct Prompt {
  std::vector<int32_t> ids;
  std::vector<std::string> adapters;
};

/// New ids for each prompt, without the stop id. A row's result does not depend on the other rows, nor on whose they are, but for rounding.
/// `on_token(prompt, id)` is called as tokens come.
std::vector<std::vector<int32_t>> generate(Transformer& model, const std::vector<Prompt>& prompts, const std::vector<int32_t>& stop_ids,
                                           const GenerateOptions& options, const std::function<void(size_t prompt, int32_t id)>& on_token = {},
                                           std::stop_token stop = {});

/// The same of one adapter.
std::vector<std::vector<int32_t>> generate(Transformer& model, const std::string& adapter, const std::vector<std::vector<int32_t>>& prompts,
                                           const std::vector<int32_t>& stop_ids, const GenerateOptions& options,
                                           const std::function<void(size_t prompt, int32_t id)>& on_token = {}, std::stop_token stop = {});

}  // namespace graft
