// Stands in for cuda/*.cu in builds without CUDA: the same names, throwing.
#include <stdexcept>

#include "graft/kernels/attention.h"
#include "graft/kernels/block.h"

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
void encode_cuda(Codec, const void*, Real, int64_t, const Constants&, uint8_t*, void*) { none(); }
void decode_cuda(const Packed*, const Destination*, int, Real, void*) { none(); }
void matvec_cuda(const Packed&, const void*, void*, Real, int64_t, void*) { none(); }
void attention_cuda(const TextAttention&, Matrix, float*, Real, void*) { none(); }
void attention_backward_cuda(const TextAttention&, const TextAttentionBack&, Real, void*) { none(); }
void copy_rows_cuda(Matrix, Matrix, Real, int64_t, int64_t, void*) { none(); }
void rms_norm_cuda(Matrix, Matrix, Gain, Matrix, Matrix, float*, Fp8Codes, Real, int64_t, int64_t, float, void*) { none(); }
void rms_norm_backward_cuda(Matrix, Matrix, Gain, const float*, Matrix, Matrix, Matrix, Fp8Codes, Real, int64_t, int64_t, void*) { none(); }
void rope_cuda(Matrix, Matrix, Matrix, Matrix, const void*, Heads, const float*, const float*, Real, int64_t, bool, void*) { none(); }
void head_norm_cuda(Matrix, Matrix, Heads, const float*, const float*, float, const float*, const float*, Real, int64_t, void*) { none(); }
void head_norm_backward_cuda(Matrix, Matrix, Matrix, Matrix, Matrix, Heads, const float*, const float*, float, const float*, const float*, Real, int64_t, void*) { none(); }
void gated_cuda(Matrix, Matrix, Fp8Codes, Gate, Real, int64_t, int64_t, void*) { none(); }
void gated_backward_cuda(Matrix, Matrix, Matrix, Matrix, Fp8Codes, Gate, Real, int64_t, int64_t, void*) { none(); }
int gate_strips(int64_t) { none(); }
void gated_updates_cuda(Matrix, Matrix, Matrix, float*, Gate, Real, int64_t, int64_t, void*) { none(); }
GateCut gate_cut(int64_t, int64_t) { none(); }
void gated_backward_updates_cuda(Matrix, Matrix, Matrix, GateSum, GateSum, GateSum, Matrix, Matrix, float*, GateCut, Gate, Real, int64_t, int64_t, void*) { none(); }
void add_strips_cuda(const float*, GateStrips, Matrix, Matrix, Real, int64_t, int64_t, void*) { none(); }
void fold_updates_cuda(const Fold*, int, Real, void*) { none(); }
void unfold_gradients_cuda(const Unfold*, int, void*) { none(); }
int token_sum_parts(int64_t, int64_t) { none(); }
void token_sums_cuda(const TokenSum*, int, TokenSums, Real, int64_t, void*) { none(); }
void narrow_product_cuda(Matrix, Matrix, bool, Matrix, NarrowCopies, Real, int64_t, int64_t, int64_t, int64_t, void*) { none(); }
void mask_updates_cuda(const Update*, int, Matrix, Real, int64_t, int64_t, void*) { none(); }
void row_gains_cuda(const Update*, int, const float*, const float*, int64_t, void*, Real, int64_t, void*) { none(); }
void scale_columns_cuda(Matrix, const void*, Real, int64_t, int64_t, void*) { none(); }
int column_product_parts(int64_t, int64_t) { none(); }
void scale_columns_backward_cuda(Matrix, Matrix, const void*, const void*, Matrix, float*, int, Real, int64_t, int64_t, void*) { none(); }
void add_magnitude_gradients_cuda(const Update*, int, const float*, int, int64_t, void*) { none(); }
void fp8_rows_cuda(Matrix, Fp8Codes, Real, int64_t, int64_t, void*) { none(); }
void fp8_turned_cuda(Matrix, uint8_t*, const float*, Real, int64_t, int64_t, void*) { none(); }
void adamw_8bit_cuda(const AdamW8&, void*) { none(); }
void cross_entropy_cuda(void*, Real, int64_t, int64_t, const int64_t*, float, float*, void*) { none(); }

}  // namespace graft::kernels
