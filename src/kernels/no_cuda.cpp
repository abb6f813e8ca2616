// Stands in for cuda/*.cu in builds without CUDA: the same names, throwing.
#include <stdexcept>

#include "graft/kernels/api.h"

namespace graft::kernels {
namespace {
[[noreturn]] void none() { throw std::runtime_error("this graft was built without CUDA"); }
}  // namespace

bool built_with_cuda() { return false; }
std::string cuda_fault() { return "this graft was built without CUDA"; }
int cuda_device_count() { return 0; }
int cuda_compute_capability(int) { none(); }
std::string cuda_device_name(int) { none(); }
void cuda_synchronize(int) { none(); }
void dropout_cuda(const void*, void*, Real, int64_t, int64_t, const int64_t*, const int64_t*, DropoutKey, float, void*) { none(); }
void row_gain_cuda(const float*, const float*, const void*, const float*, const float*, float, void*, Real, int64_t, int64_t, void*) { none(); }
void row_gain_backward_cuda(const void*, const void*, const void*, const float*, void*, float*, Real, int64_t, int64_t, void*) { none(); }
void encode_cuda(Codec, const void*, Real, int64_t, const Constants&, uint8_t*, void*) { none(); }
void decode_cuda(const Packed*, const Destination*, int, Real, void*) { none(); }
void matvec_cuda(const Packed&, const void*, void*, Real, int64_t, void*) { none(); }

}  // namespace graft::kernels
