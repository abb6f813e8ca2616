#pragma once
// DoRA's row gains (peft/dora.h): many tiny products and passes that one kernel each does at once on a GPU.
#include <utility>
#include <vector>

#include "graft/core/tensor.h"
#include "graft/kernels/block.h"

namespace graft {

/// magnitude / ||W + s B A|| for each row, as `like` has its type: [out]. squares: sums of W's squares by row, [out]; projected: W A^T as the
/// frozen product gives it, [rank, out]; a: [rank, in], b: [out, rank], magnitude: [out], all fp32 (fp64 where `like` is).
Tensor row_gain(const Tensor& magnitude, const Tensor& squares, const Tensor& projected, const Tensor& a, const Tensor& b, double scale, const Tensor& like);
Tensor row_gain_text(const Tensor& magnitude, const Tensor& squares, const Tensor& projected, const Tensor& a, const Tensor& b, double scale, const Tensor& like);

/// y = y * gain, a column each, [rows, out].
void scale_columns(const Tensor& y, const Tensor& gain);
/// Back through y = gain * z + bias (undefined: none) into z_grad, which may be grad. Returns the sums over rows of grad * (y - bias), which are the magnitudes'
/// gradients times the magnitudes: wide [parts, out], to be added up.
Tensor scale_columns_backward(const Tensor& grad, const Tensor& y, const Tensor& bias, const Tensor& gain, const Tensor& z_grad);

/// The same two for one layer: the gradients of z, and of the magnitude.
std::pair<Tensor, Tensor> row_gain_backward(const Tensor& grad, const Tensor& y, const Tensor& gain, const Tensor& magnitude);

}  // namespace graft
