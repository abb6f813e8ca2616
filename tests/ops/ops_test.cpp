// Kernels against their texts in float64, and the promises of the ops.
#include <gtest/gtest.h>

#include <torch/csrc/autograd/autograd.h>

#include <mutex>
#include <set>
#include <thread>

#include "graft/core/runtime.h"
#include "graft/ops/attention.h"
#include "graft/ops/dropout.h"
#include "graft/ops/launch.h"
#include "graft/ops/linear_cross_entropy.h"
#include "graft/ops/norm.h"
#include "graft/ops/product.h"
#include "graft/ops/recompute.h"
#include "graft/ops/rope.h"
#include "graft/ops/row_gain.h"
#include "graft/ops/swiglu.h"
#include "graft/quant/weight.h"

namespace graft {
namespace {

double relative(const Tensor& value, const Tensor& reference) {
  const Tensor r = reference.to(at::kDouble);
  return ((value.to(at::kDouble) - r).norm() / r.norm()).item<double>();
}

double largest_difference(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

double bound(at::ScalarType dtype) { return dtype == at::kFloat ? 1e-6 : dtype == at::kBFloat16 ? 6e-3 : 8e-4; }

/// A function's output and gradients for fixed output gradients, in the given type.
template <class F>
std::vector<Tensor> run(at::ScalarType dtype, const std::vector<Tensor>& inputs, F&& f) {
  std::vector<Tensor> leaves;
  for (const auto& input : inputs) leaves.push_back(input.to(dtype).detach().requires_grad_(true));
  const Tensor y = f(leaves);
  at::manual_seed(3);
  torch::autograd::backward({y}, {at::randn(y.sizes(), at::kDouble).to(dtype)});
  std::vector<Tensor> out{y.detach()};
  for (const auto& leaf : leaves) out.push_back(leaf.grad());
  return out;
}

/// Inputs are rounded to `dtype` first, so that the error is the kernel's own.
template <class F, class G>
void compare(const std::vector<Tensor>& inputs, F&& kernel, G&& text) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    std::vector<Tensor> rounded;
    for (const auto& input : inputs) rounded.push_back(input.to(dtype));
    const auto got = run(dtype, rounded, kernel), expected = run(at::kDouble, rounded, text);
    for (size_t i = 0; i < got.size(); ++i) EXPECT_LT(relative(got[i], expected[i]), bound(dtype)) << at::toString(dtype) << " output " << i;
  }
}

/// Two packed segments whose positions restart, padding, and a prefix of two in front.
TEST(Ops, AWindowCountsPositionsInASegment) {
  const Tensor segments = at::tensor({0, 0, 0, 0, 1, 1, 1, -1}, at::kLong).unsqueeze(0), positions = at::tensor({2, 3, 4, 5, 2, 3, 4, 5}, at::kLong).unsqueeze(0);
  const Tensor keys = at::cat({at::full({1, 2}, everyone, at::kLong), segments}, 1), places = at::cat({at::tensor({0, 1}, at::kLong).unsqueeze(0), positions}, 1);
  const Tensor seen = visible(segments, positions, keys, places, 3)[0][0];
  for (int64_t q = 0; q < 8; ++q)
    for (int64_t k = 0; k < 10; ++k) {
      const bool padding = q == 7, prefix = k < 2;
      const int64_t distance = positions[0][q].item<int64_t>() - places[0][k].item<int64_t>();
      const bool same = !prefix && segments[0][q].item<int64_t>() == keys[0][k].item<int64_t>();
      EXPECT_EQ(seen[q][k].item<bool>(), padding ? k == 9 : (prefix || same) && distance >= 0 && distance < 3) << q << " " << k;
    }
}

TEST(Ops, AttentionMatchesItsText) {
  at::manual_seed(3);
  const Tensor q = at::randn({2, 5, 6, 8}), k = at::randn({2, 5, 2, 8}), v = at::randn({2, 5, 2, 8});
  const ScoreRule scaled{0.5, 0}, capped{0.5, 0.1};
  EXPECT_LT(largest_difference(attention(q, k, v, {}, scaled), attention_text(q, k, v, {}, scaled)), 1e-5);
  EXPECT_GT(largest_difference(attention(q, k, v, {}, capped), attention(q, k, v, {}, scaled)), 0.1);
  // By hand, for the last query of a head: all keys are seen.
  const Tensor scores = at::matmul(k[1].select(1, 1), q[1][4][5]) * 0.5, weights = at::softmax(at::tanh(scores / 0.1) * 0.1, 0);
  EXPECT_LT(largest_difference(attention(q, k, v, {}, capped)[1][4].slice(0, 40, 48), at::matmul(weights, v[1].select(1, 1))), 1e-5);
}

/// Two rows of three texts behind what they share, padding at the end of one.
TEST(Ops, AttentionToASharedBeginningMatchesItsTextInFloat64) {
  at::manual_seed(7);
  constexpr int64_t shared = 5, columns = 140, dim = 16;
  const int64_t ends[2][3] = {{70, 72, 140}, {6, 90, 120}};
  Tensor segments = at::full({2, columns}, -1, at::kLong), positions = at::zeros({2, columns}, at::kLong);
  std::vector<int32_t> starts;
  for (int64_t row = 0; row < 2; ++row) {
    int64_t begin = 0, position = 0;
    const auto text = [&](int64_t end, int64_t segment) {
      if (begin < end) starts.push_back(static_cast<int32_t>(row * columns + begin));
      segments[row].slice(0, begin, end).fill_(segment);
      positions[row].slice(0, begin, end).copy_(at::arange(position, position + end - begin));
      begin = end, position = shared;
    };
    text(shared, everyone);
    for (const int64_t end : ends[row]) text(end, end);
    text(columns, -1);
  }
  starts.push_back(2 * columns);
  AttentionMask by_text;
  by_text.texts = {at::tensor(starts, at::kInt), 84, {}, shared};
  const AttentionMask by_mask{false, visible(segments, positions, segments, positions)};
  const Tensor real = segments.ne(-1).unsqueeze(2);   // who padding sees does not matter
  const auto heads = [](auto& in) { return std::tuple{in[0].slice(2, 0, 4), in[0].slice(2, 4, 6), in[0].slice(2, 6, 8)}; };
  compare({at::randn({2, columns, 8, dim}, at::kDouble)}, [&](auto& in) { const auto [q, k, v] = heads(in); return attention(q, k, v, by_text) * real; },
          [&](auto& in) { const auto [q, k, v] = heads(in); return attention_text(q, k, v, by_mask) * real; });
}

/// More queries than a block, heads in wider rows, columns that fill no panel; queries that see nobody get zeros and give nothing.
TEST(Ops, AttentionOnTheCpuMatchesItsTextInFloat64) {
  at::manual_seed(5);
  const ScoreRule rule{0.3};
  for (const int64_t dim : {8, 40, 64})
    for (const int64_t queries : {9, 64, 147}) {
      const Tensor qkv = at::randn({2, queries, 6 + 2 + 2, dim}, at::kDouble), in_front = at::randn({2, 5, 4, dim}, at::kDouble);
      const auto causal = [&](auto& in) { return std::tuple{in[0].slice(2, 0, 6), in[0].slice(2, 6, 8), in[0].slice(2, 8, 10)}; };
      compare({qkv}, [&](auto& in) { const auto [q, k, v] = causal(in); return attention(q, k, v, {}, rule); },
              [&](auto& in) { const auto [q, k, v] = causal(in); return attention_text(q, k, v, {}, rule); });
      // A prefix of five that all see, then what chance says.
      const Tensor chance = at::rand({2, 1, queries, queries}).gt(0.6), allowed = at::cat({at::ones({2, 1, queries, 5}, at::kBool), chance}, 3);
      const auto prefixed = [&](auto& in) {
        return std::tuple{in[0].slice(2, 0, 6), at::cat({in[1].slice(2, 0, 2), in[0].slice(2, 6, 8)}, 1), at::cat({in[1].slice(2, 2, 4), in[0].slice(2, 8, 10)}, 1)};
      };
      compare({qkv, in_front}, [&](auto& in) { const auto [q, k, v] = prefixed(in); return attention(q, k, v, {false, allowed}, rule); },
              [&](auto& in) { const auto [q, k, v] = prefixed(in); return attention_text(q, k, v, {false, allowed}, rule); });
    }
  const Tensor q = at::randn({1, 12, 2, 8}).requires_grad_(true);
  Tensor nobody = at::ones({1, 1, 12, 12}, at::kBool);
  nobody[0][0][3].fill_(false);
  const Tensor out = attention(q, q, q, {false, nobody});
  torch::autograd::backward({out.sum()}, {});
  EXPECT_EQ(out[0][3].abs().max().item<float>(), 0);
  EXPECT_TRUE(at::isfinite(q.grad()).all().item<bool>());
}

TEST(Ops, ProductsOfAnyLayout) {
  at::manual_seed(6);
  const Tensor wide = at::randn({96, 160}), x = at::randn({70, 3, 96}), turned = at::randn({96, 210}).t();
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kDouble})
    for (const Tensor& weight : {wide.slice(1, 0, 96), wide.slice(1, 0, 96).clone(), wide.slice(1, 32, 128).t(), at::randn({96, 4}).t(), at::randn({2, 96})})
      for (const Tensor& input : {x, x[0].slice(0, 0, 1), turned}) {
        const Tensor w = weight.to(dtype), in = input.to(dtype), got = product(in, w);
        EXPECT_LT(relative(got, at::linear(in.to(at::kDouble), w.to(at::kDouble))), bound(dtype)) << weight.strides() << " " << input.sizes();
        EXPECT_EQ(got.scalar_type(), dtype);
      }
}

