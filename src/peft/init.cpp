#include "graft/peft/init.h"

#include <ATen/ATen.h>

#include <cmath>

#include "graft/core/hash.h"
#include "graft/kernels/api.h"

namespace graft {

Tensor uniform_values(at::IntArrayRef shape, double bound, uint64_t seed, const std::string& name) {
  Tensor values = at::empty(shape, at::kFloat);
  kernels::uniform_cpu(values.mutable_data_ptr<float>(), values.numel(), static_cast<float>(bound), seed, static_cast<uint32_t>(hash_of(name)));
  return values;
}

Tensor normal_values(at::IntArrayRef shape, double deviation, uint64_t seed, const std::string& name) {
  Tensor values = at::empty(shape, at::kFloat);
  kernels::normal_cpu(values.mutable_data_ptr<float>(), values.numel(), static_cast<float>(deviation), seed, static_cast<uint32_t>(hash_of(name)));
  return values;
}

Tensor kaiming_values(at::IntArrayRef shape, uint64_t seed, const std::string& name) {
  return uniform_values(shape, 1 / std::sqrt(static_cast<double>(shape.back())), seed, name);
}

at::TensorOptions adapter_options(const Site& site) {
  return at::TensorOptions(at::kFloat).device(site.device().is_meta() ? at::Device(at::kCPU) : site.device());
}

std::pair<Tensor, Tensor> nearest_factors(const Tensor& x, int64_t rank) {
  const auto [u, s, v] = at::linalg_svd(x.to(at::kFloat), /*full_matrices=*/false);
  const Tensor root = s.slice(0, 0, rank).sqrt();
  return {(u.slice(1, 0, rank) * root).contiguous(), (v.slice(0, 0, rank) * root.unsqueeze(1)).contiguous()};
}

}  // namespace graft
