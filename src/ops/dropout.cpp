#include "graft/ops/dropout.h"

#include <torch/csrc/autograd/custom_function.h>

#include "graft/ops/launch.h"

namespace graft {
namespace {

Tensor masked(const Tensor& input, double p, kernels::DropoutKey key, const Tensor& segments, const Tensor& positions) {
  const Tensor x = input.contiguous();
  Tensor y = at::empty_like(x);
  const int64_t columns = x.size(-1), rows = x.numel() / std::max<int64_t>(1, columns);
  const auto *segment = segments.const_data_ptr<int64_t>(), *position = positions.const_data_ptr<int64_t>();
  if (x.is_cuda()) {
    kernels::dropout_cuda(x.const_data_ptr(), y.mutable_data_ptr(), real_type(x), rows, columns, segment, position, key,
                          static_cast<float>(p), current_stream(x));
    return y;
  }
  for_rows(rows, columns, [&](int64_t begin, int64_t end) {
    kernels::dropout_cpu(row_of(x, begin, columns), row_of(y, begin, columns), real_type(x), end - begin, columns, segment + begin,
                         position + begin, key, static_cast<float>(p));
  });
  return y;
}

class Dropout : public torch::autograd::Function<Dropout> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, double p, const kernels::DropoutKey& key, const Tensor& segments,
                        const Tensor& positions) {
    context->save_for_backward({segments, positions});
    context->saved_data["p"] = p;
    context->saved_data["key"] = std::vector<int64_t>{static_cast<int64_t>(key.seed), key.site, key.step, reinterpret_cast<int64_t>(key.step_at)};
    return masked(x, p, key, segments, positions);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto key = key_of(context->saved_data["key"].toIntVector());
    return {masked(grads[0], context->saved_data["p"].toDouble(), key, saved[0], saved[1]), {}, {}, {}, {}};
  }

 private:
  static kernels::DropoutKey key_of(const std::vector<int64_t>& key) {
    return {static_cast<uint64_t>(key[0]), static_cast<uint32_t>(key[1]), static_cast<uint32_t>(key[2]), reinterpret_cast<const int64_t*>(key[3])};
  }
};

}  // namespace

Tensor dropout(const Tensor& x, double p, kernels::DropoutKey key, const Tensor& segments, const Tensor& positions) {
  check(p >= 0 && p < 1, "dropout {}: expected a share in [0, 1)", p);
  if (p == 0) return x;
  if (x.scalar_type() == at::kDouble) return x * dropout(at::ones_like(x, at::kFloat), p, key, segments, positions).to(at::kDouble);
  return Dropout::apply(x, p, key, segments.contiguous(), positions.contiguous());
}

}  // namespace graft
