// What quantising costs, and its edges.
#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "quant/support.h"

namespace graft::testing {
namespace {

TEST(Error, SignalToNoiseOnGaussianWeights) {
  // by an integral over the normal distribution, at blocks of 64 (benchmarks/acceptance/low_bit_base.sh computes the rest)
  const Tensor x = gaussian({4096, 1024});
  const std::map<std::string, double> expected{{"nf4", 20.73}, {"fp4", 18.27}, {"int4_affine", 20.81}};
  for (const auto& [format, db] : expected) EXPECT_NEAR(signal_to_noise(x, dequantize(quantize(x, scheme(format), "x"), at::kFloat)), db, 0.03) << format;
}

TEST(Error, GrowsSlowlyWithTheBlock) {
  const Tensor x = gaussian({64, 1024});
  for (const Format* format : formats()) {
    if (format->only_usual && format->usual != Grouping::block) continue;
    double before = 0;
    for (int block = 32; block <= 4096; block *= 2) {
      const Tensor y = dequantize(quantize(x, scheme(format->name, block, false, "block"), "x"), at::kFloat);
      const double error = (x - y).square().mean().item<double>();
      if (before > 0) {
        EXPECT_LE(error, 1.3 * before) << format->name << " " << block;
        EXPECT_GE(error, before) << format->name << " " << block;
      }
      before = error;
    }
  }
}

TEST(DoubleQuantization, CostsAnEighthOfABitAtBlocksOf64) {
  const Tensor x = gaussian({256, 1024});
  const QuantizedTensor plain = quantize(x, scheme("nf4"), "x"), doubly = quantize(x, scheme("nf4", 64, true), "x");
  const auto overhead = [&](const QuantizedTensor& q) { return 8.0 * static_cast<double>(q.bytes()) / static_cast<double>(x.numel()) - 4; };
  EXPECT_DOUBLE_EQ(overhead(plain), 0.5);
  EXPECT_NEAR(overhead(doubly), 0.127, 0.0005);
  EXPECT_TRUE(at::equal(plain.codes, doubly.codes));
  EXPECT_NEAR(doubly.offset, plain.scale.to(at::kDouble).mean().item<double>(), 1e-6);
  // a scale comes back within half the map's widest step, 1/64 of the largest deviation
  const double worst = (plain.scale - doubly.offset).abs().max().item<double>() / 64;
  const Tensor values = dequantize(doubly, at::kFloat), exact = dequantize(plain, at::kFloat);
  EXPECT_LE((values - exact).abs().max().item<double>(), worst);
  EXPECT_GT(signal_to_noise(x, values), 20.6);
}

TEST(Clip, LessErrorThanNone) {
  Tensor x = gaussian({32, 512});
  for (int64_t i = 0; i < 32; ++i) x[i][i] = 12;   // an outlier a row
  const auto error = [&](const char* format, const char* clip) {
    return (x - dequantize(quantize(x, scheme(format, 512, false, "block", clip), "x"), at::kFloat)).square().mean().item<double>();
  };
  for (const char* format : {"int8_absmax", "int8_zero_point", "int4_affine"}) EXPECT_LE(error(format, "mse"), error(format, "none")) << format;
  EXPECT_LT(error("int4_affine", "mse"), 0.8 * error("int4_affine", "none"));
  const QuantizedTensor q = quantize(x, scheme("int8_absmax", 512, false, "block", "percentile"), "x");
  EXPECT_EQ(q.scale.min().item<float>(), 12);   // 99.9 % of 512 rounds up to all of them
  Scheme tighter = scheme("int8_absmax", 512, false, "block", "percentile");
  tighter.clip_percentile = 99.5;
  EXPECT_LT(quantize(x, tighter, "x").scale.max().item<float>(), 6);
}

TEST(Edges, TailsZerosAndConstants) {
  for (const Format* format : formats()) {
    for (const bool doubly : {false, true}) {
      if (doubly && format->usual != Grouping::block) continue;
      const Scheme s = scheme(format->name, 64, doubly);
      for (const int64_t count : {1, 2, 3, 63, 64, 65, 127, 130, 16385}) {
        const Tensor x = gaussian({1, count}, static_cast<uint64_t>(count));
        const Tensor y = dequantize(quantize(x, s, "x"), at::kFloat);
        EXPECT_LE((x - y).abs().max().item<double>(), 0.25 * x.abs().max().item<double>()) << format->name << " " << count;
      }
      const Tensor zeros = at::zeros({3, 50}).to(test_device());
      EXPECT_EQ(dequantize(quantize(zeros, s, "x"), at::kFloat).abs().max().item<float>(), 0) << format->name;
      for (const double value : {2.5, -2.5}) {
        const Tensor constant = at::full({3, 50}, value).to(test_device());
        EXPECT_LE((dequantize(quantize(constant, s, "x"), at::kFloat) - constant).abs().max().item<double>(), 1e-5) << format->name;
      }
    }
  }
}

TEST(Edges, StridesAndEmptyTensors) {
  for (const Format* format : formats()) {
    const Tensor x = gaussian({20, 30});
    const QuantizedTensor strided = quantize(x.t(), scheme(format->name), "x"), copied = quantize(x.t().contiguous(), scheme(format->name), "x");
    EXPECT_TRUE(at::equal(strided.codes, copied.codes)) << format->name;
    const QuantizedTensor empty = quantize(at::empty({0, 16}).to(test_device()), scheme(format->name), "x");
    EXPECT_EQ(dequantize(empty, at::kFloat).numel(), 0) << format->name;
  }
}

TEST(Edges, ValuesThatAreNotFiniteAreNamed) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    Tensor x = at::ones({4, 64}).to(test_device());
    x[1][3] = bad, x[2][0] = bad;
    try {
      quantize(x, scheme("nf4"), "model.layers.3.mlp.up_proj.weight");
      FAIL();
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("model.layers.3.mlp.up_proj.weight: 2 of 256 values are not finite, the first at element 67"), std::string::npos) << e.what();
    }
  }
}

