// What a fused block is made of, against its text in float64: matrices that lie in wider ones, sizes that no access divides.
#include <gtest/gtest.h>

#include <torch/csrc/autograd/autograd.h>

#include "graft/nn/folded_linears.h"
#include "graft/ops/activation.h"
#include "graft/ops/adamw_8bit.h"
#include "graft/ops/attention_pass.h"
#include "graft/ops/fp8_product.h"
#include "graft/ops/gate_updates.h"
#include "graft/ops/head_norm.h"
#include "graft/ops/launch.h"
#include "graft/ops/linear_cross_entropy.h"
#include "graft/ops/narrow_product.h"
#include "graft/ops/product.h"
#include "graft/ops/norm.h"
#include "graft/ops/row_gain.h"
#include "graft/ops/rope.h"
#include "support/models.h"

namespace graft::testing {
namespace {

double relative(const Tensor& value, const Tensor& reference) {
  const Tensor r = reference.cpu().to(at::kDouble);
  return ((value.cpu().to(at::kDouble) - r).norm() / r.norm()).item<double>();
}

double bound(at::ScalarType dtype) { return dtype == at::kFloat ? 2e-6 : dtype == at::kBFloat16 ? 4e-3 : 6e-4; }

/// Random rows in a wider matrix full of NaN, in `dtype` on the device.
Tensor rows_in_wider(int64_t rows, int64_t columns, int64_t room, at::ScalarType dtype, uint64_t seed) {
  at::manual_seed(seed);
  const Tensor wide = at::full({rows, columns + room}, std::nan(""), at::TensorOptions(dtype).device(test_device())), view = wide.narrow(1, 0, columns);
  return Tensor(view).copy_(at::randn({rows, columns}));
}
bool same_codes(const Fp8Rows& a, const Fp8Rows& b) { return a.scales.equal(b.scales) && a.values.view(at::kByte).equal(b.values.view(at::kByte)); }
Tensor exact(const Tensor& x) { return x.cpu().to(at::kDouble).contiguous(); }

const std::vector<std::pair<int64_t, int64_t>> sizes{{5, 48}, {3, 576}, {2, 4096}, {3, 6152}, {7, 37}};   // (rows, columns); 37: element by element
const std::vector<at::ScalarType> types{at::kFloat, at::kBFloat16, at::kHalf};

TEST(BlockOps, Norm) {
  for (const auto& [rows, columns] : sizes)
    for (const auto dtype : types)
      for (const bool adds : {false, true})
        for (const int64_t room : {0, 64, 3}) {
          const Tensor x = rows_in_wider(rows, columns, room, dtype, 1), added = rows_in_wider(rows, columns, 0, dtype, 2), weight = rows_in_wider(1, columns, 0, dtype, 3)[0];
          const Tensor sum = rows_in_wider(rows, columns, room, dtype, 4), y = rows_in_wider(rows, columns, room, dtype, 4);
          const Tensor rstd = at::empty({rows}, weight.options().dtype(at::kFloat));
          Fp8Rows codes, back;
          rms_norm_into(x, adds ? added : Tensor(), weight, 1e-5, adds ? sum : Tensor(), y, rstd, &codes);
          EXPECT_TRUE(same_codes(codes, to_fp8(y))) << rows << " x " << columns << " " << dtype;
          const Tensor plain = at::empty_like(y), plain_rstd = at::empty_like(rstd);
          rms_norm_into(x, adds ? added : Tensor(), weight, 1e-5, adds ? sum : Tensor(), plain, plain_rstd);
          EXPECT_TRUE(plain.equal(y) && plain_rstd.equal(rstd));
          const Tensor input = adds ? sum : x;
          if (adds) EXPECT_LT(relative(sum, exact(x) + exact(added)), bound(dtype));
          const Tensor expected = rms_norm_text(exact(input), exact(weight), 1e-5);
          EXPECT_LT(relative(y, expected), bound(dtype)) << rows << " x " << columns << " " << dtype;

          const Tensor grad = rows_in_wider(rows, columns, room, dtype, 5), passed = rows_in_wider(rows, columns, 0, dtype, 6), dx = rows_in_wider(rows, columns, room, dtype, 7);
          const Tensor again = rows_in_wider(rows, columns, 0, dtype, 8);
          rms_norm_backward_into(grad, input, weight, rstd, passed, dx, again, &back);
          EXPECT_TRUE(same_codes(back, to_fp8(dx))) << rows << " x " << columns << " " << dtype;
          const Tensor leaf = exact(input).requires_grad_(true);
          const Tensor by_autograd = torch::autograd::grad({rms_norm_text(leaf, exact(weight), 1e-5)}, {leaf}, {exact(grad)})[0];
          EXPECT_LT(relative(dx, by_autograd + exact(passed)), bound(dtype)) << rows << " x " << columns << " " << dtype;
          EXPECT_TRUE(again.equal(y));
        }
}

TEST(BlockOps, NormWithAWiderGain) {
  const Tensor x = rows_in_wider(4, 256, 8, at::kBFloat16, 1), y = rows_in_wider(4, 256, 0, at::kBFloat16, 2), gain = rows_in_wider(1, 256, 0, at::kFloat, 3)[0] + 1;
  const Tensor rstd = at::empty({4}, gain.options());
  rms_norm_into(x, {}, gain, 1e-6, {}, y, rstd);
  EXPECT_LT(relative(y, rms_norm_text(exact(x), exact(gain), 1e-6)), bound(at::kBFloat16));
}

TEST(BlockOps, Rotation) {
  for (const int64_t dim : {64, 128, 10})
    for (const auto dtype : types)
      for (const bool biased : {false, true}) {
        const int64_t tokens = 6;
        const Tensor all = rows_in_wider(tokens, 4 * dim, 0, dtype, 1), bias = biased ? rows_in_wider(1, 4 * dim, 0, dtype, 2)[0] : Tensor();
        const Tensor positions = at::tensor({0, 1, 2, 0, 1, 9}, at::kLong).to(test_device()).view({2, 3});
        const Rotation rotation = rotation_at(positions, rope_frequencies({}, dim).to(test_device()));
        const auto parts = [&](const Tensor& x) { return x.split_with_sizes({2 * dim, dim, dim}, 1); };
        const auto text = [&](const Tensor& x, bool inverse) {
          const Rotation turn{rotation.cosine.cpu().to(at::kDouble).view({1, tokens, -1}), (inverse ? -1 : 1) * rotation.sine.cpu().to(at::kDouble).view({1, tokens, -1})};
          const Tensor qk = rotate_text(x.narrow(1, 0, 3 * dim).reshape({1, tokens, 3, dim}), turn).view({tokens, 3 * dim});
          return at::cat({qk, x.narrow(1, 3 * dim, dim)}, 1);
        };
        const Tensor expected = text(exact(all) + (biased ? exact(bias) : at::zeros({}, at::kDouble)), false);
        const Tensor wide = rows_in_wider(tokens, 4 * dim, 16, dtype, 3), turned = all.clone();
        rotate_into(parts(all)[0], parts(all)[1], parts(all)[2], dim, bias, rotation, false, wide);
        EXPECT_LT(relative(wide, expected), bound(dtype)) << dim;
        rotate_into(parts(turned)[0], parts(turned)[1], parts(turned)[2], dim, bias, rotation, false, turned);   // in place
        EXPECT_TRUE(turned.equal(wide));
        rotate_into(parts(all)[0].clone(), parts(all)[1].clone(), parts(all)[2].clone(), dim, {}, rotation, true, wide);
        EXPECT_LT(relative(wide, text(exact(all), true)), bound(dtype));
      }
}

TEST(BlockOps, NormsOfHeadsAndRotation) {
  for (const int64_t dim : {64, 128, 8})
    for (const auto dtype : types) {
      const int64_t tokens = 6, q = 2 * dim;
      const Tensor qkv = rows_in_wider(tokens, 4 * dim, 16, dtype, 1), out = rows_in_wider(tokens, 3 * dim, 8, dtype, 2);
      const HeadNorms norms{rows_in_wider(1, dim, 0, at::kFloat, 3)[0], rows_in_wider(1, dim, 0, at::kFloat, 4)[0], 1e-5};
      const Tensor positions = at::tensor({0, 1, 2, 0, 1, 9}, at::kLong).to(test_device()).view({2, 3});
      const Rotation rotation = rotation_at(positions, rope_frequencies({}, dim).to(test_device()));
      norm_rotate_into(qkv, q, dim, norms, rotation, out);
      const Tensor leaf = exact(qkv).requires_grad_(true);
      const Rotation wide{rotation.cosine.cpu().to(at::kDouble).view({1, tokens, -1}), rotation.sine.cpu().to(at::kDouble).view({1, tokens, -1})};
      const auto turned = [&](int64_t column, int64_t columns, const Tensor& gain) {
        const Tensor heads = leaf.narrow(1, column, columns).reshape({1, tokens, -1, dim});
        return rotate_text(rms_norm_text(heads, exact(gain), norms.eps), wide).view({tokens, columns});
      };
      const Tensor expected = at::cat({turned(0, q, norms.q), turned(q, dim, norms.k)}, 1);
      EXPECT_LT(relative(out, expected.detach()), bound(dtype)) << dim << " " << dtype;
      const Tensor grads = rows_in_wider(tokens, 4 * dim, 0, dtype, 5), d = rows_in_wider(tokens, 4 * dim, 64, dtype, 6);
      norm_rotate_backward_into(grads.narrow(1, 0, q), grads.narrow(1, q, dim), grads.narrow(1, 3 * dim, dim), qkv, norms, rotation, d);
      const Tensor by_autograd = torch::autograd::grad({expected}, {leaf}, {exact(grads.narrow(1, 0, 3 * dim))})[0];
      EXPECT_LT(relative(d.narrow(1, 0, 3 * dim), by_autograd.narrow(1, 0, 3 * dim)), 2 * bound(dtype)) << dim << " " << dtype;
      EXPECT_TRUE(d.narrow(1, 3 * dim, dim).equal(grads.narrow(1, 3 * dim, dim)));
    }
}

TEST(BlockOps, GatedProduct) {
  for (const auto activation : {Activation::silu, Activation::gelu_tanh})
    for (const auto& [rows, width] : sizes)
      for (const auto dtype : types) {
        const Tensor gate_up = rows_in_wider(rows, 2 * width, 8, dtype, 1) * 3, out = rows_in_wider(rows, width, 64, dtype, 2), grad = rows_in_wider(rows, width, 0, dtype, 3);
        gated_into(gate_up, activation, out);
        const Tensor leaf = exact(gate_up).requires_grad_(true);
        const auto halves = leaf.chunk(2, 1);
        const Tensor expected = activated(halves[0], activation) * halves[1];
        EXPECT_LT(relative(out, expected.detach()), bound(dtype)) << width << " " << dtype;
        const Tensor d = rows_in_wider(rows, 2 * width, 64, dtype, 4), product = rows_in_wider(rows, width, 0, dtype, 5);
        gated_backward_into(grad, gate_up, activation, d, product);
        EXPECT_LT(relative(d, torch::autograd::grad({expected}, {leaf}, {exact(grad)})[0]), bound(dtype)) << width << " " << dtype;
        EXPECT_TRUE(product.equal(out));
      }
}

TEST(BlockOps, CodesOfGatedProducts) {
  for (const auto activation : {Activation::silu, Activation::gelu_tanh})
    for (const int64_t width : {8, 96, 4100, 8192, 14336, 16400})   // some thousands a row's thread, one or two accesses each, more than it keeps
      for (const auto dtype : types) {
        const Tensor gate_up = rows_in_wider(5, 2 * width, 8, dtype, 1), grad = rows_in_wider(5, width, 64, dtype, 2), out = rows_in_wider(5, width, 64, dtype, 3);
        gate_up[1].zero_(), gate_up[2][width - 1].fill_(std::numeric_limits<double>::infinity()), grad[3][0].fill_(std::numeric_limits<double>::quiet_NaN());
        Fp8Rows codes, back;
        gated_into(gate_up, activation, out, &codes);
        const Tensor d = rows_in_wider(5, 2 * width, 64, dtype, 4), plain = at::empty_like(d), product = at::empty_like(out), expected = at::empty_like(out);
        gated_into(gate_up, activation, expected);
        gated_backward_into(grad, gate_up, activation, plain, {});
        gated_backward_into(grad, gate_up, activation, d, product, &back);
        const auto equal = [](const Tensor& a, const Tensor& b) { return at::where(a.isnan(), at::zeros_like(a), a).equal(at::where(b.isnan(), at::zeros_like(b), b)) && a.isnan().equal(b.isnan()); };
        EXPECT_TRUE(equal(out, expected) && equal(product, expected) && equal(d, plain)) << width << " " << dtype;
        for (const auto& [got, rows] : {std::pair(codes, expected), {back, plain}}) {
          const Fp8Rows reference = to_fp8(rows);
          EXPECT_TRUE(equal(got.scales, reference.scales)) << width << " " << dtype;
          for (const int64_t row : {0, 1, 4}) EXPECT_TRUE(got.values[row].view(at::kByte).equal(reference.values[row].view(at::kByte))) << width << " " << dtype << " " << row;
        }
      }
}

TEST(BlockOps, NarrowProduct) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 32}, {37, 96}, {300, 576}, {4100, 64}, {8200, 320}, {9, 37}})   // by 16, 32 and 64 rows
    for (const int64_t used : {5, 16, 24, 48, 64})
      for (const auto dtype : types)
        for (const bool across : {false, true}) {
          const Tensor x = rows_in_wider(rows, columns, 64 + (8 - columns % 8) % 8, dtype, 1);
          const Tensor lying = across ? rows_in_wider(columns, 64, 8, dtype, 2) : rows_in_wider(64, columns, 64 + (8 - columns % 8) % 8, dtype, 2);
          const Tensor factors = across ? lying : lying.t(), room = rows_in_wider(rows, 64, 8, dtype, 3), copy = at::full({rows, 64}, std::nan(""), x.options());
          const Tensor x_copy = rows_in_wider(rows, columns, 8 - columns % 8, dtype, 4);
          Tensor(factors).narrow(1, used, 64 - used).zero_();
          narrow_product_into(x, factors, used, room, {copy, x_copy});
          EXPECT_LT(relative(room, at::mm(exact(x), exact(factors))), bound(dtype)) << rows << " x " << columns << " " << used << " " << dtype << " " << across;
          EXPECT_TRUE(used == 64 || room.narrow(1, used, 64 - used).abs().max().item<double>() == 0);
          EXPECT_TRUE(copy.equal(room) && x_copy.equal(x));
          EXPECT_TRUE(beside(x_copy, 8 - columns % 8).isnan().all().item<bool>());
        }
}

