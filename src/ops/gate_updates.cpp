#include "graft/ops/gate_updates.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "graft/ops/launch.h"

namespace graft {
namespace {

Tensor window(const Tensor& x, int64_t column) { return x.narrow(1, column, most_gate_rank); }

/// narrow, and a copy of it, from its sums over strips of columns: [strips, rows, windows, 16].
void add_strips(const Tensor& strips, std::array<int64_t, 2> first, const Tensor& narrow, const Tensor& copy) {
  const kernels::GateStrips of{static_cast<int>(strips.size(0)), static_cast<int>(strips.size(2)), {static_cast<int>(first[0]), static_cast<int>(first[1])}};
  kernels::add_strips_cuda(strips.const_data_ptr<float>(), of, matrix_of(narrow), matrix_of(copy), real_type(narrow), narrow.size(0), narrow.size(1), current_stream(narrow));
}

}  // namespace

bool gate_takes_updates(const std::vector<Tensor>& matrices, int64_t width) {
  const Tensor& first = matrices.front();
  if (!has_gpu_kernel(first)) return true;
  return in_sixteen_bits(first) && width % 64 == 0 && kernels::gate_cut(first.size(0), width).parts > 0 && std::ranges::all_of(matrices, in_eights);
}

void gated_updates_into(const Tensor& gate_up, Activation activation, const Tensor& out, const Tensor& factors, const Tensor& narrow, const Tensor& copy) {
  if (!has_gpu_kernel(out)) {
    gated_into(gate_up, activation, out);
    Tensor(narrow).copy_(at::mm(out, factors.t()));
    copy.copy_(narrow);
    return;
  }
  const int64_t rows = out.size(0), width = out.size(1);
  const Tensor strips = at::empty({kernels::gate_strips(width), rows, 1, most_gate_rank}, out.options().dtype(at::kFloat));
  kernels::gated_updates_cuda(matrix_of(gate_up), matrix_of(out), matrix_of(factors), strips.mutable_data_ptr<float>(), kernel_of(activation), real_type(out), rows, width,
                              current_stream(out));
  add_strips(strips, {}, narrow, copy);
}

GateSums gated_backward_updates_into(const Tensor& grad, const Tensor& gate_up, Activation activation, const GateUpdates& updates, const Tensor& d_gate_up, const Tensor& narrow) {
  const int64_t tokens = grad.size(0), width = grad.size(1), rows = updates.first[1] + most_gate_rank;
  const auto options = grad.options().dtype(wide_type(grad));
  if (!has_gpu_kernel(grad)) {
    gated_backward_into(grad, gate_up, activation, d_gate_up, grad);
    Tensor(narrow).copy_(at::mm(d_gate_up, updates.factors));
    const Tensor gradients = at::empty({1, rows, 2 * width}, options);
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t first = updates.first[half], column = half * width;
      gradients[0].narrow(0, first, most_gate_rank).narrow(1, column, width).copy_(wide_product(window(updates.gate_up, first).t(), d_gate_up.narrow(1, column, width)));
    }
    return {wide_product(updates.product.t(), grad).unsqueeze(0), gradients};
  }
  const kernels::GateCut cut = kernels::gate_cut(tokens, width);
  const GateSums sums{at::empty({cut.parts, most_gate_rank, width}, options), at::empty({cut.parts, rows, 2 * width}, options)};
  const Tensor strips = at::empty({cut.strips, tokens, 2, most_gate_rank}, options);
  const auto sum = [](const Tensor& against, const Tensor& to) { return kernels::GateSum{matrix_of(against), to.mutable_data_ptr<float>(), to.stride(1), to.stride(0)}; };
  const auto half = [&](int64_t h) {
    return sum(window(updates.gate_up, updates.first[h]), sums.gradients.narrow(1, updates.first[h], most_gate_rank).narrow(2, h * width, width));
  };
  const auto factors = [&](int64_t h) { return matrix_of(window(updates.factors.narrow(0, h * width, width), updates.first[h])); };
  kernels::gated_backward_updates_cuda(matrix_of(grad), matrix_of(gate_up), matrix_of(d_gate_up), sum(updates.product, sums.product), half(0), half(1), factors(0), factors(1),
                                       strips.mutable_data_ptr<float>(), cut, kernel_of(activation), real_type(grad), tokens, width, current_stream(grad));
  add_strips(strips, updates.first, narrow, {});
  return sums;
}

}  // namespace graft
