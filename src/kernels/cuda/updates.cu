// Low-rank updates to and from the matrices that they are folded into.
#include "updates.cuh"
#include "vectors.cuh"

namespace graft::kernels {
namespace {

/// First the `pad` columns beside the weight, then the `pad` rows below it.
template <class T>
__global__ void fold_kernel(Updates updates, RowsOf<T> weight, unsigned out, unsigned in, unsigned pad) {
  const unsigned beside = out * pad, i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= beside + pad * in) return;
  float value = 0;
  if (i < beside) {
    const unsigned row = i / pad, k = i % pad;
    for (int u = 0; u < updates.count; ++u) {
      const Update& update = updates.at[u];
      if (row >= update.first && row < update.first + update.out && k >= update.row && k < update.row + update.rank)
        value = update.b[(row - update.first) * update.rank + k - update.row];
    }
    put(weight.row(row) + in + k, value);
  } else {
    const unsigned k = (i - beside) / in, column = (i - beside) % in;
    for (int u = 0; u < updates.count; ++u) {
      const Update& update = updates.at[u];
      if (k >= update.row && k < update.row + update.rank) value = update.scale * update.a[(k - update.row) * in + column];
    }
    put(weight.row(out + k) + column, value);
  }
}

template <class T>
__global__ void mask_kernel(Updates updates, RowsOf<T> narrow, int64_t tokens, unsigned pad) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x, token = i / pad;
  if (token >= tokens) return;
  const unsigned k = i % pad;
  for (int u = 0; u < updates.count; ++u) {
    const Update& update = updates.at[u];
    if (k >= update.row && k < update.row + update.rank && (token < update.begin || token >= update.end)) put(narrow.row(token) + k, 0);
  }
}

__device__ float total(const PartialSum& sum, int64_t row, int64_t column) {
  const float* at = sum.data + row * sum.row_stride + column * sum.column_stride;
  float all = 0;
  for (int p = 0; p < sum.parts; ++p) all += at[p * sum.part];
  return all;
}

__global__ void unfold_kernel(Updates updates, PartialSum a_sum, PartialSum b_sum, int64_t in) {
  int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  for (int u = 0; u < updates.count; ++u) {
    const Update& update = updates.at[u];
    const int64_t a_count = update.rank * in, b_count = update.out * update.rank;
    if (i < a_count) {
      update.a_grad[i] += update.scale * total(a_sum, update.row + i / in, i % in);
      return;
    }
    i -= a_count;
    if (i < b_count) {   // neighbours read neighbours: along the outputs
      const int64_t k = i / update.out, o = i % update.out;
      update.b_grad[o * update.rank + k] += total(b_sum, update.first + o, update.row + k);
      return;
    }
    i -= b_count;
  }
}

constexpr int threads = 256;
unsigned blocks_for(int64_t count) { return static_cast<unsigned>((count + threads - 1) / threads); }

}  // namespace

void fold_updates_cuda(const Update* updates, int count, Matrix weight, Real type, int64_t out, int64_t in, int64_t pad, void* stream) {
  with_cuda_real(type, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    fold_kernel<T><<<blocks_for((out + in) * pad), threads, 0, static_cast<cudaStream_t>(stream)>>>(all_of(updates, count), rows_of<T>(weight), static_cast<unsigned>(out),
                                                                                                     static_cast<unsigned>(in), static_cast<unsigned>(pad));
  });
  launched("fold kernel");
}

void mask_updates_cuda(const Update* updates, int count, Matrix narrow, Real type, int64_t tokens, int64_t pad, void* stream) {
  if (tokens == 0) return;
  with_cuda_real(type, [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    mask_kernel<T><<<blocks_for(tokens * pad), threads, 0, static_cast<cudaStream_t>(stream)>>>(all_of(updates, count), rows_of<T>(narrow), tokens,
                                                                                                static_cast<unsigned>(pad));
  });
  launched("mask kernel");
}

void unfold_gradients_cuda(const Update* updates, int count, PartialSum a_sum, PartialSum b_sum, int64_t in, void* stream) {
  int64_t elements = 0;
  for (int i = 0; i < count; ++i) elements += updates[i].rank * (in + updates[i].out);
  unfold_kernel<<<blocks_for(elements), threads, 0, static_cast<cudaStream_t>(stream)>>>(all_of(updates, count), a_sum, b_sum, in);
  launched("unfold kernel");
}

}  // namespace graft::kernels
