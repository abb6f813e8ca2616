#pragma once
// First values as functions of (seed, name), the same on every machine and device.
#include <string>
#include <utility>

#include "graft/nn/site.h"

namespace graft {

Tensor uniform_values(at::IntArrayRef shape, double bound, uint64_t seed, const std::string& name);    // fp32 on the CPU, in [-bound, bound)
Tensor normal_values(at::IntArrayRef shape, double deviation, uint64_t seed, const std::string& name);
/// PyTorch's default for a linear layer's weight and bias: within 1 / sqrt(in).
Tensor kaiming_values(at::IntArrayRef shape, uint64_t seed, const std::string& name);

/// fp32, where the site's adapters live: an outline's weights lie nowhere, its adapters hold real values on the CPU.
at::TensorOptions adapter_options(const Site& site);

/// The best factors of rank `rank` of a matrix: (b [out, rank], a [rank, in]), b a nearest to x, singular values shared equally. fp32.
std::pair<Tensor, Tensor> nearest_factors(const Tensor& x, int64_t rank);

}  // namespace graft