/// Alone, onto another matrix and onto itself; more rows than it was first done for, which go the same way on a GPU.
TEST(BlockOps, ProductsInto) {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf})
    for (const int64_t rows : {1, 37, 300, 310})
      for (const bool across : {false, true})
        for (const int64_t out : {96, 100}) {
          const Tensor x = rows_in_wider(rows, 192, 64, dtype, 1), lying = across ? rows_in_wider(out, 192, 32, dtype, 2) : rows_in_wider(192, out, 32, dtype, 2);
          const Tensor weight = across ? lying.t() : lying, added = rows_in_wider(rows, out, 8, dtype, 3), product = at::mm(exact(x), exact(weight));
          const auto told = [&] { return fmt::format("{} rows, {} columns, {}, across {}", rows, out, at::toString(dtype), across); };
          for (int again = 0; again < 2; ++again) {
            const Tensor y = rows_in_wider(rows, out, 60, dtype, 4), sum = rows_in_wider(rows, out, 60, dtype, 5), itself = rows_in_wider(rows, out, 8, dtype, 3);
            product_into(x, weight, y);
            product_into(x, weight, sum, added);
            product_into(x, weight, itself, itself);
            EXPECT_LT(relative(y, product), bound(dtype)) << told();
            EXPECT_LT(relative(sum, product + exact(added)), bound(dtype)) << told();
            EXPECT_LT(relative(itself, product + exact(added)), bound(dtype)) << told();
            EXPECT_TRUE(beside(y, 60).isnan().all().item<bool>() && beside(sum, 60).isnan().all().item<bool>()) << told();
          }
        }
}

