#include "graft/quant/quantized_weight.h"

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/ops/launch.h"

namespace graft {
namespace {

constexpr int64_t most_vectors = 4;   // beyond them a dense copy and one product are faster

/// The chosen rows as a tensor of their own, where no group crosses a row's end; else an undefined one.
std::optional<QuantizedTensor> chosen_rows(const QuantizedTensor& q, const Tensor& ids) {
  const int64_t rows = q.shape[0], columns = q.shape[1], group = q.group();
  const bool whole = q.scheme.grouping == Grouping::row || (q.scheme.grouping == Grouping::block && columns % group == 0);
  if (!whole || columns % 2 != 0 || q.scale_codes.defined()) return std::nullopt;
  const auto pick = [&](const Tensor& x) { return x.defined() ? x.view({rows, -1}).index_select(0, ids).flatten() : Tensor(); };
  QuantizedTensor chosen = q;
  chosen.shape = {ids.numel(), columns};
  chosen.codes = pick(q.codes), chosen.scale = pick(q.scale), chosen.zero = pick(q.zero);
  return chosen;
}

}  // namespace

QuantizedWeight::QuantizedWeight(QuantizedTensor value, at::ScalarType dtype) : value_(std::move(value)), dtype_(dtype) {
  check(value_.shape.size() == 2, "a quantised weight is a matrix, not {}-dimensional", value_.shape.size());
}

Tensor QuantizedWeight::dense(at::ScalarType dtype) const { return kept_.defined() && dtype == dtype_ ? kept_ : dequantize(value_, dtype); }

void QuantizedWeight::dense_into(const Tensor& rows) const {
  const QuantizedTensor* one = &value_;
  if (kept_.defined() || rows.scalar_type() == at::kDouble) rows.copy_(dense(rows.scalar_type()));
  else dequantize_into({&one, 1}, {&rows, 1});
}

Tensor QuantizedWeight::rows(const Tensor& ids) const {
  const Tensor flat = ids.flatten();
  const auto chosen = chosen_rows(value_, flat);
  auto shape = ids.sizes().vec();
  shape.push_back(in_features());
  return chosen ? dequantize(*chosen, dtype_).view(shape) : at::embedding(dense(dtype_), ids);
}

Tensor QuantizedWeight::matmul(const Tensor& x) const {
  if (kept_.defined() || !has_matvec(value_, x)) return Weight::matmul(x);
  auto shape = x.sizes().vec();
  shape.back() = out_features();
  return matvec(value_, x.reshape({-1, in_features()})).view(shape);
}

std::shared_ptr<Weight> make_weight(const Tensor& x, const std::optional<Scheme>& scheme, at::ScalarType dtype, std::string_view name) {
  if (!scheme) return std::make_shared<DenseWeight>(x.to(dtype));
  return std::make_shared<QuantizedWeight>(quantize(x, *scheme, name), dtype);
}

bool has_matvec(const QuantizedTensor& weight, const Tensor& x) {
  const int64_t columns = weight.columns();
  const bool real = x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf;
  return real && weight.scheme.format->code_bits == 4 && x.numel() / columns <= most_vectors && columns % 32 == 0 && weight.group() % 32 == 0;
}

Tensor matvec(const QuantizedTensor& weight, const Tensor& given) {
  const Tensor x = given.contiguous();
  const int64_t vectors = x.size(0), rows = weight.shape[0], columns = weight.columns();
  Tensor y = at::empty({vectors, rows}, x.options());
  const kernels::Packed packed = weight.packed();
  if (x.is_cuda()) {
    kernels::matvec_cuda(packed, x.const_data_ptr(), y.mutable_data_ptr(), real_type(x), vectors, current_stream(x));
    return y;
  }
  for (int64_t v = 0; v < vectors; ++v)
    for_rows(rows, columns, [&](int64_t begin, int64_t end) {
      kernels::matvec_cpu(packed, row_of(x, v, columns), row_of(y, v, rows), real_type(x), begin, end);
    });
  return y;
}

}  // namespace graft
