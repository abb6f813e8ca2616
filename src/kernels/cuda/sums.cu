// Sums over tokens: narrow^T wide, a matrix of 64 rows and many columns, for several pairs in one launch. Tensor cores (mma.sync), rows brought in by
// cp.async four stages deep; tokens are cut into some parts, whose sums lie apart until unfold_gradients adds them up in one order.
#include "async.cuh"
#include "mma.cuh"
#include "vectors.cuh"

namespace graft::kernels {
namespace {

constexpr int narrow_columns = narrow_width, tile = 128, stage_rows = 32, stages = 4, threads = 256;
constexpr int narrow_pitch = narrow_columns + 8, wide_pitch = tile + 8;   // no two rows of eight in one bank
constexpr int stage_size = stage_rows * (narrow_pitch + wide_pitch);

struct Jobs {
  TokenSum at[token_sum_limit];
  int first_tile[token_sum_limit + 1];
  int count;
};

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
/// What a thread brings in of each stage: rows of one matrix, sixteen bytes of some of them; zeros past the end. Its address goes on from stage to stage: made
/// anew each time it would take more instructions than the products.
template <class T, int columns, int pitch>
class Fetch {
 public:
  __device__ Fetch(Matrix from, int64_t column, int64_t begin, int64_t end, bool there)
      : first_(static_cast<const T*>(from.data)), from_(first_ + (begin + row()) * from.stride + column + at()), stride_(from.stride),
        left_(there ? static_cast<int>(end - begin) - row() : 0) {}
  __device__ void next(T* stage) {
#pragma unroll
    for (int i = 0; i < stage_rows / rows_at_once; ++i) {
      const bool there = left_ > i * rows_at_once;
      copy_async(stage + (row() + i * rows_at_once) * pitch + at(), there ? from_ + i * rows_at_once * stride_ : first_, there);
    }
    from_ += stage_rows * stride_, left_ -= stage_rows;
  }

 private:
  static constexpr int rows_at_once = threads / (columns / 8);
  static __device__ int row() { return static_cast<int>(threadIdx.x) / (columns / 8); }
  static __device__ int at() { return static_cast<int>(threadIdx.x) % (columns / 8) * 8; }
  const T *first_, *from_;
  int64_t stride_;
  int left_;   // rows from this thread's first on
};

template <class T>
__global__ void __launch_bounds__(threads) sums_kernel(Jobs jobs, TokenSums sums, int64_t tokens, int64_t rows_a_part) {
  extern __shared__ __align__(16) unsigned char memory[];
  T* const shared = reinterpret_cast<T*>(memory);
  int which = 0;
  while (static_cast<int>(blockIdx.x) >= jobs.first_tile[which + 1]) ++which;
  const TokenSum& job = jobs.at[which];
  const int64_t column = int64_t{blockIdx.x - jobs.first_tile[which]} * tile;
  const int64_t begin = blockIdx.y * rows_a_part, end = begin + rows_a_part < tokens ? begin + rows_a_part : tokens;
  const int steps = end > begin ? static_cast<int>((end - begin + stage_rows - 1) / stage_rows) : 0;
  // Eight warps: two halves of the 64 rows, four quarters of the tile's columns.
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, matrix = lane / 8, line = lane % 8, top = warp / 4 * 32, left = warp % 4 * 32;
  float c[2][4][4] = {};   // 16 rows, 8 columns, a lane's share
  Fetch<T, narrow_columns, narrow_pitch> narrow_rows(job.narrow, 0, begin, end, true);
  Fetch<T, tile, wide_pitch> wide_rows(job.wide, column, begin, end, column + threadIdx.x % (tile / 8) * 8 < job.columns);
  const auto fetch = [&](int stage) {
    T* to = shared + stage * stage_size;
    narrow_rows.next(to), wide_rows.next(to + stage_rows * narrow_pitch);
  };

  for (int s = 0; s < stages - 1; ++s) {
    if (s < steps) fetch(s);
    commit_copies();
  }
  for (int s = 0; s < steps; ++s) {
    await_copies<stages - 2>();
    __syncthreads();
    if (s + stages - 1 < steps) fetch((s + stages - 1) % stages);
    commit_copies();
    const T* narrow = shared + s % stages * stage_size;
    const T* wide = narrow + stage_rows * narrow_pitch;
#pragma unroll
    for (int k = 0; k < stage_rows; k += 16) {
      unsigned a[2][4], b[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) load_transposed(a[m], narrow + (k + matrix / 2 * 8 + line) * narrow_pitch + top + m * 16 + matrix % 2 * 8);
#pragma unroll
      for (int n = 0; n < 2; ++n) load_transposed(b[n], wide + (k + matrix % 2 * 8 + line) * wide_pitch + left + n * 16 + matrix / 2 * 8);
#pragma unroll
      for (int m = 0; m < 2; ++m)
#pragma unroll
        for (int n = 0; n < 4; ++n) multiply(c[m][n], a[m], b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1], T{});
    }
  }
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < 4; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = top + m * 16 + lane / 4 + half * 8;
        const int64_t at = column + left + n * 8 + lane % 4 * 2;
        float* to = sums.data + (blockIdx.y * sums.rows + job.first_row + row) * sums.columns + job.first_column + at;
        if (at < job.columns) *reinterpret_cast<float2*>(to) = {c[m][n][2 * half], c[m][n][2 * half + 1]};   // columns come in eights
      }
}
#else
template <class T>
__global__ void sums_kernel(Jobs, TokenSums, int64_t, int64_t) {}
#endif

