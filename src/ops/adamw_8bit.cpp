#include "graft/ops/adamw_8bit.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "graft/core/error.h"
#include "graft/ops/launch.h"

namespace graft {
namespace {

constexpr int64_t block = kernels::moment_block;

/// A map's points, and the midpoints between them.
Tensor map_of(const float* points) {
  const Tensor map = at::from_blob(const_cast<float*>(points), {256}, at::kFloat);
  return at::cat({map, (map.slice(0, 0, 255) + map.slice(0, 1)) / 2, map.slice(0, 255)});
}

}  // namespace

Moments8 zero_moments8(int64_t count, c10::Device device) {
  check(count % block == 0, "{} numbers are no whole blocks of {}", count, block);
  const auto codes = at::TensorOptions(at::kByte).device(device), scales = codes.dtype(at::kFloat);
  return {at::full({count}, kernels::zero_average, codes), at::zeros({count}, codes), at::zeros({count / block}, scales), at::zeros({count / block}, scales),
          at::cat({map_of(kernels::dynamic_map()), map_of(kernels::unsigned_dynamic_map())}).view({2, 2, 256}).to(device)};
}

Moments8 Moments8::slice(int64_t begin, int64_t end) const {
  return {average.slice(0, begin, end), square.slice(0, begin, end), average_max.slice(0, begin / block, end / block),
          square_max.slice(0, begin / block, end / block), maps};
}

void adamw_8bit(const Tensor& values, const Tensor& gradients, const Moments8& moments, const AdamW8Step& step) {
  const Tensor t = step.steps.to(at::kDouble).clamp_min(1);   // 0: the first step was bad
  const auto left = [&](double beta) { return 1 - at::exp(t * std::log(beta)); };
  const Tensor now = at::stack({step.divisor.to(at::kDouble), step.rate / left(step.beta1), left(step.beta2).sqrt(), step.bad.to(at::kDouble)}).to(at::kFloat);
  kernels::AdamW8 adam{.values = values.mutable_data_ptr<float>(), .gradients = gradients.const_data_ptr<float>(),
                       .average = moments.average.mutable_data_ptr<uint8_t>(), .square = moments.square.mutable_data_ptr<uint8_t>(),
                       .average_max = moments.average_max.mutable_data_ptr<float>(), .square_max = moments.square_max.mutable_data_ptr<float>(),
                       .maps = moments.maps.const_data_ptr<float>(), .now = now.const_data_ptr<float>(), .blocks = values.numel() / block};
  adam.beta1 = static_cast<float>(step.beta1), adam.one_minus_beta1 = static_cast<float>(1 - step.beta1);
  adam.beta2 = static_cast<float>(step.beta2), adam.one_minus_beta2 = static_cast<float>(1 - step.beta2);
  adam.epsilon = static_cast<float>(step.epsilon), adam.decay = static_cast<float>(1 - step.rate * step.weight_decay);
  if (values.is_cuda()) return kernels::adamw_8bit_cuda(adam, current_stream(values));
  at::parallel_for(0, adam.blocks, 16, [&](int64_t begin, int64_t end) { kernels::adamw_8bit_cpu(adam, begin, end); });
}

}  // namespace graft
