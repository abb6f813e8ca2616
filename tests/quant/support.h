#pragma once
#include <cmath>

#include "graft/quant/quantized_weight.h"
#include "support/models.h"

namespace graft::testing {

inline Scheme scheme(std::string_view format, int block = 64, bool doubly = false, const std::string& granularity = "auto", const std::string& clip = "none") {
  QuantizationOptions options;
  options.format = format, options.block_size = block, options.double_quantization = doubly, options.granularity = granularity, options.clip = clip;
  return *scheme_of(options);
}

inline Tensor gaussian(at::IntArrayRef shape, uint64_t seed = 3) {
  at::manual_seed(seed);
  return at::randn(shape).to(test_device());
}

/// In decibels.
inline double signal_to_noise(const Tensor& x, const Tensor& y) {
  const Tensor exact = x.to(at::kDouble), error = exact - y.to(at::kDouble);
  return 10 * std::log10((exact * exact).sum().item<double>() / (error * error).sum().item<double>());
}

/// One code a number.
inline std::vector<uint8_t> codes_of(const QuantizedTensor& q) {
  const Tensor bytes = q.codes.cpu();
  std::vector<uint8_t> codes;
  for (int64_t i = 0; i < q.count(); ++i) {
    const uint8_t byte = bytes.const_data_ptr<uint8_t>()[q.scheme.format->code_bits == 4 ? i / 2 : i];
    codes.push_back(q.scheme.format->code_bits == 8 ? byte : i % 2 ? byte & 15 : byte >> 4);
  }
  return codes;
}

}  // namespace graft::testing
