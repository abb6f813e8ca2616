#include <gtest/gtest.h>

#include <cmath>

#include "graft/io/gguf.h"
#include "temporary.h"

namespace graft {
namespace {

struct Golden {
  uint32_t type;
  size_t bytes;
  std::vector<std::pair<size_t, uint16_t>> halves;  // scales put into the block, which holds (73 i + 19) mod 256 else
  std::vector<size_t> at;
  std::vector<float> values;  // by pip gguf 0.19's dequantize
};
const Golden goldens[] = {
    {2, 18, {{0, 0x3400}}, {0, 5, 17, 31}, {-7.5e-01f, -1.5e+00f, 1.5e+00f, 1.5e+00f}},
    {3, 20, {{0, 0x2e66}, {2, 0xbe00}}, {0, 5, 17, 31}, {-8.001709e-01f, -1.1000977e+00f, -7.001953e-01f, -8.001709e-01f}},
    {6, 22, {{0, 0xb4cd}}, {0, 5, 17, 31}, {-2.7004395e+00f, -1.800293e+00f, -3.0004883e-01f, -3.0004883e-01f}},
    {7, 24, {{0, 0x2e66}, {2, 0xbe00}}, {0, 5, 17, 31}, {1.1993408e+00f, 8.9941406e-01f, -5.0024414e-01f, -5.0024414e-01f}},
    {8, 34, {{0, 0x211f}}, {0, 5, 17, 31}, {-9.101944e-01f, 1.8003845e-01f, 1.2602692e+00f, 1.2402649e+00f}},
    {12,
     144,
     {{0, 0x2e66}, {2, 0x2a66}},
     {0, 33, 70, 100, 135, 170, 200, 255},
     {1.5146301e+01f, -1.7995605e+00f, 5.848572e+00f, 2.2494507e+01f, 1.8495483e+00f, 4.1789795e+01f, 5.143744e+01f,
      1.2746887e+01f}},
    {13,
     176,
     {{0, 0x2e66}, {2, 0x2a66}},
     {0, 33, 70, 100, 135, 170, 200, 255},
     {1.0312482e+02f, -1.7995605e+00f, 5.848572e+00f, -2.6993408e+00f, 1.8495483e+00f, 1.1377222e+02f, 1.298183e+02f,
      1.4746399e+01f}},
    {14,
     210,
     {{208, 0x9a25}},
     {0, 33, 70, 100, 135, 170, 200, 255},
     {2.5652218e+00f, -8.484734e+00f, -5.400467e-01f, 1.7851543e+00f, -1.6201401e-01f, 7.2216244e+00f, -4.7254086e+00f,
      -3.1202698e-01f}},
};

TEST(Dequantize, GoldenBlocks) {
  for (const Golden& golden : goldens) {
    std::string block;
    for (size_t i = 0; i < golden.bytes; ++i) block += static_cast<char>((i * 73 + 19) % 256);
    for (const auto& [at, bits] : golden.halves) block.replace(at, 2, bytes_of(bits));
    const std::string three = block + block + block;  // the middle one is read: begin counts
    const size_t elements = ggml_block_size(golden.type);
    const GgufTensor tensor{golden.type, {3, static_cast<int64_t>(elements)}, std::as_bytes(std::span(three))};
    std::vector<float> values(elements);
    dequantize(tensor, elements, values);
    for (size_t i = 0; i < golden.at.size(); ++i)
      EXPECT_EQ(values[golden.at[i]], golden.values[i]) << ggml_type_name(golden.type) << " element " << golden.at[i];
  }
}

TEST(Dequantize, HalvesOfEveryKind) {
  const std::vector<std::pair<uint16_t, float>> cases = {
      {0x0000, 0.0f},       {0x8000, -0.0f},    {0x0001, 0x1p-24f},  {0x83ff, -0x1.ff8p-15f}, {0x0400, 0x1p-14f},
      {0x3c01, 0x1.004p0f}, {0x7bff, 65504.0f}, {0xfbff, -65504.0f}, {0x7c00, INFINITY},      {0xfc00, -INFINITY}};
  for (const auto& [bits, expected] : cases) {
    const std::string bytes = bytes_of(bits);
    float value;
    dequantize({1, {1}, std::as_bytes(std::span(bytes))}, 0, {&value, 1});
    EXPECT_EQ(bytes_of(value), bytes_of(expected)) << bits;
  }
  const std::string nan = bytes_of<uint16_t>(0x7e01);
  float value;
  dequantize({1, {1}, std::as_bytes(std::span(nan))}, 0, {&value, 1});
  EXPECT_TRUE(std::isnan(value));
}

TEST(Dequantize, RefusesWhatItCannotDo) {
  const std::string bytes(84, '\0');
  std::vector<float> values(256);
  EXPECT_HAS(error_of([&] { dequantize({10, {256}, std::as_bytes(std::span(bytes))}, 0, values); }), "Q2_K cannot be read");
  EXPECT_HAS(error_of([&] { dequantize({99, {256}, std::as_bytes(std::span(bytes))}, 0, values); }), "type 99 cannot be read");
  const GgufTensor q8{8, {64}, std::as_bytes(std::span(bytes)).first(68)};
  EXPECT_HAS(error_of([&] { dequantize(q8, 0, values); }), "of a tensor of 64");
  EXPECT_HAS(error_of([&] { dequantize(q8, 16, std::span(values).first(32)); }), "blocks of 32");
  EXPECT_HAS(error_of([&] { dequantize(q8, 64, std::span(values).first(32)); }), "64 to 96");
}

}  // namespace
}  // namespace graft
