// Low-rank updates to and from the matrices that they are folded into.
#include <algorithm>

#include "updates.cuh"
#include "vectors.cuh"

namespace graft::kernels {
namespace {

__device__ float gain(const float* gains, int64_t row) { return gains ? gains[row] : 1; }

/// A matrix that updates, of them [first, end), are folded into.
struct Folding {
  Matrix weight;
  unsigned out, in, pad;
  int first, end;
};
constexpr int matrices_limit = 4;   // of a launch
struct Foldings {
  Folding at[matrices_limit];
};

/// First the `pad` columns beside the weight, then the `pad` rows below it, N numbers of a row a thread; a matrix a row of blocks.
template <class T, int N>
__global__ void fold_kernel(Updates updates, Foldings foldings) {
  const auto& [matrix, out, in, pad, first, end] = foldings.at[blockIdx.y];
  const RowsOf<T> weight{static_cast<T*>(matrix.data), matrix.stride};
  const unsigned beside = out * (pad / N), i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= beside + pad * (in / N)) return;
  float values[N] = {};
  if (i < beside) {
    const unsigned row = i / (pad / N), begin = i % (pad / N) * N;
    for (int u = first; u < end; ++u) {
      const Update& update = updates.at[u];
      if (row < update.first || row >= update.first + update.out) continue;
      const float* const b = update.b + (row - update.first) * update.rank;
      const float more = gain(update.b_gain, row - update.first);
#pragma unroll
      for (int j = 0; j < N; ++j)
        if (const int64_t k = int64_t{begin} + j - update.row; k >= 0 && k < update.rank) values[j] = b[k] * more;
    }
    put_all(weight.row(row) + in + begin, values);
  } else {
    const unsigned k = (i - beside) / (in / N), column = (i - beside) % (in / N) * N;
    for (int u = first; u < end; ++u) {
      const Update& update = updates.at[u];
      if (k < update.row || k >= update.row + update.rank) continue;
      const float scale = update.scale * gain(update.a_gain, k - update.row);
#pragma unroll
      for (int j = 0; j < N; ++j) values[j] = scale * update.a[(k - update.row) * update.a_stride + column + j];
    }
    put_all(weight.row(out + k) + column, values);
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
#pragma unroll 4
  for (int p = 0; p < sum.parts; ++p) all += at[p * sum.part];
  return all;
}

__host__ __device__ int64_t whole_warps(int64_t threads) { return (threads + 31) / 32 * 32; }

/// Where the gradients of updates, of them [first, end), come from.
struct Unfolding {
  PartialSum a_sum, b_sum;
  unsigned in;
  int first, end;
};
struct Unfoldings {
  Unfolding at[matrices_limit];
};

/// A matrix a row of blocks.
__global__ void unfold_kernel(Updates updates, Unfoldings unfoldings) {
  const auto& [a_sum, b_sum, in, first, end] = unfoldings.at[blockIdx.y];
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  for (int u = first; u < end; ++u) {
    const Update& update = updates.at[u];
    const auto rank = static_cast<unsigned>(update.rank), out = static_cast<unsigned>(update.out), a_count = rank * in, b_count = out * rank;
    if (i < a_count) {
      update.a_grad[i] += update.scale * total(a_sum, update.row + i / in, i % in);
      return;
    }
    i -= a_count;
    if (i < b_count) {   // neighbours read neighbours: along the outputs
      const unsigned k = i / out, o = i % out;
      update.b_grad[o * rank + k] += total(b_sum, update.first + o, update.row + k);
      return;
    }
    i -= b_count;
  }
}

/// First a warp a row of a, then a thread a row of b.
__global__ void unfold_gains_kernel(Updates updates, Unfoldings unfoldings) {
  const auto& [a_sum, b_sum, in, first, end] = unfoldings.at[blockIdx.y];
  int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  for (int u = first; u < end; ++u) {
    const Update& update = updates.at[u];
    const int64_t a_threads = 32 * update.rank, b_threads = whole_warps(update.out);
    if (i < a_threads) {
      const int64_t k = i / 32;
      float sum = 0;
      for (int64_t c = i % 32; c < in; c += 32) sum += update.a[k * update.a_stride + c] * total(a_sum, update.row + k, c);
      sum = sum_of_lanes(sum, 32);
      if (i % 32 == 0) update.a_grad[k] += update.scale * sum;
      return;
    }
    i -= a_threads;
    if (i < b_threads) {
      float sum = 0;
      for (int64_t k = 0; i < update.out && k < update.rank; ++k) sum += update.b[i * update.rank + k] * total(b_sum, update.first + i, update.row + k);
      if (i < update.out) update.b_grad[i] += sum;
      return;
    }
    i -= b_threads;
  }
}

constexpr int threads = 256;
unsigned blocks_for(int64_t count) { return static_cast<unsigned>((count + threads - 1) / threads); }

}  // namespace

void fold_updates_cuda(const Fold* folds, int count, Real type, void* stream) {
  int done = 0;
  while (done < count) {
    Updates updates{};
    Foldings foldings{};
    int matrices = 0;
    int64_t most = 0, widths = 0;   // divisible as each of them is
    for (; done < count && matrices < matrices_limit && updates.count + folds[done].count <= update_limit; ++done) {
      const auto& [at, here, weight, out, in, pad] = folds[done];
      foldings.at[matrices++] = {weight, static_cast<unsigned>(out), static_cast<unsigned>(in), static_cast<unsigned>(pad), updates.count, updates.count + here};
      for (int u = 0; u < here; ++u) updates.at[updates.count++] = at[u];
      most = std::max(most, (out + in) * pad), widths |= in;
    }
    // Pads come in whole tiles: a thread writes as many numbers at once as the rows of all matrices allow.
    with_vectors(type, widths, {foldings.at[0].weight, foldings.at[1].weight, foldings.at[2].weight, foldings.at[3].weight}, [&](auto* t, auto n) {
      using T = std::remove_pointer_t<decltype(t)>;
      fold_kernel<T, n.value><<<dim3(blocks_for(most / n), static_cast<unsigned>(matrices)), threads, 0, static_cast<cudaStream_t>(stream)>>>(updates, foldings);
    });
  }
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

void unfold_gradients_cuda(const Unfold* unfolds, int count, void* stream) {
  int done = 0;
  while (done < count) {
    Updates factors{}, gains{};
    Unfoldings of_factors{}, of_gains{};
    int matrices = 0;
    int64_t factor_threads = 0, gain_threads = 0;   // of the largest
    for (; done < count && matrices < matrices_limit && factors.count + gains.count + unfolds[done].count <= update_limit; ++done, ++matrices) {
      const auto& [at, here, a_sum, b_sum, in] = unfolds[done];
      Unfolding &own = of_factors.at[matrices], &gained = of_gains.at[matrices];
      own = {a_sum, b_sum, static_cast<unsigned>(in), factors.count, factors.count}, gained = {a_sum, b_sum, static_cast<unsigned>(in), gains.count, gains.count};
      int64_t own_threads = 0, gained_threads = 0;
      for (const Update* update = at; update < at + here; ++update)
        if (update->a_gain) gains.at[gains.count++] = *update, ++gained.end, gained_threads += 32 * update->rank + whole_warps(update->out);
        else factors.at[factors.count++] = *update, ++own.end, own_threads += update->rank * (in + update->out);
      factor_threads = std::max(factor_threads, own_threads), gain_threads = std::max(gain_threads, gained_threads);
    }
    const auto on = static_cast<cudaStream_t>(stream);
    const auto rows = static_cast<unsigned>(matrices);
    if (factors.count > 0) unfold_kernel<<<dim3(blocks_for(factor_threads), rows), threads, 0, on>>>(factors, of_factors);
    if (gains.count > 0) unfold_gains_kernel<<<dim3(blocks_for(gain_threads), rows), threads, 0, on>>>(gains, of_gains);
  }
  launched("unfold kernel");
}

}  // namespace graft::kernels
