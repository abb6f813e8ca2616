#pragma once
// A decoder block on a GPU (nn/fused_block.h): what its passes ask of kernels, in the order in which a block does. The meaning of each is in ops/.
#include "graft/kernels/api.h"

namespace graft::kernels {

/// A norm's gain, in the type of the rows or in fp32.
struct Gain {
  const void* data = nullptr;
  Real type = Real::fp32;
};
void copy_rows_cuda(Matrix from, Matrix to, Real type, int64_t rows, int64_t columns, void* stream);
struct Fp8Codes {                                 // what fp8_rows_cuda makes of a matrix
  uint8_t* values = nullptr;                      // [rows, columns]
  float* scales = nullptr;                        // [rows]
};
// RMSNorm of x, or of sum = x + added, which is also written to `sum`: y = sum * rstd * gain, rstd: [rows]. In fp32, rounded once. codes: of y, where they are
// wanted, in 16 bits, of columns in multiples of 8.
void rms_norm_cuda(Matrix x, Matrix added, Gain gain, Matrix sum, Matrix y, float* rstd, Fp8Codes codes, Real type, int64_t rows, int64_t columns, float eps, void* stream);
// dx = passed + the gradient of x through y = norm(x); y is rebuilt where it is wanted. codes: of dx.
void rms_norm_backward_cuda(Matrix grad, Matrix x, Gain gain, const float* rstd, Matrix passed, Matrix dx, Matrix y, Fp8Codes codes, Real type, int64_t rows,
                            int64_t columns, void* stream);
// Heads of 2 * half columns of q, k and v, side by side in one matrix. RoPE turns q's and k's by cosine and sine, [tokens, half] fp32 (back, if inverse);
// v's are copied. `bias`, if any, is added first: [(q + k + v heads) * 2 * half].
struct Heads {
  int64_t q = 0, k = 0, v = 0, half = 0;
};
void rope_cuda(Matrix q, Matrix k, Matrix v, Matrix out, const void* bias, Heads heads, const float* cosine, const float* sine, Real type, int64_t tokens, bool inverse,
               void* stream);
// The same with norms of their own for q's and k's heads (Qwen3), gains [2 * half] fp32, half a power of two: out = q's and k's heads of
// qkv = [q | k | v], normed and turned. backward: out = the gradient of qkv from those of the turned q and k and of v.
void head_norm_cuda(Matrix qkv, Matrix out, Heads heads, const float* q_gain, const float* k_gain, float eps, const float* cosine, const float* sine, Real type, int64_t tokens,
                    void* stream);
void head_norm_backward_cuda(Matrix dq, Matrix dk, Matrix dv, Matrix qkv, Matrix out, Heads heads, const float* q_gain, const float* k_gain, float eps, const float* cosine,
                             const float* sine, Real type, int64_t tokens, void* stream);
// out = act(gate) * up of [gate | up]; backward writes [dgate | dup] and, where it is wanted, that product again.
// codes: of `out`, and of d_gate_up, where they are wanted: in 16 bits, of rows of gated_codes_width at most, in multiples of 8.
enum class Gate { silu, gelu_tanh };
constexpr int64_t gated_codes_width = 16384;
void gated_cuda(Matrix gate_up, Matrix out, Fp8Codes codes, Gate act, Real type, int64_t rows, int64_t width, void* stream);
void gated_backward_cuda(Matrix grad, Matrix gate_up, Matrix d_gate_up, Matrix product, Fp8Codes codes, Gate act, Real type, int64_t rows, int64_t width, void* stream);
// The same for low-rank updates of rank 16 at most: what they ask of what is made is made on the way. bf16 or fp16, from sm_80 on; widths in multiples of 64,
// strides and addresses of 8 elements.
// Forward: strips[s, t, k] = the sum of out[t, c] factors[k, c] over the s-th strip of columns; factors: [16, width].
constexpr int64_t gate_rank = 16;
int gate_strips(int64_t width);
void gated_updates_cuda(Matrix gate_up, Matrix out, Matrix factors, float* strips, Gate act, Real type, int64_t rows, int64_t width, void* stream);
// Backward: the product, dgate and dup, each summed over tokens against 16 columns, sums[p, k, c] = the sum of narrow[t, k] made[t, c] over the p-th part of
// the tokens; and strips[s, t, h, k] = the sum of d_gate_up[t, c] factors[c, k] over the s-th strip of half h.
struct GateSum {
  Matrix narrow;                                  // [tokens, 16]
  float* sums = nullptr;                          // [parts, 16, width], ...
  int64_t row = 0, part = 0;                      // ... numbers from row to row, from part to part
};
struct GateCut {
  int parts = 1, strips = 1;
};
GateCut gate_cut(int64_t tokens, int64_t width);   // parts: 0 on a GPU without the shared memory for it
void gated_backward_updates_cuda(Matrix grad, Matrix gate_up, Matrix d_gate_up, GateSum product, GateSum gate, GateSum up, Matrix gate_factors, Matrix up_factors, float* strips,
                                 GateCut cut, Gate act, Real type, int64_t rows, int64_t width, void* stream);
// narrow[t, k], [tokens, pad], = the sum over strips and windows of strips[s, t, w, k - first[w]], where that is one of 16; copy: the same, where it is wanted.
struct GateStrips {
  int count = 1, windows = 1;
  int first[2] = {};                              // multiples of 8
};
void add_strips_cuda(const float* strips, GateStrips of, Matrix narrow, Matrix copy, Real type, int64_t tokens, int64_t pad, void* stream);
// A low-rank update beside its weight: the matrix's last `pad` columns hold B, its last `pad` rows s A, each update's at its `row`; else zeros.
struct Update {
  const float *a = nullptr, *b = nullptr;   // [rank, in], of rows a_stride apart, and [out, rank]
  int64_t a_stride = 0;
  const float *a_gain = nullptr, *b_gain = nullptr;   // [rank], [out]: of their rows, where these train; else null
  float *a_grad = nullptr, *b_grad = nullptr;         // of what trains
  float scale = 1;
  int64_t rank = 0, row = 0, first = 0, out = 0;    // its outputs are rows [first, first + out) of the weight
  int64_t begin = 0, end = 0;                       // the tokens that it is for, where others are another adapter's
  const float *magnitude = nullptr, *squares = nullptr;   // [out]: DoRA's, and the sums of the squares of the weight's rows
  float* magnitude_grad = nullptr;
};
constexpr int update_limit = 24;                // that read one input: q, k and v of eight adapters
struct Fold {
  const Update* updates = nullptr;
  int count = 0;                                    // update_limit at most
  Matrix weight;                                    // [out + pad, in + pad]
  int64_t out = 0, in = 0, pad = 0;
};
void fold_updates_cuda(const Fold* folds, int count, Real type, void* stream);
// narrow[t, k] = the sum over c of x[t, c] factors[k, c], or factors[c, k] where they lie `across`, for k < used, and 0 from there to pad. Where they are wanted,
// copies of it and of x are made on the way. bf16 or fp16, from sm_80 on; columns in multiples of 32, strides and addresses of 8 elements, used <= 64.
constexpr int64_t most_narrow_used = 64;
struct NarrowCopies {
  Matrix narrow, x;
};
void narrow_product_cuda(Matrix x, Matrix factors, bool across, Matrix narrow, NarrowCopies copies, Real type, int64_t rows, int64_t columns, int64_t used, int64_t pad,
                         void* stream);
// narrow[t, k], [tokens, pad], becomes 0 where column k is an update's that is not for token t.
void mask_updates_cuda(const Update* updates, int count, Matrix narrow, Real type, int64_t tokens, int64_t pad, void* stream);
// What an update's gradients are taken from: [rows, columns] fp32, in `parts` that lie `part` apart and are added up in order.
struct PartialSum {
  const float* data = nullptr;
  int64_t row_stride = 0, column_stride = 0, part = 0;
  int parts = 1;
};
// a_grad += s * its rows of a_sum [pad, in]; b_grad += its columns of b_sum [out, pad]; or what comes of these for the gains. Of several matrices at once.
struct Unfold {
  const Update* updates = nullptr;
  int count = 0;                                    // update_limit at most
  PartialSum a_sum, b_sum;
  int64_t in = 0;
};
void unfold_gradients_cuda(const Unfold* unfolds, int count, void* stream);
// sums[p, first_row .., first_column ..] = narrow^T wide over the p-th part of the tokens, for each pair: narrow [tokens, 64], wide [tokens, columns]; sums:
// [parts, total_rows, total_columns]. bf16 or fp16, from sm_80 on; strides, columns and addresses in multiples of 8 elements.
constexpr int64_t narrow_width = 64;
struct TokenSum {
  Matrix narrow, wide;
  int64_t columns = 0, first_row = 0, first_column = 0;
};
struct TokenSums {
  float* data = nullptr;
  int parts = 1;
  int64_t rows = 0, columns = 0;
};
constexpr int token_sum_limit = 8;
int token_sum_parts(int64_t tokens, int64_t total_columns);   // how many keep a GPU busy
void token_sums_cuda(const TokenSum* sums_of, int count, TokenSums sums, Real type, int64_t tokens, void* stream);
// DoRA's row gains (ops/row_gain.h). With P = s A W^T, [pad, out], and G = s A (s A)^T, [pad, pad], of all updates' A one below the other:
// gain[o] = magnitude[o] / sqrt(squares[o] + sum_k b[o,k] (2 P[k,o] + sum_j G[k,j] b[o,j])).
inline constexpr int64_t most_row_gain_rank = 96;   // an update's part of G lies in 36 KiB of shared memory
void row_gains_cuda(const Update* updates, int count, const float* projected, const float* gram, int64_t pad, void* gain, Real type, int64_t out, void* stream);
// y = y * gain, a column each.
void scale_columns_cuda(Matrix y, const void* gain, Real type, int64_t rows, int64_t columns, void* stream);
// Back through it: z_grad = grad * gain, and products[p, c] = the sum of grad * (y - bias) over the p-th part of the rows. z_grad may be grad.
int column_product_parts(int64_t rows, int64_t columns);
void scale_columns_backward_cuda(Matrix grad, Matrix y, const void* bias, const void* gain, Matrix z_grad, float* products, int parts, Real type, int64_t rows,
                                 int64_t columns, void* stream);
// magnitude_grad[o] += the sum of its column of products [parts, columns] / magnitude[o].
void add_magnitude_gradients_cuda(const Update* updates, int count, const float* products, int parts, int64_t columns, void* stream);

// Rows in 8 bits: values[i, c] = e4m3(x[i, c] * 448 / most), scales[i] = most / 448, where most is the row's largest magnitude (0: 1 and 1; not finite: the scale is NaN).
void fp8_rows_cuda(Matrix x, Fp8Codes codes, Real type, int64_t rows, int64_t columns, void* stream);
// Columns in 8 bits, as rows, by scales that are known: values[c, i] = e4m3(x[i, c] * (1 / scales[c])). x: in 16 bits, its rows in eights; rows and columns in sixteens.
void fp8_turned_cuda(Matrix x, uint8_t* values, const float* scales, Real type, int64_t rows, int64_t columns, void* stream);

}  // namespace graft::kernels
