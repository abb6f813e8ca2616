#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <mutex>
#include <optional>

#include "gpu_product.h"
#include "graft/core/error.h"

namespace graft {
namespace {

constexpr int most_ways = 8;

void succeed(cublasStatus_t status) { check(status == CUBLAS_STATUS_SUCCESS, "cuBLASLt: {}", cublasLtGetStatusString(status)); }

cudaDataType_t type_of(const Tensor& x) {
  return x.scalar_type() == at::kHalf ? CUDA_R_16F : x.scalar_type() == at::kBFloat16 ? CUDA_R_16BF : CUDA_R_8F_E4M3;
}

/// The greatest power of two, up to what cuBLAS asks for at most, that the address is a multiple of.
uint32_t alignment_of(const Tensor& x) {
  const auto address = reinterpret_cast<uintptr_t>(x.const_data_ptr());
  return static_cast<uint32_t>(std::min<uintptr_t>(256, address & -address));
}

/// As cuBLAS sees it, in columns: y^T = w^T x^T (+ added^T).
class Product {
 public:
  Product(const Tensor& x, const Tensor& w, const Tensor& y, const Tensor& added, const Tensor& x_scales, const Tensor& w_scales)
      : x_(x), w_(w), y_(y), added_(added.defined() ? added : y), beta_(added.defined() ? 1.0f : 0.0f), across_(w.stride(0) == 1) {
    succeed(cublasLtMatmulDescInit(&product_, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(CUBLASLT_MATMUL_DESC_TRANSA, across_ ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (x_scales.defined()) {
      const auto by_row = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
      set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, by_row), set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, by_row);
      set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, w_scales.const_data_ptr()), set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, x_scales.const_data_ptr());
      set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, int8_t{1});
    }
    const int64_t in = w.size(0), out = w.size(1), rows = x.size(0);
    succeed(cublasLtMatrixLayoutInit(&a_, type_of(w), across_ ? in : out, across_ ? out : in, across_ ? w.stride(1) : w.stride(0)));
    succeed(cublasLtMatrixLayoutInit(&b_, type_of(x), in, rows, x.stride(0)));
    succeed(cublasLtMatrixLayoutInit(&c_, type_of(y), out, rows, added_.stride(0)));
    succeed(cublasLtMatrixLayoutInit(&d_, type_of(y), out, rows, y.stride(0)));
  }

  std::vector<cublasLtMatmulHeuristicResult_t> ways(int most) {
    cublasLtMatmulPreferenceOpaque_t wishes;
    succeed(cublasLtMatmulPreferenceInit(&wishes));
    const auto wish = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) { succeed(cublasLtMatmulPreferenceSetAttribute(&wishes, what, &value, sizeof value)); };
    wish(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, at::cuda::getCUDABlasLtWorkspaceSize());
    wish(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});   // parts of a sum are added in fp32, in one order
    wish(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(w_)), wish(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(x_));
    wish(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(added_)), wish(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(y_));
    std::vector<cublasLtMatmulHeuristicResult_t> all(static_cast<size_t>(most));
    int found = 0;
    if (cublasLtMatmulAlgoGetHeuristic(at::cuda::getCurrentCUDABlasLtHandle(), &product_, &a_, &b_, &c_, &d_, &wishes, most, all.data(), &found) != CUBLAS_STATUS_SUCCESS) found = 0;
    all.resize(static_cast<size_t>(found));
    std::erase_if(all, [](const auto& way) { return way.state != CUBLAS_STATUS_SUCCESS; });
    return all;
  }

  bool run(const cublasLtMatmulAlgo_t& way) {
    const float one = 1;
    return cublasLtMatmul(at::cuda::getCurrentCUDABlasLtHandle(), &product_, &one, w_.const_data_ptr(), &a_, x_.const_data_ptr(), &b_, &beta_, added_.const_data_ptr(), &c_,
                          y_.mutable_data_ptr(), &d_, &way, at::cuda::getCUDABlasLtWorkspace(), at::cuda::getCUDABlasLtWorkspaceSize(),
                          at::cuda::getCurrentCUDAStream()) == CUBLAS_STATUS_SUCCESS;
  }

  double flops() const { return 2.0 * static_cast<double>(x_.size(0)) * static_cast<double>(w_.numel()); }
  bool adds_to_itself() const { return beta_ != 0 && added_.const_data_ptr() == y_.const_data_ptr(); }

  /// What a way is chosen for: the fastest for about so many rows, so that there are few; the first for just so many, so that nothing hangs on what came before.
  using Key = std::array<int64_t, 17>;
  Key key(bool first) const {
    const int64_t rows = x_.size(0), step = first ? 1 : std::max<int64_t>(1, static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(rows))) / 4);
    return {first, x_.device().index(), static_cast<int64_t>(x_.scalar_type()), static_cast<int64_t>(y_.scalar_type()), (rows + step - 1) / step * step, w_.size(0), w_.size(1),
            across_, w_.stride(across_ ? 1 : 0), x_.stride(0), y_.stride(0), beta_ != 0 ? added_.stride(0) : 0, adds_to_itself(),
            alignment_of(w_), alignment_of(x_), alignment_of(y_), alignment_of(added_)};
  }

 private:
  template <class V>
  void set(cublasLtMatmulDescAttributes_t what, V value) {
    succeed(cublasLtMatmulDescSetAttribute(&product_, what, &value, sizeof value));
  }
  const Tensor &x_, &w_, &y_, &added_;
  float beta_;
  bool across_;   // w's columns lie in rows
  cublasLtMatmulDescOpaque_t product_;
  cublasLtMatrixLayoutOpaque_t a_, b_, c_, d_;
};

