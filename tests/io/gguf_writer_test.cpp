#include "graft/io/gguf_writer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "graft/core/error.h"
#include "graft/core/hash.h"
#include "temporary.h"

namespace graft {
namespace {

/// A smooth run of values and its outlier, the same on every machine: sums of halves of whole numbers.
std::vector<float> values_of(size_t count) {
  std::vector<float> values(count);
  uint32_t state = 12345;
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    values[i] = static_cast<float>(static_cast<int32_t>(state >> 16 & 1023u) - 500) / 256.0f + (i % 37 == 0 ? 3.5f : 0);
  }
  return values;
}

std::vector<std::byte> packed(uint32_t type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(ggml_bytes(type, values.size()));
  quantize(type, values, bytes);
  return bytes;
}

std::vector<float> unpacked(uint32_t type, const std::vector<std::byte>& bytes, size_t count) {
  std::vector<float> values(count);
  dequantize({type, {static_cast<int64_t>(count)}, bytes}, 0, values);
  return values;
}

TEST(GgufQuantize, BytesAreGgmlsOwn) {
  // Of 1024 values: gguf-py 0.19's quantize (F16, BF16, Q8_0, Q4_0), llama.cpp's ggml_quantize_chunk (Q4_K).
  const std::pair<uint32_t, uint64_t> goldens[] = {{ggml_f16, 0x4ccc18890c9f1bbb},
                                                   {ggml_bf16, 0xd5cb9576d9fcc153},
                                                   {ggml_q8_0, 0xcecac515f990f794},
                                                   {ggml_q4_0, 0x62afeaa6485309d9},
                                                   {ggml_q4_k, 0x117e83205dda81af}};
  for (const auto& [type, golden] : goldens) {
    const auto bytes = packed(type, values_of(1024));
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    EXPECT_EQ(hash_of(text), golden) << ggml_type_name(type);
  }
}

TEST(GgufQuantize, WhatIsReadBackIsNear) {
  const auto values = values_of(512);
  const std::pair<uint32_t, float> bounds[] = {{ggml_f32, 0},       {ggml_f16, 0.002f}, {ggml_bf16, 0.016f},
                                               {ggml_q8_0, 0.021f}, {ggml_q4_0, 0.7f},  {ggml_q4_k, 0.35f}};
  for (const auto& [type, bound] : bounds) {
    const auto back = unpacked(type, packed(type, values), values.size());
    for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(back[i], values[i], bound) << ggml_type_name(type) << " element " << i;
  }
}

TEST(GgufQuantize, ZerosStayZeros) {
  const std::vector<float> zeros(256);
  for (const uint32_t type : {ggml_f32, ggml_f16, ggml_bf16, ggml_q8_0, ggml_q4_0, ggml_q4_k})
    EXPECT_EQ(unpacked(type, packed(type, zeros), 256), zeros) << ggml_type_name(type);
}

TEST(GgufQuantize, HalvesRoundToEven) {
  const std::pair<float, uint16_t> cases[] = {{1, 0x3c00},
                                              {-2, 0xc000},
                                              {65504, 0x7bff},
                                              {65520, 0x7c00},
                                              {1 + 1.0f / 2048, 0x3c00},
                                              {1 + 3.0f / 2048, 0x3c02},
                                              {0x1p-14f, 0x0400},
                                              {0x1p-24f, 0x0001},
                                              {0x1p-25f, 0x0000},
                                              {0x1.8p-25f, 0x0001},
                                              {-0.0f, 0x8000}};
  for (const auto& [value, bits] : cases)
    EXPECT_EQ(packed(ggml_f16, {value}), std::vector<std::byte>({std::byte(bits & 255), std::byte(bits >> 8)})) << value;
}

std::vector<GgufKey> keys() {
  return {gguf_key("general.architecture", "llama"),
          gguf_key("a.count", uint32_t{7}),
          gguf_key("a.real", 0.5f),
          gguf_flag("a.flag", true),
          gguf_key("a.texts", std::vector<std::string>{"x", "", "yz"}),
          gguf_key("a.numbers", std::vector<int32_t>{-1, 2}),
          gguf_key("a.reals", std::vector<float>{1.5f})};
}

TEST(GgufWriter, WhatIsWrittenIsReadBack) {
  const TemporaryFolder folder;
  const auto values = values_of(128), row = values_of(3);
  GgufWriter out(folder / "m.gguf", keys(), {{"w", ggml_q8_0, {2, 64}}, {"b", ggml_f32, {3}}});
  EXPECT_EQ(GgufFile(out.aside()).integer("a.count"), 7);  // before any tensor
  out.write("b", std::as_bytes(std::span(row)));
  out.write("w", packed(ggml_q8_0, values));
  EXPECT_FALSE(std::filesystem::exists(folder / "m.gguf"));
  out.finish();
  const GgufFile file(folder / "m.gguf");
  EXPECT_EQ(file.string("general.architecture"), "llama");
  EXPECT_EQ(file.real("a.real"), 0.5);
  EXPECT_EQ(file.boolean("a.flag"), true);
  EXPECT_EQ(file.array("a.texts")->strings, (std::vector<std::string>{"x", "", "yz"}));
  EXPECT_EQ(file.array("a.numbers")->integers, (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(file.array("a.reals")->reals, (std::vector<double>{1.5}));
  EXPECT_EQ(file.tensor("w").shape, (std::vector<int64_t>{2, 64}));
  std::vector<float> back(3);
  dequantize(file.tensor("b"), 0, back);
  EXPECT_EQ(back, row);
  ASSERT_EQ(file.raw_keys().size(), keys().size());
  for (size_t i = 0; i < keys().size(); ++i) {
    const auto& [name, bytes] = file.raw_keys()[i];
    EXPECT_EQ(name, keys()[i].name);
    EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()), keys()[i].bytes) << name;
  }
}

TEST(GgufWriter, NothingIsLeftOfWhatWasNotFinished) {
  const TemporaryFolder folder;
  {
    GgufWriter out(folder / "m.gguf", keys(), {{"w", ggml_f32, {1}}});
    EXPECT_THROW(out.finish(), Error);
    EXPECT_THROW(out.write("v", {}), Error);
    EXPECT_THROW(GgufWriter(folder / "n.gguf", keys(), {{"w", ggml_q4_k, {128}}}), Error);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace graft