TEST(Ops, RmsNormMatchesItsText) {
  at::manual_seed(1);
  for (const int64_t columns : {7, 16, 48, 576}) {
    const Tensor weight = at::randn({columns}, at::kDouble).to(at::kHalf).to(at::kBFloat16).to(at::kDouble);
    compare({at::randn({5, 3, columns}, at::kDouble)}, [&](auto& in) { return rms_norm(in[0], weight.to(in[0].scalar_type()), 1e-5); },
            [&](auto& in) { return rms_norm_text(in[0], weight, 1e-5); });
  }
}

TEST(Ops, SwigluMatchesItsTextAndSurvivesLargeValues) {
  at::manual_seed(1);
  for (const int64_t columns : {1, 33, 1536})
    compare({at::randn({4, columns}, at::kDouble) * 3, at::randn({4, columns}, at::kDouble)}, [](auto& in) { return swiglu(in[0], in[1]); },
            [](auto& in) { return swiglu_text(in[0], in[1]); });
  const Tensor huge = at::tensor({-1e4f, -100.0f, 0.0f, 100.0f, 1e4f});
  const Tensor y = swiglu(huge, at::ones({5}));
  EXPECT_TRUE(at::allclose(y, at::silu(huge), 1e-5, 1e-30)) << y;
}

