// A row of logits is shared by a cluster of blocks, which hold it in their shared memory: it is read once, for the largest and the sums, and written once,
// the gradient over the logits. What of it they cannot hold is read twice.
#include <cooperative_groups.h>

#include "vectors.cuh"

namespace graft::kernels {
namespace {

constexpr int threads = 512, warps = threads / 32, most_blocks = 8;   // blocks of a cluster: what every GPU that has clusters can start
constexpr int64_t share_bytes = 72 << 10;                             // of a row, for a block: three of them on a multiprocessor, in turns at reading and at sums

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
/// The blocks that share a row.
class Sharers {
 public:
  __device__ int count() const { return static_cast<int>(cluster_.num_blocks()); }
  __device__ int rank() const { return static_cast<int>(cluster_.block_rank()); }
  /// The same place in the memory of another of them; not before await_start.
  template <class T>
  __device__ T* at(T* mine, int rank) const { return cluster_.map_shared_rank(mine, static_cast<unsigned>(rank)); }
  __device__ void started() const { cluster_.barrier_arrive(); }
  __device__ void await_start() const { cluster_.barrier_wait(); }
  __device__ void meet() const { cluster_.sync(); }

 private:
  cooperative_groups::cluster_group cluster_ = cooperative_groups::this_cluster();
};
#else
/// A block alone: this GPU has no clusters.
class Sharers {
 public:
  __device__ int count() const { return 1; }
  __device__ int rank() const { return 0; }
  template <class T>
  __device__ T* at(T* mine, int) const { return mine; }
  __device__ void started() const {}
  __device__ void await_start() const {}
  __device__ void meet() const { __syncthreads(); }
};
#endif

/// A running softmax: the largest logit, the sum of exp(logit - largest), and of the logits themselves.
struct Softmax {
  float largest = -INFINITY, sum = 0, logits = 0;
  __device__ float sum_below(float other) const { return sum == 0 ? 0 : sum * __expf(largest - other); }
};
__device__ Softmax joined(const Softmax& a, const Softmax& b) {
  const float largest = fmaxf(a.largest, b.largest);
  return {largest, a.sum_below(largest) + b.sum_below(largest), a.logits + b.logits};
}
__device__ Softmax of_warp(const Softmax& mine) {
  float largest = mine.largest;
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, offset));
  return {largest, sum_of_lanes(mine.sum_below(largest), 32), sum_of_lanes(mine.logits, 32)};
}
/// Of all sharers' threads. What they read before, they may write after.
__device__ Softmax of_all(const Sharers& sharers, const Softmax& mine) {
  __shared__ Softmax parts[most_blocks * warps];
  const int lane = threadIdx.x % 32, place = sharers.rank() * warps + static_cast<int>(threadIdx.x) / 32;
  const Softmax part = of_warp(mine);
  sharers.await_start();
  if (lane < sharers.count()) *sharers.at(&parts[place], lane) = part;
  sharers.meet();
  Softmax all;
  for (int i = lane; i < sharers.count() * warps; i += 32) all = joined(all, parts[i]);
  return of_warp(all);
}