/// Sizes of a gate's kernels that serve updates: fewer rows than a step has, strips that are not whole, several parts of tokens.
const std::vector<std::pair<int64_t, int64_t>> gate_sizes{{1, 64}, {37, 192}, {300, 576}, {4096, 1024}};

TEST(BlockOps, GatedProductWithUpdates) {
  for (const auto activation : {Activation::silu, Activation::gelu_tanh})
    for (const auto& [rows, width] : gate_sizes)
      for (const auto dtype : types) {
        const Tensor gate_up = rows_in_wider(rows, 2 * width, 8, dtype, 1), factors = rows_in_wider(64, width, 64, dtype, 2);
        Tensor(factors).narrow(0, 16, 48).zero_();
        const Tensor room = rows_in_wider(rows, width + 64, 0, dtype, 3), out = room.narrow(1, 0, width), narrow = room.narrow(1, width, 64), copy = at::full_like(narrow, std::nan(""));
        if (!gate_takes_updates({gate_up, out, factors, narrow}, width)) {
          EXPECT_EQ(dtype, at::kFloat);
          continue;
        }
        gated_updates_into(gate_up, activation, out, factors, narrow, copy);
        const Tensor expected = at::empty_like(out);
        gated_into(gate_up, activation, expected);
        EXPECT_LT(relative(out, exact(expected)), dtype == at::kFloat ? 1e-7 : 1e-4) << rows << " " << width << " " << dtype;   // a few fall to the other side
        EXPECT_LT(relative(narrow, at::mm(exact(out), exact(factors).t())), bound(dtype)) << rows << " " << width << " " << dtype;
        EXPECT_EQ(narrow.narrow(1, 16, 48).abs().max().item<double>(), 0);
        EXPECT_TRUE(copy.equal(narrow));
      }
}

