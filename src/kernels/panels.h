#pragma once
// Products in fp32 of factors that lie as registers want them. One thread.
#include <cstdint>
#include <memory>

#include "real.h"

namespace graft::kernels {

constexpr int64_t panel = 32;   // columns of a right factor that lie together

/// Not filled: that would take a third of a short text's time.
using Room = std::unique_ptr<float[]>;
inline Room room(int64_t rows, int64_t columns) { return std::make_unique_for_overwrite<float[]>(static_cast<size_t>(rows * columns)); }

inline Room zeros(int64_t rows, int64_t columns) { return std::make_unique<float[]>(static_cast<size_t>(rows * columns)); }

inline int64_t in_panels(int64_t columns) { return (columns + panel - 1) / panel * panel; }

/// [depth, columns] fp32, panels of 32 columns one after the other, zeros behind the last column.
class Panels {
 public:
  Panels(int64_t most_depth, int64_t columns) : columns_(in_panels(columns)), values_(room(most_depth, columns_)) {}
  int64_t columns() const { return columns_; }
  void set_depth(int64_t depth) { depth_ = depth; }
  float* at(int64_t column) { return values_.get() + column * depth_; }
  const float* at(int64_t column) const { return values_.get() + column * depth_; }

 private:
  int64_t columns_, depth_ = 0;
  Room values_;
};

/// A left factor or a result: element (row, column) lies at row * row_step + column * column_step.
struct Left {
  const float* data;
  int64_t row_step, column_step;
};

/// A right factor from rows that lie `stride` apart: as they are, or turned, their columns being the depth.
void pack(const float* from, int64_t stride, int64_t rows, int64_t columns, Panels& to);
void pack(const Bf16* from, int64_t stride, int64_t rows, int64_t columns, Panels& to);
void pack(const Fp16* from, int64_t stride, int64_t rows, int64_t columns, Panels& to);
void pack_turned(const float* from, int64_t stride, int64_t rows, int64_t columns, Panels& to);
void pack_turned(const Bf16* from, int64_t stride, int64_t rows, int64_t columns, Panels& to);
void pack_turned(const Fp16* from, int64_t stride, int64_t rows, int64_t columns, Panels& to);

/// c [rows, columns] = a b, or += it; b's first `columns`, whole panels, and its first `depth` rows.
void multiply(Left a, const Panels& b, int64_t rows, int64_t columns, int64_t depth, float* c, int64_t c_stride, bool add);

}  // namespace graft::kernels
