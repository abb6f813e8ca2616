#pragma once
// Linear layers that read one input, as one product each way with their low-rank updates folded in: the updates' narrow products stand beside the
// input and the output's gradient as some more columns, and the factors beside and below the weights.
//   y = [x | x (sA)^T] [W | B]^T        dx = [g | g B] [W ; sA]        dA = s (g B)^T x        dB = g^T (x (sA)^T)
// The sum with the base is taken in fp32 inside the product and rounded once. Dense weights move into the matrix that holds the factors too; a
// quantised one is dequantised into a matrix that lives as long as the pass through it. In a mixed batch the factors of all its adapters stand beside each
// other, and a token's narrow products with those that are not its own are zeros. DoRA's gains scale the product's columns.
// In 8 bits (ops/fp8_product.h) the frozen products stand alone, and the narrow ones and what comes of them keep their 16.
#include <array>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "graft/kernels/block.h"
#include "graft/nn/layers.h"
#include "graft/ops/fp8_product.h"

namespace graft {

/// How many columns and rows updates of so many ranks in all take up: whole tiles of a matrix product, as less would not be faster.
int64_t room_for(int64_t ranks);

/// The matrix of one pass, and what is folded into it.
struct Folded {
  Tensor matrix;                   // [out + pad, in + pad]; undefined while nobody uses it, where weights are quantised
  std::vector<LowRank> updates;    // with ...
  std::vector<kernels::Update> at; // ... their places
  int64_t pad = 0;                 // 0: nothing is folded in
  bool mixed = false;              // updates are for some of the tokens each
  Tensor gain;                     // [out]: of the product's columns; undefined: none
  Tensor bias;                     // [out]: the layers', where it is not as they have it, but by gains
  Tensor in_gain;                  // [in]: of the input; undefined: none
  Fp8Rows codes;                   // of what is multiplied next, where who wrote it made them: see codes_of_next
  bool narrow_made = false;        // what is multiplied next has its narrow products beside it: who wrote it made them
  bool drops = false;              // what updates see is dropped: each has its own mask, a function of the pass, so their gradients stay apart
  Tensor segments, positions;      // [tokens], of these masks
  kernels::DropoutKey key;         // ... but for the site
  bool trains() const { return !updates.empty(); }
  int64_t ranks() const { return at.empty() ? 0 : at.back().row + at.back().rank; }   // of all of them, one behind the other
};

/// What factors' gradients are taken from, in parts that are to be added up.
struct FactorSums {
  Tensor a;   // [parts, pad, in]: (g B)^T x
  Tensor b;   // [parts, out, pad]: g^T (x (sA)^T)
};
/// And what that is made from.
struct FactorWork {
  Tensor g;          // after input_gradient()
  Tensor x;
  Tensor narrow_x;   // what stood beside x
  Folded* folded = nullptr;
  FactorSums sums;   // those that are made already
};

class FoldedLinears {
 public:
  explicit FoldedLinears(std::vector<Linear*> layers);
  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  /// The layers' biases in a row, [out], as a pass has them; undefined if they have none.
  const Tensor& bias(const Folded& folded) const { return folded.bias.defined() ? folded.bias : bias_; }
  /// Whether each seat is empty in this pass, or holds an update that can be folded in. Gains of inputs: their layer is alone, and the caller applies them.
  bool takes(const Batch& batch, bool gains_of_inputs = false) const;
  /// The parameters that the pass's adapters train here.
  std::vector<Tensor> parameters(const Batch& batch) const;