TEST(BlockOps, GateBackWithUpdates) {
  for (const auto activation : {Activation::silu, Activation::gelu_tanh})
    for (const auto& [rows, width] : gate_sizes)
      for (const auto dtype : types)
        for (const std::array<int64_t, 2> first : {std::array<int64_t, 2>{0, 0}, {0, 16}, {0, 8}, {8, 24}}) {   // one update for both halves; one each, of ranks 16 and 8
          const Tensor grad = rows_in_wider(rows, width, 8, dtype, 1), room = rows_in_wider(rows, 2 * width + 64, 0, dtype, 2);
          const Tensor gate_up = room.narrow(1, 0, 2 * width), narrow = room.narrow(1, 2 * width, 64), factors = at::zeros({2 * width, 64}, grad.options());
          for (int64_t h = 0; h < 2; ++h) factors.narrow(0, h * width, width).narrow(1, first[h], 16).copy_(rows_in_wider(width, 16, 0, dtype, 3 + h));
          const GateUpdates updates{rows_in_wider(rows, 16, 48, dtype, 5), rows_in_wider(rows, 64, 8, dtype, 6), factors, first};
          if (!gate_takes_updates({grad, gate_up, narrow, updates.product, updates.gate_up, factors}, width)) {
            EXPECT_EQ(dtype, at::kFloat);
            continue;
          }
          const Tensor d = rows_in_wider(rows, 2 * width, 64, dtype, 7), product = rows_in_wider(rows, width, 0, dtype, 8);
          gated_backward_into(grad, gate_up, activation, d, product);
          const GateSums sums = gated_backward_updates_into(grad, gate_up, activation, updates, gate_up, narrow);
          const auto said = [&] { return std::to_string(rows) + " x " + std::to_string(width) + " " + at::toString(dtype) + " " + std::to_string(first[1]); };
          EXPECT_LT(relative(gate_up, exact(d)), dtype == at::kFloat ? 1e-7 : 1e-4) << said();
          EXPECT_LT(relative(narrow, at::mm(exact(gate_up), exact(factors))), bound(dtype)) << said();
          EXPECT_LT(relative(sums.product.sum(0), at::mm(exact(updates.product).t(), exact(product))), dtype == at::kFloat ? 2e-6 : 1e-4) << said();
          for (int64_t h = 0; h < 2; ++h) {
            const Tensor got = sums.gradients.narrow(1, first[h], 16).narrow(2, h * width, width).sum(0);
            EXPECT_LT(relative(got, at::mm(exact(updates.gate_up.narrow(1, first[h], 16)).t(), exact(gate_up.narrow(1, h * width, width)))), 2e-6) << said() << " " << h;
          }
        }
}

