#pragma once
// Kernels see raw pointers, sizes and a stream: no torch, C++17. Each has a plain text on the CPU (cpu.cpp), which is its meaning and
// the test oracle; cuda/*.cu says the same for a GPU; no_cuda.cpp stands in for it in CPU builds. A decoder block's on a GPU: block.h.
#include <cstdint>
#include <string>

namespace graft::kernels {

enum class Real { fp32, bf16, fp16 };
/// Rows that lie `stride` elements apart; no data: not wanted, or not there.
struct Matrix {
  void* data = nullptr;
  int64_t stride = 0;
};

// --- Facts about the GPU ----------------------------------------------------------------------------------------------------
bool built_with_cuda();
std::string cuda_fault();                       // "" if a GPU can be used; else why not (no driver, driver too old, no device)
int cuda_device_count();
int cuda_compute_capability(int device);        // 90 for sm_90
std::string cuda_device_name(int device);
void cuda_synchronize(int device);

// --- Dropout as a function --------------------------------------------------------------------------------------------------
// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). The random number of an element depends on
// nothing but (seed, step, site, segment, position, column): packing, recompute, fusing and resume see the same mask.
struct DropoutKey {
  uint64_t seed = 0;
  uint32_t site = 0;   // hash of the seat's path
  uint32_t step = 0;   // optimizer step ...
  const int64_t* step_at = nullptr;   // ... which stands there instead, beside x: a launch that is replayed reads it anew
};
// y[i, c] = x[i, c] * (kept ? 1 / (1 - p) : 0); x, y: [rows, columns]; segments, positions: [rows]. x may equal y.
void dropout_cpu(const void* x, void* y, Real type, int64_t rows, int64_t columns, const int64_t* segments, const int64_t* positions,
                 DropoutKey key, float p);
void dropout_cuda(const void* x, void* y, Real type, int64_t rows, int64_t columns, const int64_t* segments, const int64_t* positions,
                  DropoutKey key, float p, void* stream);

// --- Cross-entropy ------------------------------------------------------------------------------------------------------------------
// losses[i] = -sum over c of right[c] log softmax(logits[i])[c], where right = (1 - smoothing) one_hot(targets[i]) + smoothing / columns, and logits become
// softmax - right; a negative target: loss and row are 0. In fp32.
void cross_entropy_cpu(void* logits, Real type, int64_t rows, int64_t columns, const int64_t* targets, float smoothing, float* losses);
void cross_entropy_cuda(void* logits, Real type, int64_t rows, int64_t columns, const int64_t* targets, float smoothing, float* losses, void* stream);

// --- AdamW with moments of 8 bits -----------------------------------------------------------------------------------------------------
// Blocks of 256 numbers share their largest magnitude (Dettmers et al. 2022, "8-bit optimizers via block-wise quantization"): a moment is map[code] * that.
// A step makes the moments fp32, takes it as torch's AdamW does, and stores them at the nearest codes (a square above zero never at zero). Both sides give
// the same bits.
constexpr int64_t moment_block = 256;
constexpr uint8_t zero_average = 127;           // the code of 0 in dynamic_map; in unsigned_dynamic_map it is 0
const float* unsigned_dynamic_map();            // 256 points from 0 to 1, rising: of the squares; the average's are dynamic_map's
struct AdamW8 {
  float* values = nullptr;                      // [blocks, 256], as the gradients and codes
  const float* gradients = nullptr;
  uint8_t *average = nullptr, *square = nullptr;
  float *average_max = nullptr, *square_max = nullptr;   // [blocks]
  const float* maps = nullptr;                  // [2, 2, 256] where the rest lies: dynamic_map, the midpoints between its points; the same of unsigned_dynamic_map
  const float* now = nullptr;                   // too: what the gradients are divided by; rate / (1 - beta1^t); sqrt(1 - beta2^t); not 0: nothing is done
  int64_t blocks = 0;
  float beta1 = 0, one_minus_beta1 = 1, beta2 = 0, one_minus_beta2 = 1, epsilon = 0, decay = 1;   // decay: 1 - rate * weight decay
};
void adamw_8bit_cpu(const AdamW8& adam, int64_t begin, int64_t end);   // blocks [begin, end)
void adamw_8bit_cuda(const AdamW8& adam, void* stream);

// --- Random initial values ----------------------------------------------------------------------------------------------------
// out[i]: uniform in [-bound, bound), a function of (seed, stream, i).
void uniform_cpu(float* out, int64_t count, float bound, uint64_t seed, uint32_t stream);
// out[i]: normal(0, sigma) by Box-Muller, a function of (seed, stream, i).
void normal_cpu(float* out, int64_t count, float sigma, uint64_t seed, uint32_t stream);

// --- Norm, rotary positions, SwiGLU on the CPU ----------------------------------------------------------------------------------
// RMSNorm (Zhang & Sennrich 2019): y = x * rstd * weight, rstd = 1 / sqrt(mean(x^2) + eps) kept per row. x, y: [rows, columns].
void rms_norm_cpu(const void* x, const void* weight, void* y, float* rstd, Real type, int64_t rows, int64_t columns, float eps);
// dx for a frozen weight: rstd * (g*w - x * rstd^2 * mean(g*w*x)).
void rms_norm_backward_cpu(const void* grad, const void* x, const void* weight, const float* rstd, void* dx, Real type, int64_t rows,
                           int64_t columns);
// RoPE (Su et al. 2021) in the half-split form of Hugging Face: pairs (i, i + half). x, y: [tokens, heads, 2 * half];
// cosine, sine: [tokens, half] fp32. `inverse` rotates back (the backward pass). x may equal y.
void rope_cpu(const void* x, void* y, Real type, const float* cosine, const float* sine, int64_t tokens, int64_t heads, int64_t half,
              bool inverse);
// SwiGLU (Shazeer 2020): y = silu(gate) * up, `count` elements.
void swiglu_cpu(const void* gate, const void* up, void* y, Real type, int64_t count);
void swiglu_backward_cpu(const void* grad, const void* gate, const void* up, void* dgate, void* dup, Real type, int64_t count);

// --- Quantised weights --------------------------------------------------------------------------------------------------------
// A tensor of `count` numbers in row-major order is cut into groups of `group` (the last may be short); a group shares its constants,
// a number is a code. 4-bit codes lie two a byte, the first in the high half (an odd count pads with the code of zero).
enum class Codec { int8_absmax, int8_zero_point, int4_affine, nf4, fp4, fp8, dynamic8 };   // what they mean: src/kernels/codecs.h
constexpr int64_t nested_group = 256;           // scales that share a constant when they are quantised themselves
const float* dynamic_map();                     // the 256 points of dynamic8, rising
const float* code_points(Codec codec);          // the 16 points of a 4-bit codec, before zero and scale

struct Constants {
  const float* scale = nullptr;                 // [groups]; null: doubly quantised, map[scale_codes] * nested_scale + offset
  const uint8_t* scale_codes = nullptr;         // [groups]
  const float* nested_scale = nullptr;          // [groups / nested_group]
  const float* map = nullptr;                   // dynamic_map, on the device of the rest
  float offset = 0;
  const int8_t* zero = nullptr;                 // [groups], affine codecs only
  int64_t group = 64;
};
struct Packed {
  Codec codec = Codec::nf4;
  const uint8_t* codes = nullptr;
  int64_t count = 0, columns = 0;               // rows of `columns`
  Constants constants;
};
/// Where a Packed goes: rows that lie `stride` elements apart, so that q, k, v fill one matrix.
struct Destination {
  void* out = nullptr;
  int64_t stride = 0;
};

// codes of x [count]; needs constants.scale, not its doubly quantised form.
void encode_cpu(Codec codec, const void* x, Real type, int64_t count, const Constants& constants, uint8_t* codes);
void encode_cuda(Codec codec, const void* x, Real type, int64_t count, const Constants& constants, uint8_t* codes, void* stream);
// numbers of rows [begin, end).
void decode_cpu(const Packed& packed, const Destination& to, Real type, int64_t begin, int64_t end);
constexpr int decode_limit = 4;                 // tensors in one launch
void decode_cuda(const Packed* packed, const Destination* to, int tensors, Real type, void* stream);
// y[o] = sum over i of W[o, i] x[i], in fp32, for rows [begin, end) of W. x: [columns], y: [rows]. 4-bit codecs.
void matvec_cpu(const Packed& packed, const void* x, void* y, Real type, int64_t begin, int64_t end);
// x: [vectors, columns], y: [vectors, rows]. Needs columns and groups that are multiples of 32.
void matvec_cuda(const Packed& packed, const void* x, void* y, Real type, int64_t vectors, void* stream);

}  // namespace graft::kernels
