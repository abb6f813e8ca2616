#include "prompt_encoder.h"

#include <ATen/ATen.h>

#include "graft/peft/init.h"

namespace graft {

PromptEncoder::PromptEncoder(const Site& site, int64_t length, int64_t dim, int64_t hidden, uint64_t seed) {
  const auto where = adapter_options(site);
  embedding_ = register_parameter("embedding", normal_values({length, dim}, 1, seed, "prompt_encoder.embedding").to(where));
  const int64_t widths[] = {dim, hidden, hidden, dim};
  for (int i = 0; i < 3; ++i) {
    const std::string name = "mlp_" + std::to_string(i);
    weights_[i] = register_parameter(name + "_weight", kaiming_values({widths[i + 1], widths[i]}, seed, name + ".weight").to(where));
    // PyTorch's bias: within 1 / sqrt(in).
    biases_[i] = register_parameter(name + "_bias", kaiming_values({widths[i + 1], widths[i]}, seed, name + ".bias").select(1, 0).to(where).clone());
  }
}

Tensor PromptEncoder::forward() const {
  const Tensor first = at::relu(at::linear(embedding_, weights_[0], biases_[0]));
  return at::linear(at::relu(at::linear(first, weights_[1], biases_[1])), weights_[2], biases_[2]);
}

}  // namespace graft