TEST(BlockOps, AGateFarOutIsFinite) {
  const Tensor gate_up = at::full({2, 32}, 1e4, at::TensorOptions(at::kBFloat16).device(test_device())), out = at::empty({2, 16}, gate_up.options());
  Tensor(gate_up).narrow(0, 1, 1).neg_();
  for (const auto activation : {Activation::silu, Activation::gelu_tanh}) {
    gated_into(gate_up, activation, out);
    EXPECT_TRUE(out.isfinite().all().item<bool>());
    const Tensor d = at::empty_like(gate_up);
    gated_backward_into(out, gate_up, activation, d, {});
    EXPECT_TRUE(d.isfinite().all().item<bool>());
  }
}

TEST(BlockOps, AttentionOutsideAutograd) {
  struct Case {
    int64_t rows, columns, heads, kv_heads, dim;
  };
  for (const auto dtype : types)
    for (const Case& c : {Case{2, 16, 4, 2, 64}, {2, 128, 3, 1, 64}, {3, 200, 8, 1, 64}, {1, 1, 2, 2, 64}, {2, 300, 2, 2, 64}, {1, 150, 18, 2, 64}, {2, 150, 8, 1, 128}, {2, 70, 4, 2, 16}}) {
      const graft::Deterministic deterministic(c.dim == 128 && dtype != at::kFloat);   // else it is cuDNN's on a GPU
      const int64_t tokens = c.rows * c.columns, width = c.heads * c.dim, own = c.kv_heads * c.dim;
      const Tensor all = rows_in_wider(tokens, width + 2 * own, 0, dtype, 1), grad = rows_in_wider(tokens, width, 64, dtype, 2);
      const auto heads = [&](const Tensor& x) { return x.unflatten(0, {c.rows, c.columns}).unflatten(2, {-1, c.dim}); };
      const auto parts = all.split_with_sizes({width, own, own}, 1);
      const auto pass = attention_pass(heads(parts[0]), heads(parts[1]), heads(parts[2]), {}, {});
      const auto got = pass->backward(heads(grad), heads(parts[0]), heads(parts[1]), heads(parts[2]));
      std::vector<Tensor> leaves;
      for (const Tensor& part : parts) leaves.push_back(heads(exact(part)).requires_grad_(true));
      const Tensor expected = attention_text(leaves[0], leaves[1], leaves[2], {});
      EXPECT_LT(relative(pass->out().reshape({c.rows, c.columns, width}), expected.detach()), 2 * bound(dtype)) << dtype << " " << c.columns;
      const auto grads = torch::autograd::grad({expected}, leaves, {exact(grad).view({c.rows, c.columns, width})});
      const auto error = [&](const Tensor& a, const Tensor& b) { return b.norm().item<double>() < 1e-9 ? a.abs().max().item<double>() : relative(a, b); };   // of one key: 0
      for (size_t i = 0; i < 3; ++i) EXPECT_LT(error(got[i], grads[i]), 2 * bound(dtype)) << dtype << " " << c.columns << " " << i;

      // Turned back, and side by side.
      const Tensor angles = rows_in_wider(tokens, c.dim / 2, 0, at::kFloat, 3), wide = rows_in_wider(tokens, width + 2 * own, 16, dtype, 4);
      const Rotation rotation{angles.cos().view({c.rows, c.columns, -1}), angles.sin().view({c.rows, c.columns, -1})}, back{exact(rotation.cosine), -exact(rotation.sine)};
      attention_pass(heads(parts[0]), heads(parts[1]), heads(parts[2]), {}, {})->backward_into(heads(grad), heads(parts[0]), heads(parts[1]), heads(parts[2]), rotation, wide);
      const auto turned = wide.split_with_sizes({width, own, own}, 1);
      for (size_t i = 0; i < 3; ++i) EXPECT_LT(error(heads(turned[i]), i < 2 ? rotate_text(grads[i], back) : grads[i]), 2 * bound(dtype)) << dtype << " " << c.columns << " " << i;
      EXPECT_TRUE(beside(wide, 16).isnan().all().item<bool>());
    }
}