/// The fastest of three rounds over all ways, each long enough to be told from its launch.
cublasLtMatmulAlgo_t fastest(Product& product, const std::vector<cublasLtMatmulHeuristicResult_t>& ways) {
  constexpr double long_enough = 5e10;   // a tenth of a millisecond
  const int times = static_cast<int>(std::clamp(long_enough / product.flops(), 1.0, 16.0));
  std::vector<float> least(ways.size(), INFINITY);
  for (int round = 0; round < 3; ++round) {
    std::vector<at::cuda::CUDAEvent> marks;
    for (size_t i = 0; i <= ways.size(); ++i) marks.emplace_back(cudaEventDefault);
    marks[0].record();
    std::vector<bool> ran(ways.size(), true);
    for (size_t i = 0; i < ways.size(); ++i) {
      for (int k = 0; k < times; ++k) ran[i] = product.run(ways[i].algo) && ran[i];
      marks[i + 1].record();
    }
    marks.back().synchronize();
    for (size_t i = 0; i < ways.size(); ++i)
      if (ran[i]) least[i] = std::min(least[i], marks[i].elapsed_time(marks[i + 1]));
  }
  return ways[static_cast<size_t>(std::ranges::min_element(least) - least.begin())].algo;
}

}  // namespace

bool gpu_product(const Tensor& x, const Tensor& w, const Tensor& y, const Tensor& added, const Tensor& x_scales, const Tensor& w_scales) {
  static std::mutex mutex;
  static std::map<Product::Key, std::optional<cublasLtMatmulAlgo_t>> chosen;   // none: there is no way
  Product product(x, w, y, added, x_scales, w_scales);
  const bool first = at::globalContext().deterministicAlgorithms();
  const Product::Key key = product.key(first);
  std::unique_lock lock(mutex);
  const auto found = chosen.find(key);
  const bool known = found != chosen.end();
  if (known && (!found->second || product.run(*found->second))) return found->second.has_value();
  lock.unlock();
  const auto ways = product.ways(first ? 1 : most_ways);
  // Nothing can be timed while a graph is captured; what adds to itself is done once only.
  const bool captured = c10::cuda::currentStreamCaptureStatusMayInitCtx() != c10::cuda::CaptureStatus::None;
  if (ways.empty()) {
    lock.lock();
    chosen[key] = std::nullopt;
    return false;
  }
  const cublasLtMatmulAlgo_t way = ways.size() == 1 || known || captured || product.adds_to_itself() ? ways.front().algo : fastest(product, ways);
  if (!known && !captured) {
    lock.lock();
    chosen[key] = way;
  }
  return product.run(way);
}

}  // namespace graft