TEST(Ops, RotationMatchesItsTextAndIsUndoneByItsGradient) {
  at::manual_seed(1);
  const Tensor positions = at::randint(4000, {2, 5}, at::kLong);
  for (const char* type : {"default", "linear", "llama3", "yarn"}) {
    const RopeSpec spec{.type = type, .theta = 500000, .factor = 8, .original_max_position = 48};
    const Rotation at_positions = rotation_at(positions, rope_frequencies(spec, 16), std::string(type) == "yarn" ? 1.2 : 1);
    const Rotation wide{at_positions.cosine.to(at::kDouble), at_positions.sine.to(at::kDouble)};
    compare({at::randn({2, 5, 3, 16}, at::kDouble)}, [&](auto& in) { return rotate(in[0], at_positions); },
            [&](auto& in) { return rotate_text(in[0], wide); });
  }
}

TEST(Ops, ColumnsBehindTheRotatedShareStay) {
  at::manual_seed(1);
  const Tensor x = at::randn({1, 5, 3, 16}), positions = at::arange(5, at::kLong).unsqueeze(0);
  const Tensor y = rotate(x, rotation_at(positions, rope_frequencies({.rotated_share = 0.75}, 16)));
  EXPECT_TRUE(at::equal(y.slice(3, 12, 16), x.slice(3, 12, 16)));
  EXPECT_TRUE(at::equal(y.slice(3, 0, 12), rotate(x.slice(3, 0, 12), rotation_at(positions, rope_frequencies({}, 12)))));
}