TEST(BlockOps, CrossEntropySkipsWhatHasNoTarget) {
  for (const auto dtype : types)
    for (const auto& [vocabulary, smoothing] : {std::pair<int64_t, double>{97, 0}, {2048, 0.2}, {49152, 0}, {49152, 0.2}, {97, 0.2}, {130048, 0.1}, {150001, 0}, {600004, 0}}) {
      const DenseWeight weight(rows_in_wider(vocabulary, 32, 0, dtype, 1));
      const Tensor hidden = rows_in_wider(6, 32, 0, dtype, 2), targets = at::tensor(std::vector<int64_t>{vocabulary / 2 + 3, -100, 0, vocabulary - 1, -100, 7}, at::kLong).to(test_device());
      const Tensor leaf = hidden.detach().requires_grad_(true);
      const Tensor loss = linear_cross_entropy(leaf, frozen_head(weight), targets, 0.25, smoothing);
      torch::autograd::backward({loss * 2}, {});
      const Tensor kept = at::tensor({0, 2, 3, 5}, at::kLong);
      const auto torchs = [&](at::ScalarType type) {
        const Tensor given = exact(hidden).to(type).requires_grad_(true);
        const Tensor sum = at::cross_entropy_loss(at::mm(given.index_select(0, kept), exact(weight.dense(dtype)).to(type).t()), targets.cpu().index_select(0, kept), {},
                                                  at::Reduction::Sum, -100, smoothing) * 0.25;
        torch::autograd::backward({sum * 2}, {});
        return std::pair{sum.detach(), given.grad()};
      };
      const auto [expected, expected_grad] = torchs(at::kDouble);
      const double torchs_error = relative(torchs(at::kFloat).second, expected_grad);   // sums over 150,001 words in fp32: up to 2e-5 without AVX-512
      EXPECT_LT(relative(loss.detach(), expected), 2 * bound(dtype)) << vocabulary << " " << smoothing;
      EXPECT_LT(relative(leaf.grad(), expected_grad), 3 * bound(dtype) + 1.1 * torchs_error) << vocabulary << " " << dtype;
      EXPECT_EQ(leaf.grad()[1].abs().max().item<double>(), 0);
    }
}

TEST(BlockOps, AdamWIn8BitsEqualsItsTextToTheBit) {
  if (!test_device().is_cuda()) GTEST_SKIP() << "a GPU's";
  constexpr int64_t count = 3000 * 256;   // more blocks than the kernel launches at once
  const auto on = [&](at::Device device) {
    at::manual_seed(4);
    const Tensor values = at::randn({count}).to(device);
    const Moments8 moments = zero_moments8(count, device);
    for (int t = 1; t <= 5; ++t) {
      const Tensor gradients = (at::randn({count}) * at::exp(3 * at::randn({count}))).to(device);
      const auto scalar = [&](double value) { return at::full({}, value, values.options()); };
      adamw_8bit(values, gradients, moments, {1e-2, 0.9, 0.999, 1e-8, 0.1, scalar(t), scalar(1.5), scalar(t == 3)});
    }
    return std::vector<Tensor>{values.cpu(), moments.average.cpu(), moments.square.cpu(), moments.average_max.cpu(), moments.square_max.cpu()};
  };
  const auto text = on(at::kCPU), kernel = on(test_device());
  for (size_t i = 0; i < text.size(); ++i) EXPECT_TRUE(kernel[i].equal(text[i])) << i << ": " << kernel[i].ne(text[i]).sum().item<int64_t>() << " differ";
}

TEST(BlockOps, SumsOverTokens) {
  if (!test_device().is_cuda()) GTEST_SKIP() << "a GPU's";
  for (const auto dtype : {at::kBFloat16, at::kHalf})
    for (const int64_t tokens : {1, 31, 100, 4096})
      for (const auto& [first, second] : {std::pair<int64_t, int64_t>{48, 56}, {576, 960}, {136, 8}}) {
        const Tensor wide[] = {rows_in_wider(tokens, first, 64, dtype, 1), rows_in_wider(tokens, second, 8, dtype, 2)};
        const Tensor narrow[] = {rows_in_wider(tokens, 128, 16, dtype, 3), rows_in_wider(tokens, 128, 0, dtype, 4)};   // two blocks of columns
        const int64_t columns = first + second;
        const int parts = kernels::token_sum_parts(tokens, columns);
        const Tensor sums = at::full({parts, 128, columns}, std::nan(""), wide[0].options().dtype(at::kFloat));
        std::vector<kernels::TokenSum> all;
        for (const int64_t row : {0, 64}) {
          all.push_back({matrix_of(narrow[0].narrow(1, row, 64)), matrix_of(wide[0]), first, row, 0});
          all.push_back({matrix_of(narrow[1].narrow(1, row, 64)), matrix_of(wide[1]), second, row, first});
        }
        kernels::token_sums_cuda(all.data(), 4, {sums.mutable_data_ptr<float>(), parts, 128, columns}, real_type(wide[0]), tokens, current_stream(sums));
        const Tensor expected = at::cat({at::mm(exact(narrow[0]).t(), exact(wide[0])), at::mm(exact(narrow[1]).t(), exact(wide[1]))}, 1);
        EXPECT_LT(relative(sums.sum(0), expected), 1e-6) << tokens << " " << first << " " << dtype << " in " << parts << " parts";
      }
}

