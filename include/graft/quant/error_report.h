#pragma once
// What quantising costs, scheme by scheme: of each tensor and of a whole model.
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "graft/quant/quantized_tensor.h"

namespace graft {

/// Sums over the numbers of one tensor, so that tensors add up to a model.
struct QuantizationError {
  int64_t count = 0, bytes = 0;      // numbers; codes and constants together
  double squared_value = 0, squared_error = 0;
  double squared_clipping = 0;       // the part of squared_error that lies at values outside their group's range
  double largest = 0;                // |error|
  void add(const QuantizationError& other);
  double bits() const;               // a number, constants and zero points included
  double mean_squared_error() const;
  double signal_to_noise() const;    // dB
  double clipping_share() const;     // of the squared error; the rest is rounding
};

QuantizationError measure(const Tensor& x, const Scheme& scheme, std::string_view name);

/// How often x / (largest magnitude of its group) falls into each of 64 bins of [-1, 1].
using Histogram = std::array<double, 64>;
Histogram normalized_histogram(const Tensor& x, int64_t group);

struct TensorReport {
  std::string name;                  // model.layers.0.self_attn.q_proj.weight
  QuantizationError error;
};
struct SchemeReport {
  Scheme scheme;
  QuantizationError total;
  std::vector<TensorReport> tensors;
  std::optional<double> perplexity, kl;   // on a text; kl: mean nats a token, of the dense model from this one
};
struct ModelReport {
  std::string model;
  int64_t parameters = 0, dense_parameters = 0;   // quantised; left in 16 bits
  Histogram histogram{};             // of the quantised matrices, by blocks of 64
  std::string text;                  // what perplexity was measured on; "" if it was not
  int64_t tokens = 0;
  std::optional<double> perplexity;  // of the dense model
  std::vector<SchemeReport> schemes;
};

}  // namespace graft
