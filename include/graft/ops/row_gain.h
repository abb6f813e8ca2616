#pragma once
// DoRA's row gains (peft/dora.h): many tiny products and passes that one kernel each does at once on a GPU.
#include <utility>

#include "graft/core/tensor.h"

namespace graft {

/// magnitude / ||W + s B A|| for each row, as `like` has its type: [out]. squares: sums of W's squares by row, [out]; projected: W A^T as the
/// frozen product gives it, [rank, out]; a: [rank, in], b: [out, rank], magnitude: [out], all fp32 (fp64 where `like` is).
Tensor row_gain(const Tensor& magnitude, const Tensor& squares, const Tensor& projected, const Tensor& a, const Tensor& b, double scale, const Tensor& like);
Tensor row_gain_text(const Tensor& magnitude, const Tensor& squares, const Tensor& projected, const Tensor& a, const Tensor& b, double scale, const Tensor& like);

/// Back through y = gain * z, [rows, out]: the gradient of z, and of the magnitude (sum of grad * y over rows, over the magnitude).
std::pair<Tensor, Tensor> row_gain_backward(const Tensor& grad, const Tensor& y, const Tensor& gain, const Tensor& magnitude);
std::pair<Tensor, Tensor> row_gain_backward_text(const Tensor& grad, const Tensor& y, const Tensor& gain, const Tensor& magnitude);

}  // namespace graft