/// Texts of rows, each row's first of `shared` tokens seen by all of it.
struct TextRows {
  int64_t rows, columns;
  std::vector<int32_t> starts;
  int64_t longest, shared = 0;
};

/// As the mask of their segments has it, by autograd and by a pass.
void expect_text_by_text(const TextRows& texts, at::ScalarType dtype, int64_t dim) {
  const auto& [rows, columns, starts, longest, shared] = texts;
  const int64_t heads = 4, kv_heads = 2;
  const ScoreRule rule{0.3};
  if (!attends_by_text(test_device(), dtype, dim, rule)) return;
  Tensor segments = at::empty({rows * columns}, at::kLong), positions = at::empty({rows * columns}, at::kLong);
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    const bool is_shared = shared > 0 && starts[i] % columns == 0;
    for (int32_t t = starts[i]; t < starts[i + 1]; ++t)
      segments[t] = is_shared ? everyone : static_cast<int64_t>(i), positions[t] = t - starts[i] + (is_shared ? 0 : shared);
  }
  segments = segments.view({rows, columns}), positions = positions.view({rows, columns});
  const auto random = [&](int64_t own, uint64_t seed) { return rows_in_wider(rows * columns, own * dim, 8, dtype, seed).view({rows, columns, own, dim}); };
  std::vector<Tensor> given{random(heads, 1), random(kv_heads, 2), random(kv_heads, 3)}, wide, leaves;
  for (const Tensor& x : given) wide.push_back(exact(x).requires_grad_(true)), leaves.push_back(x.clone().requires_grad_(true));
  const Tensor grad = random(heads, 4).clone(), expected = attention_text(wide[0], wide[1], wide[2], {false, visible(segments, positions, segments, positions)}, rule);
  const Tensor bounds = at::tensor(TextPlaces{starts, longest, columns, shared}.bounds(), at::kInt).view({-1, 2});
  const AttentionMask mask{false, {}, {at::tensor(starts, at::kInt).to(test_device()), longest, bounds.to(test_device()), shared}};
  const Tensor out = attention(leaves[0], leaves[1], leaves[2], mask, rule);
  torch::autograd::backward({expected}, {exact(grad).view(expected.sizes())});
  torch::autograd::backward({out}, {grad.view(out.sizes())});
  const auto pass = attention_pass(given[0], given[1], given[2], mask, rule);
  const auto grads = pass->backward(grad, given[0], given[1], given[2]);
  const std::string which = fmt::format("{} of {} columns, {} rows of {}, {} shared", at::toString(dtype), dim, rows, columns, shared);
  EXPECT_LT(relative(out.detach(), expected.detach()), 2 * bound(dtype)) << which;
  EXPECT_LT(relative(pass->out().reshape(out.sizes()), expected.detach()), 2 * bound(dtype)) << which;
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_LT(relative(leaves[i].grad(), wide[i].grad()), 4 * bound(dtype)) << which << ", input " << i;
    EXPECT_LT(relative(grads[i], wide[i].grad()), 4 * bound(dtype)) << which << ", input " << i;
  }
}

constexpr std::pair<at::ScalarType, int64_t> text_heads[] = {{at::kFloat, 16}, {at::kBFloat16, 16}, {at::kHalf, 16}, {at::kBFloat16, 64}, {at::kHalf, 128}};

/// Two rows of texts, the last one padding, and two empty ones behind them.
TEST(BlockOps, AttentionTextByText) {
  for (const auto& [dtype, dim] : text_heads) expect_text_by_text({2, 70, {0, 5, 6, 50, 70, 100, 139, 140, 140, 140}, 48}, dtype, dim);
}

/// What is shared ends within a tile, with one, behind one; texts that begin beside it and far behind; two such rows.
TEST(BlockOps, AttentionToASharedBeginning) {
  for (const auto& [dtype, dim] : text_heads) {
    expect_text_by_text({1, 300, {0, 5, 9, 60, 64, 150, 151, 280, 300, 300}, 136, 5}, dtype, dim);
    expect_text_by_text({1, 300, {0, 64, 70, 127, 128, 200, 300}, 104, 64}, dtype, dim);
    expect_text_by_text({1, 500, {0, 133, 140, 191, 192, 320, 470, 500}, 152, 133}, dtype, dim);
    expect_text_by_text({2, 70, {0, 20, 21, 70, 90, 120, 139, 140, 140}, 52, 20}, dtype, dim);
  }
}

Tensor numbers_of(const Fp8Rows& rows) { return rows.values.cpu().to(at::kDouble) * rows.scales.cpu().to(at::kDouble); }

