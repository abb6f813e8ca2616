// Codes against definitions written down apart, in float64 where there is one.
#include <ATen/ATen.h>

#include "../src/kernels/codecs.h"
#include "graft/io/file_hash.h"
#include "quant/support.h"

namespace graft::testing {
namespace {

// rcp.approx.ftz.f32 on an H100 for 1 + m / 1024, as steps from the correctly rounded reciprocal (the rest of the 1024 are 0).
const std::map<int, int> reciprocal_steps = {
    {6, -1}, {11, 1}, {14, -1}, {17, 1}, {18, 1}, {20, 1}, {32, -1}, {46, -1}, {48, 1}, {62, -1}, {70, -1}, {77, -1}, {86, -1},
    {87, -1}, {88, -1}, {91, 1}, {97, 1}, {98, 1}, {104, 1}, {105, 1}, {113, 1}, {126, -1}, {127, -1}, {135, -1}, {138, 1}, {147, 1},
    {148, 1}, {153, 1}, {160, -1}, {176, -1}, {179, -1}, {203, 1}, {204, 1}, {209, 1}, {214, -1}, {219, -1}, {221, -1}, {225, 1},
    {226, 1}, {252, 1}, {260, 1}, {274, -1}, {287, -1}, {296, 1}, {298, 1}, {304, 1}, {305, 1}, {325, -1}, {346, 1}, {349, -1},
    {371, 1}, {386, 1}, {395, 1}, {396, 1}, {401, -1}, {403, 1}, {408, 1}, {409, 1}, {415, -1}, {417, 1}, {425, 1}, {439, 1},
    {443, -1}, {445, -1}, {449, 1}, {453, 1}, {454, 1}, {458, 1}, {467, 1}, {473, -1}, {474, -1}, {481, 1}, {488, 1}, {498, 1},
    {505, 1}, {507, 1}, {519, 1}, {520, 1}, {521, 1}, {528, 1}, {531, 1}, {543, 1}, {547, 1}, {558, -1}, {563, 1}, {564, 1}, {614, -1},
    {627, 1}, {647, 1}, {648, 1}, {650, 1}, {651, 1}, {667, 1}, {675, 1}, {676, 1}, {687, 1}, {700, 1}, {701, 1}, {724, 1}, {728, 1},
    {751, -1}, {783, -1}, {785, 1}, {786, 1}, {787, 1}, {789, 1}, {805, 1}, {807, 1}, {813, 1}, {823, 1}, {872, 1}, {874, 1}, {876, 1},
    {878, 1}, {893, 1}, {920, 1}, {923, 1}, {928, 1}, {944, 1}, {950, -1}, {954, -1}, {956, -1}, {957, -1}, {965, -1}, {968, 1},
    {987, 1}, {988, 1}, {997, 1}, {1010, -1}, {1016, -1},};

TEST(Reciprocal, IsTheSpecialFunctionUnits) {
  for (int m = 0; m < 1024; ++m) {
    const float x = 1.0f + static_cast<float>(m) / 1024.0f, exact = 1.0f / x;
    const auto it = reciprocal_steps.find(m);
    int32_t bits, expected;
    const float found = kernels::reciprocal(x);
    std::memcpy(&bits, &found, 4), std::memcpy(&expected, &exact, 4);
    EXPECT_EQ(bits, expected + (it == reciprocal_steps.end() ? 0 : it->second)) << m;
    EXPECT_EQ(kernels::reciprocal(x * 8), found / 8) << m;
  }
  EXPECT_TRUE(std::isinf(kernels::reciprocal(0.0f)));
  EXPECT_TRUE(std::isinf(kernels::reciprocal(1e-40f)));
  EXPECT_EQ(kernels::reciprocal(3e38f), 0.0f);
}

TEST(DynamicMap, IsBitsandbytesSigned) {
  const float* map = kernels::dynamic_map();
  EXPECT_EQ(map[0], -0.99296875f);
  EXPECT_EQ(map[127], 0.0f);
  EXPECT_NEAR(map[128], 5.5e-7, 1e-12);
  EXPECT_EQ(map[255], 1.0f);
  EXPECT_TRUE(std::is_sorted(map, map + 256));
  // every bit of bitsandbytes 0.50's create_dynamic_map(signed=True), as its CUDA kernels are given it
  EXPECT_EQ(content_hash(std::as_bytes(std::span(map, 256))), "4071ba44a2121d96");
}

TEST(FourBits, CodesAreTheNearestPointsAndValuesThePoints) {
  for (const char* format : {"nf4", "fp4"}) {
    const Tensor x = gaussian({40, 64}), host = x.cpu();
    const QuantizedTensor q = quantize(x, scheme(format), "x");
    const float* points = kernels::code_points(q.scheme.format->codec);
    const auto codes = codes_of(q);
    const Tensor values = dequantize(q, at::kFloat).cpu(), scale = q.scale.cpu();
    const float *in = host.const_data_ptr<float>(), *out = values.const_data_ptr<float>();
    for (int64_t i = 0; i < x.numel(); ++i) {
      const float absmax = scale[i / 64].item<float>();
      ASSERT_EQ(absmax, host[i / 64].abs().max().item<float>());
      const double v = static_cast<double>(in[i]) / absmax;
      double nearest = 1e9;
      for (int c = 0; c < 16; ++c) nearest = std::min(nearest, std::abs(points[c] - v));
      const float point = points[codes[static_cast<size_t>(i)]];
      ASSERT_NEAR(std::abs(point - v), nearest, 2e-4) << format << " " << i;   // thresholds are rounded decimals
      ASSERT_EQ(out[i], point * absmax) << format << " " << i;
    }
  }
}

TEST(FourBits, TheFirstOfAPairIsInTheHighHalfAndZeroPadsAnOddCount) {
  const Tensor x = at::tensor({1.0f, -1.0f, 0.5f}).to(test_device());
  EXPECT_EQ(quantize(x, scheme("nf4"), "x").codes.cpu()[0].item<int>(), 0xf0);
  EXPECT_EQ(quantize(x, scheme("nf4"), "x").codes.cpu()[1].item<int>() & 15, 7);
  EXPECT_EQ(quantize(x, scheme("fp4"), "x").codes.cpu()[0].item<int>(), 0x3b);
}

TEST(Affine, EveryCodeEqualsAFloat64Oracle) {
  for (const auto& [format, granularity] : {std::pair{"int8_zero_point", "row"}, {"int8_zero_point", "tensor"}, {"int8_zero_point", "block"}, {"int4_affine", "block"}}) {
    const Tensor x = gaussian({33, 50}) + 0.3;   // rows and blocks end apart
    const QuantizedTensor q = quantize(x, scheme(format, 64, false, granularity), "x");
    const auto codes = codes_of(q);
    const Tensor flat = x.cpu().flatten().to(at::kDouble), values = dequantize(q, at::kFloat).cpu().flatten().to(at::kDouble);
    const int low = q.scheme.format->lowest, high = q.scheme.format->highest;
    for (int64_t begin = 0; begin < x.numel(); begin += q.group()) {
      const Tensor part = flat.slice(0, begin, std::min(x.numel(), begin + q.group()));
      const double least = std::min(0.0, part.min().item<double>()), most = std::max(0.0, part.max().item<double>());
      const auto step = static_cast<double>(static_cast<float>((most - least) / (high - low)));
      const double zero = std::clamp(std::nearbyint(-least / step) + low, static_cast<double>(low), static_cast<double>(high));
      for (int64_t i = 0; i < part.numel(); ++i) {
        const double code = std::clamp(std::nearbyint(part[i].item<double>() / step) + zero, static_cast<double>(low), static_cast<double>(high));
        const uint8_t byte = codes[static_cast<size_t>(begin + i)];
        ASSERT_EQ(low < 0 ? static_cast<int8_t>(byte) : byte, static_cast<int>(code)) << format << " " << granularity << " element " << begin + i;
        ASSERT_LE(std::abs(values[begin + i].item<double>() - part[i].item<double>()), step * 0.5 * (1 + 1e-5)) << format;   // half a step
      }
    }
  }
}

TEST(Affine, ZeroComesBackExactly) {
  Tensor x = gaussian({8, 64}).abs() + 1;
  for (int64_t i = 0; i < 8; ++i) x[i][i] = 0;
  for (const char* format : {"int8_zero_point", "int4_affine"}) {
    const Tensor values = dequantize(quantize(x, scheme(format), "x"), at::kFloat);
    EXPECT_EQ(values.masked_select(x == 0).abs().max().item<float>(), 0) << format;
  }
}

TEST(Int8, RowsAreRoundedToFp16FirstAndWithinHalfAStep) {
  const Tensor x = gaussian({16, 70});
  const QuantizedTensor q = quantize(x, scheme("int8_absmax"), "x");
  const Tensor half = x.to(at::kHalf).to(at::kFloat), largest = half.abs().amax({1}, true);
  EXPECT_TRUE(at::equal(q.scale, largest.squeeze(1)));
  EXPECT_LE(((dequantize(q, at::kFloat) - half).abs() / largest).max().item<double>(), 0.5 / 127 * 1.001);
}

TEST(Int8, AnOutlierColumnCostsWhatItsDocumentationSays) {
  // Outliers are not split off; they lie in activations, so weights of ordinary rows keep their resolution (field report 88).
  const Tensor w = gaussian({64, 256}), dense = dequantize(quantize(w, scheme("int8_absmax"), "w"), at::kFloat);
  Tensor x = gaussian({8, 256}, 9).clamp(-1, 1);
  x.slice(1, 17, 18).fill_(60);
  const Tensor exact = at::linear(x, w);
  EXPECT_LT(((at::linear(x, dense) - exact).norm() / exact.norm()).item<double>(), 0.01);
}

TEST(Fp8, ValuesAreTorchsE4m3) {
  const Tensor x = gaussian({16, 70}), scale = x.abs().amax({1}, true);
  const Tensor expected = (x * (448.0f / scale)).to(at::kFloat8_e4m3fn);
  const QuantizedTensor q = quantize(x, scheme("fp8"), "x");
  EXPECT_TRUE(at::equal(q.codes.view(x.sizes()).cpu(), expected.view(at::kByte).cpu()));
  EXPECT_LT(difference(dequantize(q, at::kFloat), expected.to(at::kFloat) * (scale / 448)), 1e-6);
}

}  // namespace
}  // namespace graft::testing
