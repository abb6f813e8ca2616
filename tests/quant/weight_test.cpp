// Codes as numbers again, and products with them.
#include <ATen/ATen.h>

#include "graft/ops/product.h"
#include "quant/support.h"

namespace graft::testing {
namespace {

TEST(Decode, EveryTypeIsTheFp32ValueRoundedOnce) {
  for (const Format* format : formats()) {
    const QuantizedTensor q = quantize(gaussian({37, 96}), scheme(format->name), "x");
    const Tensor values = dequantize(q, at::kFloat);
    for (const auto dtype : {at::kBFloat16, at::kHalf}) EXPECT_TRUE(at::equal(dequantize(q, dtype), values.to(dtype))) << format->name;
  }
}

TEST(Decode, FusedRowsOfSeveralTensors) {
  for (const Format* format : formats()) {
    const Tensor a = gaussian({24, 64}, 1), b = gaussian({8, 64}, 2), c = gaussian({8, 64}, 3);
    const Scheme s = scheme(format->name, 64, format->usual == Grouping::block);
    const QuantizedTensor qa = quantize(a, s, "a"), qb = quantize(b, s, "b"), qc = quantize(c, s, "c");
    const Tensor all = at::full({40, 80}, 7.0f, a.options().dtype(at::kBFloat16));   // wider than the rows: the tail stays
    const QuantizedTensor* tensors[] = {&qa, &qb, &qc};
    const Tensor places[] = {all.slice(0, 0, 24).slice(1, 0, 64), all.slice(0, 24, 32).slice(1, 0, 64), all.slice(0, 32, 40).slice(1, 0, 64)};
    dequantize_into(tensors, places);
    EXPECT_TRUE(at::equal(all.slice(1, 0, 64), at::cat({dequantize(qa, at::kBFloat16), dequantize(qb, at::kBFloat16), dequantize(qc, at::kBFloat16)}))) << format->name;
    EXPECT_TRUE(at::equal(all.slice(1, 64, 80), at::full_like(all.slice(1, 64, 80), 7.0f))) << format->name;
  }
}

TEST(Weight, ProductsAreThoseOfTheDenseMatrix) {
  for (const Format* format : formats()) {
    const QuantizedWeight weight(quantize(gaussian({40, 96}), scheme(format->name), "w"), at::kFloat);
    const Tensor dense = weight.dense(at::kFloat), x = gaussian({2, 7, 96}, 5).requires_grad_(true), g = gaussian({2, 7, 40}, 6);
    const Tensor y = frozen_matmul(x, weight);
    EXPECT_TRUE(at::equal(y, product(x, dense))) << format->name;
    y.backward(g);
    EXPECT_TRUE(at::equal(x.grad(), product(g, dense.t()))) << format->name;
    const Tensor ids = at::tensor({3, 39, 0, 3}).view({2, 2}).to(test_device());
    EXPECT_TRUE(at::equal(weight.rows(ids), at::embedding(dense, ids))) << format->name;
  }
}

TEST(Weight, AFewRowsAreMultipliedWithoutADenseCopy) {
  for (const char* format : {"nf4", "fp4", "int4_affine"}) {
    for (const bool doubly : {false, true}) {
      const QuantizedWeight weight(quantize(gaussian({40, 96}), scheme(format, 32, doubly), "w"), at::kFloat);
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        const Tensor x = gaussian({3, 96}, 8).to(dtype), exact = at::linear(x.to(at::kDouble), weight.dense(at::kDouble));
        ASSERT_TRUE(has_matvec(weight.value(), x));
        EXPECT_LT(difference(weight.matmul(x), exact), dtype == at::kFloat ? 2e-5 : 0.15) << format;
      }
    }
  }
}

TEST(Weight, AKeptDenseCopyChangesNothing) {
  QuantizedWeight weight(quantize(gaussian({40, 96}), scheme("nf4", 64, true), "w"), at::kBFloat16);
  const Tensor x = gaussian({16, 96}).to(at::kBFloat16), before = weight.matmul(x);
  weight.keep_dense(true);
  EXPECT_TRUE(at::equal(weight.matmul(x), before));
}

}  // namespace
}  // namespace graft::testing