/// A row's largest number becomes 448; rows that a thread holds in a few accesses, in many, and longer ones.
TEST(BlockOps, RowsInEightBits) {
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 16}, {37, 576}, {5, 4096}, {5, 14336}, {5, 28672}, {5, 33024}}) {
      Tensor x = rows_in_wider(rows, columns, 64, dtype, 1);
      if (rows > 1) x[1].zero_(), x[0].mul_(1e-3), x[2].mul_(1e4);
      const Fp8Rows codes = to_fp8(x);
      EXPECT_LT(((numbers_of(codes) - exact(x)).abs() - exact(x).abs() / 16).max().item<double>(), exact(x).abs().max().item<double>() / 448 / 512) << dtype;   // three bits of mantissa
      const Tensor most = std::get<0>(codes.values.cpu().to(at::kFloat).abs().max(1));
      for (int64_t row = 0; row < rows; ++row) EXPECT_NEAR(most[row].item<double>(), row == 1 ? 0 : 448, 1e-9) << dtype << " " << columns << " " << row;
    }
  Tensor x = at::ones({2, 16}, at::TensorOptions(at::kBFloat16).device(test_device()));
  x[0][3] = std::nan("");
  const Tensor scales = to_fp8(x).scales.cpu();
  EXPECT_TRUE(std::isnan(scales[0][0].item<float>()));
  EXPECT_FLOAT_EQ(scales[1][0].item<float>(), 1.0f / 448);
}

/// Columns by known scales are the rows of the turned matrix, but where a number lies between two codes.
TEST(BlockOps, ColumnsInEightBits) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf})
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{16, 16}, {576, 192}, {144, 1536}, {4096, 80}}) {
      Tensor x = rows_in_wider(rows, columns, 64, dtype, 1);
      x.select(1, 3).zero_(), x.select(1, 5).mul_(30), x.select(1, 7).mul_(1e-3);
      const Fp8Rows expected = to_fp8(x.t().contiguous()), turned = turned_to_fp8(x, expected.scales);
      const Tensor unlike = turned.values.cpu().view(at::kByte).ne(expected.values.cpu().view(at::kByte)).sum();
      EXPECT_LE(unlike.item<double>(), 1e-3 * static_cast<double>(x.numel())) << dtype << " " << rows << " x " << columns;
      EXPECT_LT(((numbers_of(turned) - exact(x).t()).abs() - exact(x).t().abs() / 16).max().item<double>(), exact(x).abs().max().item<double>() / 448 / 512) << dtype;
      const Tensor by_text = (x.cpu().t().to(at::kFloat) * expected.scales.cpu().reciprocal()).to(at::kFloat8_e4m3fn);
      EXPECT_TRUE(turned.values.cpu().view(at::kByte).equal(by_text.contiguous().view(at::kByte))) << dtype << " " << rows << " x " << columns;
    }
}

/// The product is that of the rounded numbers, alone, onto another matrix and onto itself.
TEST(BlockOps, ProductsInEightBits) {
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const auto& [rows, columns, out] : {std::tuple<int64_t, int64_t, int64_t>{1, 16, 16}, {37, 576, 96}, {300, 1536, 64}}) {
      const Tensor x = rows_in_wider(rows, columns, 64, dtype, 1), weights = rows_in_wider(out, columns, 0, dtype, 2), added = rows_in_wider(rows, out, 8, dtype, 3);
      if (rows > 1) x[1].zero_(), x[0].mul_(1e-3), x[2].mul_(1e4);
      const Fp8Rows x8 = to_fp8(x), w8 = to_fp8(weights);
      const Tensor y = rows_in_wider(rows, out, 64, dtype, 4), sum = rows_in_wider(rows, out, 64, dtype, 5), itself = added.clone();
      fp8_product_into(x8, w8, y), fp8_product_into(x8, w8, sum, added), fp8_product_into(x8, w8, itself, itself);
      const Tensor product = at::mm(numbers_of(x8), numbers_of(w8).t());
      EXPECT_LT(relative(y, product), 2 * bound(dtype)) << dtype << " " << rows;   // fast accumulation keeps 14 bits
      EXPECT_LT(relative(y, at::mm(exact(x), exact(weights).t())), 0.06);
      for (const Tensor& both : {sum, itself}) EXPECT_LT(relative(both, product + exact(added)), 2 * bound(dtype)) << dtype << " " << rows;
    }
}

TEST(BlockOps, ColumnsScaledAndBack) {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16})
    for (const int64_t columns : {37, 64, 1032})
      for (const int64_t rows : {1, 70, 600}) {
        const Tensor z = rows_in_wider(rows, columns, 8, dtype, 1), gain = rows_in_wider(1, columns, 0, dtype, 2)[0], bias = rows_in_wider(1, columns, 0, dtype, 3)[0];
        const Tensor grad = rows_in_wider(rows, columns, 16, dtype, 5), y = z.clone();
        scale_columns(y, gain);
        EXPECT_LT(relative(y, exact(z) * exact(gain)), bound(dtype)) << dtype << " " << columns;
        const Tensor z_grad = at::empty_like(grad), in_place = grad.clone(), products = scale_columns_backward(grad, y, bias, gain, z_grad);
        EXPECT_LT(relative(z_grad, exact(grad) * exact(gain)), bound(dtype));
        EXPECT_LT(relative(products.sum(0), (exact(grad) * (exact(y) - exact(bias))).sum(0)), 1e-5) << dtype << " " << columns << " " << rows;
        scale_columns_backward(in_place, y, {}, gain, in_place);
        EXPECT_TRUE(in_place.equal(z_grad));
      }
}

}  // namespace
}  // namespace graft::testing