template <class T>
void launch(const Jobs& jobs, const TokenSums& sums, int64_t tokens, cudaStream_t stream) {
  const int64_t rows_a_part = ((tokens + sums.parts - 1) / sums.parts + stage_rows - 1) / stage_rows * stage_rows;
  const dim3 grid(static_cast<unsigned>(jobs.first_tile[jobs.count]), static_cast<unsigned>(sums.parts));
  constexpr int memory = stages * stage_size * static_cast<int>(sizeof(T));   // more than a kernel has unasked
  cudaFuncSetAttribute(sums_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, memory);
  sums_kernel<T><<<grid, threads, memory, stream>>>(jobs, sums, tokens, rows_a_part);
}

int tiles_of(int64_t columns) { return static_cast<int>((columns + tile - 1) / tile); }

}  // namespace

/// The fewest turns of a multiprocessor with two blocks, and of the sums that are written and read again, a tile's worth as many bytes as 256 tokens have.
int token_sum_parts(int64_t tokens, int64_t total_columns) {
  const int64_t tiles = tiles_of(total_columns), places = 2 * device_fact(cudaDevAttrMultiProcessorCount), most = tokens / (4 * stage_rows);
  int best = 1;
  int64_t least = 0;
  for (int parts = 1; parts == 1 || (parts <= most && parts <= 64); ++parts) {
    const int64_t turns = (tiles * parts + places - 1) / places, cost = turns * ((tokens + parts - 1) / parts) + 256 * tiles * parts / places;
    if (parts == 1 || cost < least) best = parts, least = cost;
  }
  return best;
}

void token_sums_cuda(const TokenSum* all, int count, TokenSums sums, Real type, int64_t tokens, void* stream) {
  Jobs jobs{};
  jobs.count = count;
  for (int i = 0; i < count; ++i) {
    jobs.at[i] = all[i];
    jobs.first_tile[i + 1] = jobs.first_tile[i] + tiles_of(all[i].columns);
  }
  for (int i = count; i < token_sum_limit; ++i) jobs.first_tile[i + 1] = jobs.first_tile[count];
  with_sixteen_bits(type, [&](auto* t) { launch<std::remove_pointer_t<decltype(t)>>(jobs, sums, tokens, static_cast<cudaStream_t>(stream)); });
  launched("token sums kernel");
}

}  // namespace graft::kernels
