#include "graft/ops/head_norm.h"

#include <ATen/ATen.h>

#include "graft/ops/launch.h"
#include "graft/ops/norm.h"

namespace graft {
namespace {

kernels::Heads heads_of(int64_t q, int64_t k, int64_t v, int64_t dim) { return {q / dim, k / dim, v / dim, dim / 2}; }

const float* pointer(const Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }

/// Each head a row.
Tensor by_head(const Tensor& x, int64_t dim) { return x.reshape({-1, dim}); }

Tensor rstd_of(const Tensor& heads, const HeadNorms& norms, const Tensor& gain, const Tensor& normed) {
  const Tensor rstd = at::empty({heads.size(0)}, heads.options().dtype(wide_type(heads)));
  rms_norm_into(heads, {}, gain, norms.eps, {}, normed, rstd);
  return rstd;
}

}  // namespace

bool has_head_norm(int64_t head_dim) { return (head_dim & (head_dim - 1)) == 0 && head_dim <= 256; }

void norm_rotate_into(const Tensor& qkv, int64_t q_columns, int64_t k_columns, const HeadNorms& norms, const Rotation& rotation, const Tensor& out) {
  const int64_t dim = norms.q.size(0);
  if (has_gpu_kernel(qkv))
    return kernels::head_norm_cuda(matrix_of(qkv), matrix_of(out), heads_of(q_columns, k_columns, 0, dim), pointer(norms.q), pointer(norms.k),
                                   static_cast<float>(norms.eps), pointer(rotation.cosine), pointer(rotation.sine), real_type(qkv), qkv.size(0), current_stream(qkv));
  const auto normed = [&](const Tensor& part, const Tensor& gain) {
    const Tensor y = at::empty({part.numel() / dim, dim}, part.options());
    rstd_of(by_head(part, dim), norms, gain, y);
    return y.view({part.size(0), -1});
  };
  const Tensor q = normed(qkv.narrow(1, 0, q_columns), norms.q), k = normed(qkv.narrow(1, q_columns, k_columns), norms.k);
  rotate_into(q, k, q.narrow(1, 0, 0), dim, {}, rotation, /*inverse=*/false, out);
}

void norm_rotate_backward_into(const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& qkv, const HeadNorms& norms, const Rotation& rotation, const Tensor& out) {
  const int64_t dim = norms.q.size(0);
  if (has_gpu_kernel(qkv))
    return kernels::head_norm_backward_cuda(matrix_of(dq), matrix_of(dk), matrix_of(dv), matrix_of(qkv), matrix_of(out), heads_of(dq.size(1), dk.size(1), dv.size(1), dim),
                                            pointer(norms.q), pointer(norms.k), static_cast<float>(norms.eps), pointer(rotation.cosine), pointer(rotation.sine),
                                            real_type(qkv), qkv.size(0), current_stream(qkv));
  const Tensor turned = at::empty({qkv.size(0), dq.size(1) + dk.size(1)}, qkv.options());
  rotate_into(dq, dk, dv.narrow(1, 0, 0), dim, {}, rotation, /*inverse=*/true, turned);
  const auto back = [&](int64_t column, int64_t columns, const Tensor& gain) {
    const Tensor heads = by_head(qkv.narrow(1, column, columns), dim), grad = by_head(turned.narrow(1, column, columns), dim), y = at::empty_like(heads), dx = at::empty_like(heads);
    rms_norm_backward_into(grad, heads, gain, rstd_of(heads, norms, gain, y), {}, dx, {});
    out.narrow(1, column, columns).copy_(dx.view({qkv.size(0), columns}));
  };
  back(0, dq.size(1), norms.q), back(dq.size(1), dk.size(1), norms.k);
  out.narrow(1, dq.size(1) + dk.size(1), dv.size(1)).copy_(dv);
}

}  // namespace graft