  /// What is folded in, and where; no matrix yet.
  Folded places(const Batch& batch) const;
  /// Whether the weights live in the matrix: else it is made for each use of it.
  bool keeps_dense() const;
  struct Filling {
    const FoldedLinears* linears;
    Folded* folded;
  };
  /// Makes matrices: their factors by one launch on a GPU.
  static void fill(std::span<const Filling> all);
  /// Makes what is not there (any more): the matrix, and gains.
  void ready(Folded& folded) const;
  /// The factors in the matrix: sA, [pad, in], below the weights, and B, [out, pad], beside them.
  Tensor factors_a(const Folded& folded) const { return folded.matrix.narrow(0, out_, folded.pad).narrow(1, 0, in_); }
  Tensor factors_b(const Folded& folded) const { return folded.matrix.narrow(0, 0, out_).narrow(1, in_, folded.pad); }
  /// An empty [rows, in] to be filled, with room beside it; its narrow products are written there by `narrow`.
  Tensor input(int64_t rows, const Folded& folded, const Tensor& like) const { return wide(rows, in_, folded, like); }
  Tensor gradient(int64_t rows, const Folded& folded, const Tensor& like) const { return wide(rows, out_, folded, like); }
  /// Where codes of the next input, or the next gradient, are to be put as it is written; null: nobody asks for them.
  Fp8Rows* codes_of_next(Folded& folded) const { return in_8_bits_ ? &folded.codes : nullptr; }
  /// x (sA)^T into the room beside x, [rows, pad]. copy: the same, where it is wanted.
  void narrow(const Tensor& x, const Folded& folded, const Tensor& copy = {}) const;
  /// x into `to`, which is from input(), and its narrow products beside it.
  void take_in(const Tensor& x, const Folded& folded, const Tensor& to) const;
  /// y = the product, by gains if there are any, or (+ added) if there are none. x: from input(), after narrow(). The matrix is not needed any more, until the
  /// backward pass.
  void product(const Tensor& x, Folded& folded, const Tensor& y, const Tensor& added = {}) const;
  /// The gradient of the product from that of y, by gains and bias made of it; adds to the magnitudes' gradients. to: from gradient(), or grad itself.
  void before_gains(const Tensor& grad, const Tensor& y, const Folded& folded, const Tensor& to) const;
  /// The gradient of x from that of x times its gains, in its place; adds to the gains' gradients.
  void before_input_gains(const Tensor& grad, const Tensor& x, const Folded& folded) const;
  /// dx = the product, from g (from gradient()), and g B into the room beside g; dx undefined: that alone.
  void input_gradient(const Tensor& g, Folded& folded, const Tensor& dx) const;
  /// Whether each layer has one update, of that rank at most, the same for all tokens, without dropout or gains of inputs.
  bool has_one_update_each(const Folded& folded, int64_t most_rank) const;
  /// Adds to the factors' gradients, of several layers at once: in few launches on a GPU.
  static void add_factor_gradients(std::span<FactorWork> all);
  /// Dense weights move now: a model does so layer by layer as it is loaded.
  void settle();
  /// Frozen products in 8 bits from now on, or not any more: of dense weights from two more copies, one transposed; of quantised ones from codes that are made of
  /// the matrix for each use. False: not in these sizes.
  bool set_fp8(bool on);

 private:
  Tensor wide(int64_t rows, int64_t columns, const Folded& folded, const Tensor& like) const;
  Tensor matrix_of_pass(int64_t pad) const;
  void copy_factors(const Folded& folded) const;
  void make_gains(Folded& folded) const;
  void release(Folded& folded) const;
  void multiply(const Tensor& x, Folded& folded, const Tensor& y, const Tensor& added) const;
  /// The weights in such a matrix.
  Tensor frozen_in(const Tensor& matrix) const { return matrix.narrow(0, 0, out_).narrow(1, 0, in_); }
  Fp8Rows weights_in_8_bits(const Folded& folded) const;
  Fp8Rows turned_weights_in_8_bits(const Folded& folded) const;
  std::vector<Linear*> layers_;
  int64_t in_ = 0, out_ = 0;
  Tensor bias_;
  bool in_8_bits_ = false;
  std::optional<std::array<Fp8Rows, 2>> codes_;   // of dense weights, [out, in] and [in, out]
  Tensor turned_scales_;                          // of the latter, where they are made for each use
  mutable Tensor settled_;   // where dense weights live from the first pass on, [out + pad, in + pad]
};

/// x in 8 bits: as who wrote it left it.
inline Fp8Rows eight_bits_of(const Tensor& x, Folded& folded) { return folded.codes.values.defined() ? std::exchange(folded.codes, {}) : to_fp8(x); }
/// Zeros in the narrow products of tokens with updates that are not for them.
void mask_updates(const Tensor& narrow, const Folded& folded);
/// `columns` more columns of the wider matrix in which x lies.
Tensor beside(const Tensor& x, int64_t columns);

}  // namespace graft