/// Each text has the frequencies of its own length, whatever lies beside it.
TEST(Ops, FrequenciesOfLongTexts) {
  const RopeSpec dynamic{.type = "dynamic", .factor = 2, .max_position = 16};
  const RopeSpec longrope{.type = "longrope", .original_max_position = 16, .short_factor = {1, 1, 1, 1}, .long_factor = {1, 2, 3, 4}};
  const Tensor lengths = at::tensor({5, 16, 17, 40}, at::kLong);
  for (const RopeSpec& spec : {dynamic, longrope}) {
    const Tensor each = rope_frequencies(spec, 8, lengths), plain = rope_frequencies({}, 8);
    EXPECT_TRUE(at::allclose(each[0], plain, 1e-6) && at::allclose(each[1], plain, 1e-6)) << spec.type;
    EXPECT_LT(each[2][3].item<float>(), plain[3].item<float>()) << spec.type;
    EXPECT_FLOAT_EQ(each[3][0].item<float>(), 1) << spec.type;
    EXPECT_TRUE(same_frequencies(spec, 5, 16)) << spec.type;
    EXPECT_FALSE(same_frequencies(spec, 16, 17)) << spec.type;
  }
  EXPECT_TRUE(same_frequencies(longrope, 17, 40));
  EXPECT_FALSE(same_frequencies(dynamic, 17, 40));
}

TEST(Ops, DropoutIsAFunctionOfSampleAndPosition) {
  at::manual_seed(1);
  const Tensor x = at::rand({2, 6, 10}) + 0.5;
  const Tensor segments = at::tensor({5, 5, 5, 5, 5, 5, 9, 9, 9, 9, 9, 9}, at::kLong).view({2, 6});
  const Tensor positions = at::arange(6, at::kLong).expand({2, 6}).contiguous();
  const kernels::DropoutKey key{42, 7, 3};
  const Tensor y = dropout(x, 0.5, key, segments, positions);
  // The same sample in another row, among others: the same mask.
  const Tensor alone = dropout(x.slice(0, 1, 2), 0.5, key, segments.slice(0, 1, 2), positions.slice(0, 1, 2));
  EXPECT_TRUE(at::equal(y.slice(0, 1, 2), alone));
  EXPECT_FALSE(at::equal(y.select(0, 0).eq(0), y.select(0, 1).eq(0)));
  EXPECT_FALSE(at::equal(y, dropout(x, 0.5, {42, 7, 4}, segments, positions)));   // another step
  EXPECT_FALSE(at::equal(y, dropout(x, 0.5, {42, 8, 3}, segments, positions)));   // another site
  EXPECT_FALSE(at::equal(y, dropout(x, 0.5, {43, 7, 3}, segments, positions)));   // another seed
  const Tensor kept = y.ne(0);
  EXPECT_TRUE(at::allclose(y.masked_select(kept), x.masked_select(kept) * 2));
  const Tensor large = at::ones({1, 1000, 100});
  const Tensor share = dropout(large, 0.3, key, at::zeros({1, 1000}, at::kLong), at::arange(1000, at::kLong).unsqueeze(0)).ne(0).to(at::kDouble).mean();
  EXPECT_NEAR(share.item<double>(), 0.7, 0.01);
}

TEST(Ops, DropoutOnTheGpuIsTheCpusToTheBit) {
  if (!cuda_fault().empty()) GTEST_SKIP() << cuda_fault();
  at::manual_seed(1);
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const int64_t columns : {1, 7, 64, 577}) {
      const Tensor x = at::randn({3, 50, columns}).to(dtype);
      const Tensor segments = at::randint(1'000'000'000'000, {3, 50}, at::kLong), positions = at::randint(100'000, {3, 50}, at::kLong);
      const kernels::DropoutKey key{0x123456789abcdefULL, 77, 5};
      const Tensor there = dropout(x.cuda(), 0.3, key, segments.cuda(), positions.cuda());
      EXPECT_TRUE(at::equal(there.cpu(), dropout(x, 0.3, key, segments, positions))) << at::toString(dtype) << columns;
    }
  }
}

