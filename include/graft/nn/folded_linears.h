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
#include <string>
#include <vector>

#include "graft/kernels/api.h"
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
  bool drops = false;              // what updates see is dropped: each has its own mask, a function of the pass, so their gradients stay apart
  Tensor segments, positions;      // [tokens], of these masks
  uint64_t seed = 0;
  uint32_t step = 0;
};

class FoldedLinears {
 public:
  explicit FoldedLinears(std::vector<Linear*> layers);
  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  /// The layers' biases in a row, [out]; undefined if they have none.
  const Tensor& bias() const { return bias_; }
  /// Whether each seat is empty in this pass, or holds an update that can be folded in.
  bool takes(const Batch& batch) const;
  /// The parameters that the pass's adapters train here.
  std::vector<Tensor> parameters(const Batch& batch) const;

  Folded fold(const Batch& batch) const;
  /// Its matrix again, where it was let go.
  void refill(Folded& folded) const {
    if (!folded.matrix.defined()) fill(folded);
  }
  /// An empty [rows, in] to be filled, with room beside it; its narrow products are written there by `narrow`.
  Tensor input(int64_t rows, const Folded& folded, const Tensor& like) const { return wide(rows, in_, folded, like); }
  Tensor gradient(int64_t rows, const Folded& folded, const Tensor& like) const { return wide(rows, out_, folded, like); }
  /// x (sA)^T into the room beside x: the view of it, [rows, pad].
  Tensor narrow(const Tensor& x, const Folded& folded) const;
  /// y = the product, by gains if there are any. x: from input(), after narrow(). The matrix is not needed any more, until the backward pass.
  void product(const Tensor& x, Folded& folded, const Tensor& y) const;
  /// The same added to `sum`. Returns it alone, if the backward pass asks for it: where there are gains.
  Tensor add_product(const Tensor& x, Folded& folded, const Tensor& sum) const;
  /// The gradient of the product from that of y, by gains and bias made of it; adds to the magnitudes' gradients. to: from gradient(), or grad itself.
  void before_gains(const Tensor& grad, const Tensor& y, const Folded& folded, const Tensor& to) const;
  /// dx = the product, from g (from gradient()), and g B into the room beside g; dx undefined: that alone.
  void input_gradient(const Tensor& g, Folded& folded, const Tensor& dx) const;
  /// Adds to the factors' gradients, from g after input_gradient(), x and what stood beside it.
  void factor_gradients(const Tensor& g, const Tensor& x, const Tensor& narrow_x, Folded& folded) const;
  /// Dense weights move now: a model does so layer by layer as it is loaded.
  void settle();
  /// Frozen products in 8 bits from now on, or not any more: from two more copies of dense weights, one transposed. False: not with these.
  bool set_fp8(bool on);

 private:
  Tensor wide(int64_t rows, int64_t columns, const Folded& folded, const Tensor& like) const;
  bool keep_dense() const;
  Tensor matrix_of_pass(int64_t pad) const;
  void fill(Folded& folded) const;
  void make_gains(Folded& folded) const;
  void release(Folded& folded) const;
  void multiply(const Tensor& x, const Folded& folded, const Tensor& y, bool add) const;
  std::vector<Linear*> layers_;
  int64_t in_ = 0, out_ = 0;
  Tensor bias_;
  std::optional<std::array<Fp8Rows, 2>> fp8_;   // the weights [out, in] and [in, out]
  mutable Tensor settled_;   // where dense weights live from the first pass on, [out + pad, in + pad]
};

/// Zeros in the narrow products of tokens with updates that are not for them.
void mask_updates(const Tensor& narrow, const Folded& folded);
/// `columns` more columns of the wider matrix in which x lies.
Tensor beside(const Tensor& x, int64_t columns);

}  // namespace graft