template <class T, int N>
__global__ void __launch_bounds__(threads) cross_entropy_kernel(RowsOf<T> logits, int64_t columns, int share, int held, const int64_t* targets, float smoothing, float* losses) {
  extern __shared__ __align__(16) unsigned char memory[];   // each thread's first `held` accesses
  auto* const kept = reinterpret_cast<Vector<T, N>*>(memory);
  const Sharers sharers;
  const int64_t row = blockIdx.x / sharers.count(), target = targets[row], begin = static_cast<int64_t>(sharers.rank()) * share;
  const int here = static_cast<int>(begin + share < columns ? share : columns - begin);
  const bool first = sharers.rank() == 0 && threadIdx.x == 0;
  T* const mine = logits.row(row) + begin;
  if (target < 0) {
    const float zeros[N] = {};
    for (int c = threadIdx.x * N; c < here; c += threads * N) put_all(mine + c, zeros);
    if (first) losses[row] = 0;
    return;
  }
  sharers.started();
  Softmax own;
  const auto add = [&](int i, int c) {
    const auto access = *reinterpret_cast<const Vector<T, N>*>(mine + c);
    if (i < held) kept[i * threads + threadIdx.x] = access;
    float x[N];
    load_all(access.at, x);
    Softmax next{own.largest, 0, own.logits};
#pragma unroll
    for (int j = 0; j < N; ++j) next.largest = fmaxf(next.largest, x[j]), next.logits += x[j];
    next.sum = own.sum_below(next.largest);
#pragma unroll
    for (int j = 0; j < N; ++j) next.sum += __expf(x[j] - next.largest);
    own = next;
  };
  int i = 0;
#pragma unroll 2
  for (int c = threadIdx.x * N; c < here; c += threads * N) add(i++, c);
  const float at_target = load(logits.row(row)[target]);
  const Softmax all = of_all(sharers, own);
  const float inverse = 1.0f / all.sum, each = smoothing / static_cast<float>(columns);
  const auto gradient = [&](float x) { return __expf(x - all.largest) * inverse - each; };
  const auto write = [&](int c, const T* from) {
    float x[N];
    load_all(from, x);
#pragma unroll
    for (int j = 0; j < N; ++j) x[j] = gradient(x[j]);
    put_all(mine + c, x);
  };
  i = 0;
#pragma unroll 2
  for (int c = threadIdx.x * N; c < here; c += threads * N, ++i) write(c, i < held ? kept[i * threads + threadIdx.x].at : mine + c);
  const int64_t place = target - begin;   // by the thread that wrote there
  if (place >= 0 && place < here && place / N % threads == threadIdx.x) put(mine + place, gradient(at_target) - (1.0f - smoothing));
  if (first) {
    const float right = smoothing > 0 ? (1.0f - smoothing) * at_target + each * all.logits : at_target;
    losses[row] = all.largest + logf(all.sum) - right;
  }
}

bool has_clusters(int device) {
  int major = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  return major >= 9;
}

}  // namespace

void cross_entropy_cuda(void* logits, Real type, int64_t rows, int64_t columns, const int64_t* targets, float smoothing, float* losses,
                        void* stream) {
  if (rows == 0) return;
  const Matrix all{logits, columns};
  with_vectors(type, columns, {all}, [&](auto* t, auto width) {
    using T = std::remove_pointer_t<decltype(t)>;
    constexpr int turn = width.value * threads, access = turn * static_cast<int>(sizeof(T));   // of all threads
    int device = 0, room = 0;
    cudaGetDevice(&device), cudaDeviceGetAttribute(&room, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    int blocks = 1;
    while (has_clusters(device) && blocks < most_blocks && columns * static_cast<int64_t>(sizeof(T)) > blocks * share_bytes) blocks *= 2;
    const auto share = static_cast<int>((columns / width.value + blocks - 1) / blocks * width.value);
    const int wanted = (share + turn - 1) / turn, most = (room - 4096) / access, held = wanted < most ? wanted : most;
    auto* const kernel = cross_entropy_kernel<T, width.value>;
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, held * access);
    cudaLaunchAttribute cluster{};
    cluster.id = cudaLaunchAttributeClusterDimension, cluster.val.clusterDim = {static_cast<unsigned>(blocks), 1, 1};
    cudaLaunchConfig_t launch{};
    launch.gridDim = static_cast<unsigned>(rows * blocks), launch.blockDim = threads, launch.dynamicSmemBytes = static_cast<size_t>(held) * access;
    launch.stream = static_cast<cudaStream_t>(stream), launch.attrs = &cluster, launch.numAttrs = blocks > 1 ? 1 : 0;
    cudaLaunchKernelEx(&launch, kernel, rows_of<T>(all), columns, share, held, targets, smoothing, losses);
  });
  launched("cross-entropy kernel");
}

}  // namespace graft::kernels