TEST(Ops, ChunkedLossEqualsTheFullOne) {
  at::manual_seed(1);
  const Tensor hidden = at::randn({loss_chunk_rows + 37, 12}, at::kDouble) * 5, head = at::randn({50, 12}, at::kDouble);
  const Tensor targets = at::randint(50, {loss_chunk_rows + 37}, at::kLong);
  const DenseWeight weight(head);
  const auto full = run(at::kDouble, {hidden}, [&](auto& in) { return at::nll_loss(at::log_softmax(at::linear(in[0], head), 1), targets, {}, at::Reduction::Sum) * 0.25; });
  const auto fused = run(at::kDouble, {hidden}, [&](auto& in) { return linear_cross_entropy(in[0], frozen_head(weight), targets, 0.25); });
  const auto generic = run(at::kDouble, {hidden}, [&](auto& in) {
    return chunked_cross_entropy(in[0], [&](const Tensor& h, int64_t) { return at::linear(h, head); }, targets, 0.25);
  });
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_LT(relative(fused[i], full[i]), 1e-12);
    EXPECT_LT(relative(generic[i], full[i]), 1e-12);
  }
}

TEST(Ops, SmoothedLossEqualsTorchAndItsSlope) {
  at::manual_seed(1);
  const Tensor hidden = at::randn({loss_chunk_rows + 37, 12}, at::kDouble) * 2, head = at::randn({50, 12}, at::kDouble);
  const Tensor targets = at::randint(50, {loss_chunk_rows + 37}, at::kLong);
  targets.slice(0, 3, std::nullopt, 5).fill_(-100);
  const DenseWeight weight(head);
  const auto logits = [&](const Tensor& h, int64_t) { return at::linear(h, head); };
  for (const double smoothing : {0.0, 0.1, 0.6}) {
    const double part = 1 / targets.ge(0).sum().item<double>();   // so that it is the mean over targets
    const auto loss_of = [&](const Tensor& h) { return linear_cross_entropy(h, frozen_head(weight), targets, part, smoothing); };
    const auto full = run(at::kDouble, {hidden}, [&](auto& in) { return at::cross_entropy_loss(logits(in[0], 0), targets, {}, at::Reduction::Mean, -100, smoothing); });
    const auto fused = run(at::kDouble, {hidden}, [&](auto& in) { return loss_of(in[0]); });
    const auto generic = run(at::kDouble, {hidden}, [&](auto& in) { return chunked_cross_entropy(in[0], logits, targets, part, smoothing); });
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_LT(relative(fused[i], full[i]), 1e-12) << smoothing;
      EXPECT_LT(relative(generic[i], full[i]), 1e-12) << smoothing;
    }
    const Tensor leaf = hidden.detach().requires_grad_(true), direction = at::randn_like(hidden);
    torch::autograd::backward({loss_of(leaf)}, {});
    const double h = 1e-4, slope = (loss_of(hidden + h * direction) - loss_of(hidden - h * direction)).item<double>() / (2 * h);
    EXPECT_NEAR((leaf.grad() * direction).sum().item<double>() / slope, 1, 1e-6) << smoothing;
  }
}

TEST(Ops, LossSurvivesLogitsOfTenThousand) {
  const DenseWeight weight(at::eye(4) * 1e4);
  const Tensor hidden = at::eye(4).requires_grad_(true);
  const Tensor loss = linear_cross_entropy(hidden, frozen_head(weight), at::tensor({0, 1, 2, 0}, at::kLong), 1);
  torch::autograd::backward({loss}, {});
  EXPECT_NEAR(loss.item<double>(), 1e4, 1);
  EXPECT_TRUE(at::isfinite(hidden.grad()).all().item<bool>());
}

TEST(Ops, MaskedAttentionEqualsCausalAndPaddingStaysFinite) {
  at::manual_seed(1);
  const Tensor q = at::randn({2, 7, 6, 8}), k = at::randn({2, 7, 2, 8}), v = at::randn({2, 7, 2, 8});
  Tensor segments = at::zeros({2, 7}, at::kLong);
  segments[1].slice(0, 3).fill_(-1);
  const Tensor positions = at::arange(7, at::kLong).expand({2, 7}).contiguous();
  const Tensor causal = attention(q, k, v, {}), masked = attention(q, k, v, {false, visible(segments, positions, segments, positions)});
  EXPECT_LT((causal[0] - masked[0]).abs().max().item<double>(), 1e-5);
  EXPECT_LT((causal[1].slice(0, 0, 3) - masked[1].slice(0, 0, 3)).abs().max().item<double>(), 1e-5);
  EXPECT_TRUE(at::isfinite(masked).all().item<bool>());
}

