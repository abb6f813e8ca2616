// A block a row of logits: the largest and the sums in one pass, the gradient over the logits in the next, from what of the row shared memory holds.
#include "vectors.cuh"

namespace graft::kernels {
namespace {

constexpr int threads = 512, blocks_at_once = 2;   // on a multiprocessor: one reads while the other is at its sums

/// A running softmax: the largest logit, the sum of exp(logit - largest), and of the logits themselves.
struct Softmax {
  float largest, sum, logits;
};
__device__ Softmax joined(Softmax a, Softmax b) {
  const float largest = fmaxf(a.largest, b.largest);
  return {largest, (a.sum == 0 ? 0 : a.sum * __expf(a.largest - largest)) + (b.sum == 0 ? 0 : b.sum * __expf(b.largest - largest)),
          a.logits + b.logits};
}

__device__ Softmax of_block(Softmax mine) {
  __shared__ Softmax parts[threads / 32];
  for (int offset = 16; offset > 0; offset /= 2)
    mine = joined(mine, {__shfl_xor_sync(0xffffffffu, mine.largest, offset), __shfl_xor_sync(0xffffffffu, mine.sum, offset),
                         __shfl_xor_sync(0xffffffffu, mine.logits, offset)});
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = mine;
  __syncthreads();
  mine = parts[0];
  for (int i = 1; i < threads / 32; ++i) mine = joined(mine, parts[i]);
  return mine;
}

template <class T, int N>
__global__ void __launch_bounds__(threads) cross_entropy_kernel(RowsOf<T> logits, int64_t columns, int held, const int64_t* targets, float smoothing, float* losses) {
  extern __shared__ __align__(16) unsigned char memory[];   // each thread's first `held` accesses
  auto* const kept = reinterpret_cast<Vector<T, N>*>(memory);
  const int64_t row = blockIdx.x, target = targets[row];
  T* mine = logits.row(row);
  if (target < 0) {
    const float zeros[N] = {};
    for (int64_t c = threadIdx.x * N; c < columns; c += threads * N) put_all(mine + c, zeros);
    if (threadIdx.x == 0) losses[row] = 0;
    return;
  }
  Softmax own{-INFINITY, 0, 0};
  const auto add = [&](int i, int64_t c) {
    const auto access = *reinterpret_cast<const Vector<T, N>*>(mine + c);
    if (i < held) kept[i * threads + threadIdx.x] = access;
    float x[N];
    load_all(access.at, x);
    float largest = own.largest;
#pragma unroll
    for (int i = 0; i < N; ++i) largest = fmaxf(largest, x[i]);
    float sum = own.sum == 0 ? 0 : own.sum * __expf(own.largest - largest), logits_here = own.logits;
#pragma unroll
    for (int i = 0; i < N; ++i) sum += __expf(x[i] - largest), logits_here += x[i];
    own = {largest, sum, logits_here};
  };
  int i = 0;
#pragma unroll 4
  for (int64_t c = threadIdx.x * N; c < columns; c += threads * N) add(i++, c);
  const float at_target = load(mine[target]);
  const Softmax all = of_block(own);   // its barrier: every thread has read the target's logit
  const float inverse = 1.0f / all.sum, each = smoothing / static_cast<float>(columns);
  const auto write = [&](int64_t c, const T* from) {
    float x[N];
    load_all(from, x);
#pragma unroll
    for (int j = 0; j < N; ++j) x[j] = __expf(x[j] - all.largest) * inverse - each - (c + j == target ? 1.0f - smoothing : 0.0f);
    put_all(mine + c, x);
  };
  i = 0;
#pragma unroll 4
  for (int64_t c = threadIdx.x * N; c < columns; c += threads * N, ++i) write(c, i < held ? kept[i * threads + threadIdx.x].at : mine + c);
  if (threadIdx.x == 0) {
    const float right = smoothing > 0 ? (1.0f - smoothing) * at_target + each * all.logits : at_target;
    losses[row] = all.largest + logf(all.sum) - right;
  }
}

}  // namespace

void cross_entropy_cuda(void* logits, Real type, int64_t rows, int64_t columns, const int64_t* targets, float smoothing, float* losses,
                        void* stream) {
  if (rows == 0) return;
  const Matrix all{logits, columns};
  with_vectors(type, columns, {all}, [&](auto* t, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    constexpr int access = width.value * static_cast<int>(sizeof(T)) * threads;   // of all threads
    int device = 0, room = 0;
    cudaGetDevice(&device), cudaDeviceGetAttribute(&room, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    const int wanted = static_cast<int>((columns + threads * width.value - 1) / (threads * width.value)), most = (room / blocks_at_once - 2048) / access, held = wanted < most ? wanted : most;
    auto* const kernel = cross_entropy_kernel<T, width.value>;
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, held * access);
    kernel<<<static_cast<unsigned>(rows), threads, static_cast<size_t>(held) * access, static_cast<cudaStream_t>(stream)>>>(rows_of<T>(all), columns, held, targets, smoothing, losses);
  });
  launched("cross-entropy kernel");
}

}  // namespace graft::kernels
