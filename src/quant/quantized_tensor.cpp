#include "graft/quant/quantized_tensor.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "graft/ops/launch.h"
#include "graft/core/error.h"

namespace graft {
namespace {

int64_t numel(at::IntArrayRef shape) { return c10::multiply_integers(shape); }

}  // namespace

int64_t group_size(const Scheme& scheme, at::IntArrayRef shape) {
  if (scheme.grouping == Grouping::block) return scheme.block_size;
  return std::max<int64_t>(1, scheme.grouping == Grouping::row && !shape.empty() ? shape.back() : numel(shape));
}
int64_t group_count(const Scheme& scheme, at::IntArrayRef shape) {
  const int64_t group = group_size(scheme, shape);
  return (numel(shape) + group - 1) / group;
}

int64_t QuantizedTensor::count() const { return numel(shape); }
int64_t QuantizedTensor::group() const { return group_size(scheme, shape); }
int64_t QuantizedTensor::columns() const { return shape.empty() ? 1 : std::max<int64_t>(1, shape.back()); }
int64_t QuantizedTensor::bytes() const {
  int64_t total = 0;
  for (const Tensor& part : {codes, scale, scale_codes, nested_scale, zero})
    if (part.defined()) total += static_cast<int64_t>(part.nbytes());
  return total + (scale_codes.defined() ? 4 : 0);
}

QuantizedTensor QuantizedTensor::to(at::Device device) const {
  QuantizedTensor moved = *this;
  for (Tensor* part : {&moved.codes, &moved.scale, &moved.scale_codes, &moved.nested_scale, &moved.map, &moved.zero})
    if (part->defined()) *part = part->to(device);
  return moved;
}

kernels::Packed QuantizedTensor::packed() const {
  kernels::Constants constants;
  if (scale.defined()) constants.scale = scale.const_data_ptr<float>();
  if (scale_codes.defined()) {
    constants.scale_codes = scale_codes.const_data_ptr<uint8_t>();
    constants.nested_scale = nested_scale.const_data_ptr<float>();
    constants.map = map.const_data_ptr<float>();
    constants.offset = offset;
  }
  if (zero.defined()) constants.zero = zero.const_data_ptr<int8_t>();
  constants.group = group();
  return {scheme.format->codec, codes.const_data_ptr<uint8_t>(), count(), columns(), constants};
}

Tensor dequantize(const QuantizedTensor& q, at::ScalarType dtype) {
  if (dtype == at::kDouble) return dequantize(q, at::kFloat).to(at::kDouble);
  Tensor out = at::empty(q.shape, q.codes.options().dtype(dtype));
  const QuantizedTensor* one = &q;
  const Tensor matrix = out.view({-1, q.columns()});
  if (q.count() > 0) dequantize_into({&one, 1}, {&matrix, 1});
  return out;
}

void dequantize_into(std::span<const QuantizedTensor* const> tensors, std::span<const Tensor> out) {
  check(tensors.size() == out.size() && tensors.size() <= kernels::decode_limit, "dequantize_into: {} tensors into {} places (at most {})", tensors.size(), out.size(),
        kernels::decode_limit);
  std::vector<kernels::Packed> packed;
  std::vector<kernels::Destination> to;
  for (size_t i = 0; i < tensors.size(); ++i) {
    check(out[i].dim() == 2 && out[i].size(1) == tensors[i]->columns() && out[i].numel() == tensors[i]->count() && out[i].stride(1) == 1,
          "dequantize_into: place {} does not fit", i);
    packed.push_back(tensors[i]->packed());
    to.push_back({const_cast<void*>(out[i].const_data_ptr()), out[i].stride(0)});
  }
  if (out.empty()) return;
  if (out[0].is_cuda()) return kernels::decode_cuda(packed.data(), to.data(), static_cast<int>(packed.size()), real_type(out[0]), current_stream(out[0]));
  for (size_t i = 0; i < packed.size(); ++i)
    for_rows(out[i].size(0), out[i].size(1), [&](int64_t begin, int64_t end) { kernels::decode_cpu(packed[i], to[i], real_type(out[i]), begin, end); });
}

}  // namespace graft