TEST(Ops, PackedSegmentsDoNotSeeEachOther) {
  at::manual_seed(1);
  const Tensor q = at::randn({1, 8, 2, 4}), k = at::randn({1, 8, 2, 4}), v = at::randn({1, 8, 2, 4});
  const Tensor segments = at::tensor({0, 0, 0, 1, 1, 1, 1, 1}, at::kLong).unsqueeze(0);
  const Tensor positions = at::tensor({0, 1, 2, 0, 1, 2, 3, 4}, at::kLong).unsqueeze(0);
  const Tensor packed = attention(q, k, v, {false, visible(segments, positions, segments, positions)});
  const auto part = [](const Tensor& x) { return x.slice(1, 3); };
  EXPECT_LT((part(packed) - attention(part(q), part(k), part(v), {})).abs().max().item<double>(), 1e-5);
}

TEST(Ops, RecomputeGivesTheSameGradientsToTheBit) {
  at::manual_seed(1);
  const Tensor x = at::randn({3, 8}), w = at::randn({8, 8});
  const auto block = [](const Tensor& weight) { return [weight](const Tensor& y) { return at::tanh(at::linear(y, weight)) + y; }; };
  const auto gradients = [&](bool again) {
    const Tensor input = x.clone().requires_grad_(true), weight = w.clone().requires_grad_(true);
    const Tensor y = again ? recompute(input, block(weight)) : block(weight)(input);
    torch::autograd::backward({y.square().sum()}, {});
    return std::pair(input.grad(), weight.grad());
  };
  const auto plain = gradients(false), again = gradients(true);
  EXPECT_TRUE(at::equal(plain.first, again.first));
  EXPECT_TRUE(at::equal(plain.second, again.second));
}

TEST(Threads, RowsAreCutOverThem) {
  if (at::get_num_threads() == 1) GTEST_SKIP() << "one thread";
  std::set<std::thread::id> seen;
  std::mutex mutex;
  for_rows(1 << 16, 64, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(seen.size(), static_cast<size_t>(at::get_num_threads()));   // at::parallel_for is serial where OpenMP is not switched on
}

/// The GPU's kernels against the text (on the CPU the two are one, so float64 is the reference there).
TEST(RowGain, EqualsItsTextInFloat64) {
  at::manual_seed(3);
  const int64_t rows = 37, in = 20, out = 70, rank = 5;
  const char* device = std::getenv("GRAFT_TEST_DEVICE");   // the same binary is the GPU's suite
  const auto random = [&](at::IntArrayRef shape) { return at::randn(shape).to(device_from_name(device ? device : "cpu")); };
  const Tensor w = random({out, in}), a = random({rank, in}), b = random({out, rank}), magnitude = random({out}).abs() + 0.5;
  const double scale = 0.7;
  const Tensor norm = at::linalg_vector_norm((w.to(at::kDouble) + scale * at::mm(b.to(at::kDouble), a.to(at::kDouble))), 2, at::IntArrayRef{1});
  const Tensor gain = row_gain(magnitude, w.square().sum(1), at::mm(a, w.t()), a, b, scale, w);
  EXPECT_LT(((gain.to(at::kDouble) - magnitude / norm) / (magnitude / norm)).abs().max().item<double>(), 1e-5);
  const Tensor z = random({rows, out}), grad = random({rows, out});
  const auto [z_grad, magnitude_grad] = row_gain_backward(grad, z * gain, gain, magnitude);
  EXPECT_LT((z_grad - grad * gain).abs().max().item<double>(), 1e-6);
  const Tensor expected = (grad.to(at::kDouble) * z.to(at::kDouble)).sum(0) / norm;
  EXPECT_LT((magnitude_grad - expected).abs().max().item<double>(), 1e-4);
}

}  // namespace
}  // namespace graft
