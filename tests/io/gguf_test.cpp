#include "graft/io/gguf.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gguf_builder.h"

namespace graft {
namespace {

class Gguf : public testing::Test {
 protected:
  GgufFile read(const std::string& bytes) { return GgufFile(folder_.put("m.gguf", bytes)); }
  GgufFile read(const GgufBuilder& builder) { return read(builder.bytes()); }
  std::string refused(const std::string& bytes) {
    const std::string text = error_of([&] { read(bytes); });
    EXPECT_HAS(text, "m.gguf: ");
    return text;
  }
  std::string refused(const GgufBuilder& builder) { return refused(builder.bytes()); }
  TemporaryFolder folder_;
};

TEST_F(Gguf, EveryKeyType) {
  GgufBuilder b;
  b.key("u8", 0, bytes_of<uint8_t>(200)).key("i8", 1, bytes_of<int8_t>(-3)).key("u16", 2, bytes_of<uint16_t>(60000));
  b.key("i16", 3, bytes_of<int16_t>(-300))
      .key("u32", 4, bytes_of<uint32_t>(4'000'000'000))
      .key("i32", 5, bytes_of<int32_t>(-70000));
  b.key("f32", 6, bytes_of(1.5f)).key("bool", 7, bytes_of<uint8_t>(1)).key("text", 8, gguf_string("a\nb"));
  b.key("u64", 10, bytes_of<uint64_t>(5)).key("i64", 11, bytes_of<int64_t>(INT64_MIN)).key("f64", 12, bytes_of(0.1));
  b.key("large", 10, bytes_of<uint64_t>(UINT64_MAX));
  for (const uint32_t version : {2u, 3u}) {
    b.version = version;
    const GgufFile file = read(b);
    EXPECT_EQ(file.version(), version);
    EXPECT_EQ(file.keys().size(), 13u);
    EXPECT_EQ(file.integer("u8"), 200);
    EXPECT_EQ(file.integer("i8"), -3);
    EXPECT_EQ(file.integer("u16"), 60000);
    EXPECT_EQ(file.integer("i16"), -300);
    EXPECT_EQ(file.integer("u32"), 4'000'000'000);
    EXPECT_EQ(file.integer("i32"), -70000);
    EXPECT_EQ(file.real("f32"), 1.5);
    EXPECT_EQ(file.boolean("bool"), true);
    EXPECT_EQ(file.string("text"), "a\nb");
    EXPECT_EQ(file.integer("u64"), 5);
    EXPECT_EQ(file.integer("i64"), INT64_MIN);
    EXPECT_EQ(file.real("f64"), 0.1);
    EXPECT_EQ(file.integer("absent"), std::nullopt);
    EXPECT_EQ(file.array("absent"), nullptr);
    EXPECT_HAS(error_of([&] { file.string("u8"); }), "key 'u8': expected a string");
    EXPECT_HAS(error_of([&] { file.integer("f32"); }), "expected an integer");
    EXPECT_HAS(error_of([&] { file.integer("large"); }), "too large");
    EXPECT_HAS(error_of([&] { file.array("u8"); }), "expected an array");
  }
}

TEST_F(Gguf, Arrays) {
  GgufBuilder b;
  b.key("texts", 9, bytes_of<uint32_t>(8) + bytes_of<uint64_t>(2) + gguf_string("x") + gguf_string(""));
  b.key("integers", 9, bytes_of<uint32_t>(5) + bytes_of<uint64_t>(2) + bytes_of<int32_t>(-1) + bytes_of<int32_t>(9));
  b.key("reals", 9, bytes_of<uint32_t>(6) + bytes_of<uint64_t>(1) + bytes_of(-2.5f));
  b.key("bools", 9, bytes_of<uint32_t>(7) + bytes_of<uint64_t>(3) + std::string("\1\0\1", 3));
  b.key("none", 9, bytes_of<uint32_t>(8) + bytes_of<uint64_t>(0));
  const GgufFile file = read(b);
  EXPECT_EQ(file.array("texts")->strings, (std::vector<std::string>{"x", ""}));
  EXPECT_EQ(file.array("integers")->integers, (std::vector<int64_t>{-1, 9}));
  EXPECT_EQ(file.array("reals")->reals, std::vector<double>{-2.5});
  EXPECT_EQ(file.array("bools")->integers, (std::vector<int64_t>{1, 0, 1}));
  EXPECT_EQ(file.array("none")->size(), 0u);
  EXPECT_EQ(file.array("none")->type, 8u);
}

TEST_F(Gguf, Tensors) {
  GgufBuilder b;
  b.alignment = 64;
  b.key("general.alignment", 4, bytes_of<uint32_t>(64));
  b.tensor("second", {2}, 1, 64).tensor("first", {3, 2}, 0, 0).tensor("scalar", {}, 30, 128).tensor("empty", {32, 0}, 8, 0);
  for (int i = 0; i < 6; ++i) b.data += bytes_of(0.5f * static_cast<float>(i));
  b.data.resize(64, '\0');
  b.data += bytes_of<uint16_t>(0x3c00) + bytes_of<uint16_t>(0x0001);
  b.data.resize(128, '\0');
  b.data += bytes_of<uint16_t>(0xc020);
  const GgufFile file = read(b);
  EXPECT_EQ(file.tensor_names(), (std::vector<std::string>{"second", "first", "scalar", "empty"}));
  EXPECT_EQ(file.tensor("first").shape, (std::vector<int64_t>{2, 3}));
  std::vector<float> values(4);
  dequantize(file.tensor("first"), 2, values);
  EXPECT_EQ(values, (std::vector<float>{1.0f, 1.5f, 2.0f, 2.5f}));
  values.resize(2);
  dequantize(file.tensor("second"), 0, values);
  EXPECT_EQ(values, (std::vector<float>{1.0f, std::ldexp(1.0f, -24)}));
  values.resize(1);
  dequantize(file.tensor("scalar"), 0, values);
  EXPECT_EQ(values[0], -2.5f);
  dequantize(file.tensor("empty"), 0, {});
  EXPECT_TRUE(file.contains("empty"));
  EXPECT_HAS(error_of([&] { file.tensor("fist"); }), "no tensor 'fist' (did you mean 'first'?)");
}

TEST_F(Gguf, BadStart) {
  EXPECT_HAS(refused(std::string("")), "ends in its magic number");
  EXPECT_HAS(refused("{\"a\":1}"), "not a GGUF file");
  EXPECT_HAS(refused("version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer");
  GgufBuilder b;
  for (const uint32_t version : {0u, 1u, 4u}) {
    b.version = version;
    EXPECT_HAS(refused(b), fmt::format("GGUF version {}", version));
  }
  b.version = 0x03000000;
  EXPECT_HAS(refused(b), "big-endian");
}

TEST_F(Gguf, CutAnywhere) {
  GgufBuilder b;
  b.key("tokens", 9, bytes_of<uint32_t>(8) + bytes_of<uint64_t>(2) + gguf_string("x") + gguf_string("yy"));
  b.key("rate", 6, bytes_of(1.0f)).tensor("w", {32, 2}, 8, 0);
  b.data.assign(68, '\1');
  const std::string whole = b.bytes();
  EXPECT_EQ(read(whole).tensor("w").bytes.size(), 68u);
  for (size_t size = 0; size < whole.size(); ++size) refused(whole.substr(0, size));
}

TEST_F(Gguf, CountsAndLengthsBeyondTheFile) {
  const auto start = [](uint64_t tensors, uint64_t keys) {
    return "GGUF" + bytes_of<uint32_t>(3) + bytes_of(tensors) + bytes_of(keys);
  };
  EXPECT_HAS(refused(start(UINT64_MAX, 0)), "tensor count is 18446744073709551615");
  EXPECT_HAS(refused(start(0, uint64_t{1} << 60)), "key count is");
  EXPECT_HAS(refused(start(0, 1) + bytes_of(uint64_t{1} << 63) + "name and type and value"),
             "its name has a length of 9223372036854775808");
  GgufBuilder b;
  EXPECT_HAS(refused(GgufBuilder().key("s", 8, bytes_of(uint64_t{1} << 63))),
             "key 's': its value has a length of 9223372036854775808");
  EXPECT_HAS(refused(GgufBuilder().key("a", 9, bytes_of<uint32_t>(12) + bytes_of(uint64_t{1} << 61))), "key 'a': its item count");
  EXPECT_HAS(refused(GgufBuilder().key(std::string(65536, 'k'), 7, "\1")), "the format allows 65535");
  EXPECT_HAS(refused(GgufBuilder().tensor(std::string(65, 't'), {1}, 0, 0)), "the format allows 64");
}

TEST_F(Gguf, BadKeys) {
  EXPECT_HAS(refused(GgufBuilder().key("k", 13, "12345678")), "key 'k': unknown value type 13");
  EXPECT_HAS(refused(GgufBuilder().key("k", 7, "\2")), "a bool is 0 or 1");
  EXPECT_HAS(refused(GgufBuilder().key("k", 7, "\1").key("k", 7, "\1")), "key 'k': given twice");
  EXPECT_HAS(refused(GgufBuilder().key("k", 9, bytes_of<uint32_t>(13) + bytes_of<uint64_t>(0))), "unknown item type 13");
  EXPECT_HAS(refused(GgufBuilder().key("k", 9, bytes_of<uint32_t>(9) + bytes_of<uint64_t>(0))), "arrays of arrays");
  for (const uint32_t alignment : {0u, 4u, 12u, 1u << 30})
    EXPECT_HAS(refused(GgufBuilder().key("general.alignment", 4, bytes_of(alignment))), "general.alignment");
}

TEST_F(Gguf, BadTensors) {
  const auto with = [](std::vector<uint64_t> dims, uint32_t type, uint64_t offset) {
    GgufBuilder b;
    b.tensor("w", std::move(dims), type, offset).data.assign(64, '\0');
    return b;
  };
  EXPECT_HAS(refused(with({1, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0)), "tensor 'w': 9 dimensions");
  EXPECT_HAS(refused(with({uint64_t{1} << 63}, 0, 0)), "too large");
  EXPECT_HAS(refused(with({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0)), "too large");
  EXPECT_HAS(refused(with({uint64_t{1} << 62}, 0, 0)), "too large");
  EXPECT_HAS(refused(with({8}, 5, 0)), "unknown tensor type 5");
  EXPECT_HAS(refused(with({33}, 8, 0)), "rows of 33 elements, Q8_0 needs a multiple of 32");
  EXPECT_HAS(refused(with({17}, 0, 0)), "68 bytes at 0 of the data, but the file has 64");
  EXPECT_HAS(refused(with({1}, 0, 96)), "cut short");
  EXPECT_HAS(refused(with({1}, 0, UINT64_MAX - 31)), "cut short");
  EXPECT_HAS(refused(with({1}, 0, 4)), "offset 4 is not a multiple of 32");
  EXPECT_HAS(refused(with({1}, 0, 0).tensor("w", {1}, 0, 32)), "'w' is given twice");
  EXPECT_HAS(refused(with({9}, 0, 0).tensor("v", {1}, 0, 32)), "'w' and 'v' overlap");
}

}  // namespace
}  // namespace graft
