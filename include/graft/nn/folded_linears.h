#pragma once
// Linear layers that read one input, as one product each way with their low-rank updates folded in: the updates' narrow products stand beside the
// input and the output's gradient as some more columns, and the factors beside and below the weights.
//   y = [x | x (sA)^T] [W | B]^T        dx = [g | g B] [W ; sA]        dA = s (g B)^T x        dB = g^T (x (sA)^T)
// The sum with the base is taken in fp32 inside the product and rounded once. Dense weights move into the matrix that holds the factors too; a
// quantised one is dequantised into a matrix that lives as long as the pass through it.
#include <string>
#include <vector>

#include "graft/kernels/api.h"
#include "graft/nn/layers.h"

namespace graft {

/// How many columns and rows updates of so many ranks in all take up: whole tiles of a matrix product, as less would not be faster.
int64_t room_for(int64_t ranks);

/// The matrix of one pass, and what is folded into it.
struct Folded {
  Tensor matrix;                   // [out + pad, in + pad]; undefined while nobody uses it, where weights are quantised
  std::vector<LowRank> updates;    // with ...
  std::vector<kernels::Update> at; // ... their places
  int64_t pad = 0;                 // 0: nothing is folded in
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
  /// The parameters that the adapter trains here.
  std::vector<Tensor> parameters(const std::string& adapter) const;

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
  /// y = the product, or y += it. x: from input(), after narrow(). The matrix is not needed any more, until the backward pass.
  void product(const Tensor& x, Folded& folded, const Tensor& y, bool add) const;
  /// dx = the product, from g (from gradient()), and g B into the room beside g; dx undefined: that alone.
  void input_gradient(const Tensor& g, Folded& folded, const Tensor& dx) const;
  /// Adds to the factors' gradients, from g after input_gradient(), x and what stood beside it.
  void factor_gradients(const Tensor& g, const Tensor& x, const Tensor& narrow_x, Folded& folded) const;
  /// Dense weights move now: a model does so layer by layer as it is loaded.
  void settle();

 private:
  Tensor wide(int64_t rows, int64_t columns, const Folded& folded, const Tensor& like) const;
  bool keep_dense() const;
  Tensor matrix_of_pass(int64_t pad) const;
  void fill(Folded& folded) const;
  void release(Folded& folded) const;
  std::vector<Linear*> layers_;
  int64_t in_ = 0, out_ = 0;
  Tensor bias_;
  mutable Tensor settled_;   // where dense weights live from the first pass on, [out + pad, in + pad]
};

/// `columns` more columns of the wider matrix in which x lies.
Tensor beside(const Tensor& x, int64_t columns);

}  // namespace graft