TEST(Options, AreCheckedTogether) {
  QuantizationOptions options;
  options.format = "nf4", options.block_size = 48, options.clip = "mse";
  try {
    scheme_of(options);
    FAIL();
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("block_size 48"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("clip"), std::string::npos);
  }
  options = {};
  options.format = "nf5";
  EXPECT_THROW(scheme_of(options), RequestError);
  options.format = "fp8", options.granularity = "block";
  EXPECT_THROW(scheme_of(options), RequestError);
  options.granularity = "auto", options.double_quantization = true;
  EXPECT_THROW(scheme_of(options), RequestError);
}

TEST(Options, SkippedModulesStayDense) {
  QuantizationOptions options;
  options.format = "nf4";
  EXPECT_FALSE(scheme_for(options, "lm_head").has_value());
  EXPECT_FALSE(scheme_for(options, "model.embed_tokens").has_value());
  EXPECT_TRUE(scheme_for(options, "model.layers.0.mlp.up_proj").has_value());
  options.skip_modules = {"mlp.up_proj"};
  EXPECT_FALSE(scheme_for(options, "model.layers.0.mlp.up_proj").has_value());
  EXPECT_TRUE(scheme_for(options, "lm_head").has_value());
}

TEST(Devices, TheCpuAndTheGpuGiveIdenticalBytes) {
  if (test_device().is_cpu()) GTEST_SKIP() << "one device";
  uint64_t tensors = 0;
  for (const Format* format : formats()) {
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      for (const std::string clip : {"none", "mse", "percentile"}) {
        if (clip != "none" && !format->clips) continue;
        for (const bool doubly : {false, true}) {
          if (doubly && format->usual != Grouping::block) continue;
          for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {3, 50}, {64, 256}, {7, 4097}}) {
            const Tensor x = (gaussian({rows, columns}, ++tensors) * 0.03).to(dtype).cpu();
            const Scheme s = scheme(format->name, 64, doubly, "auto", clip);
            const QuantizedTensor cpu = quantize(x, s, "x"), gpu = quantize(x.to(test_device()), s, "x");
            const std::string what = fmt::format("{} {} {}x{}", format->name, clip, rows, columns);
            EXPECT_TRUE(at::equal(cpu.codes, gpu.codes.cpu())) << what;
            if (cpu.scale.defined()) EXPECT_TRUE(at::equal(cpu.scale, gpu.scale.cpu())) << what;
            if (cpu.zero.defined()) EXPECT_TRUE(at::equal(cpu.zero, gpu.zero.cpu())) << what;
            if (doubly) {
              EXPECT_EQ(cpu.offset, gpu.offset) << what;
              EXPECT_TRUE(at::equal(cpu.scale_codes, gpu.scale_codes.cpu())) << what;
              EXPECT_TRUE(at::equal(cpu.nested_scale, gpu.nested_scale.cpu())) << what;
            }
            for (const auto out : {at::kFloat, at::kBFloat16, at::kHalf}) EXPECT_TRUE(at::equal(dequantize(cpu, out), dequantize(gpu, out).cpu())) << what;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace graft::testing
