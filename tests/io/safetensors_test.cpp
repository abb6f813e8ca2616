// The format's rules, one test each, named as the reference implementation (huggingface/safetensors, tensor.rs) names its errors.
#include "graft/io/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "temporary.h"

namespace graft {
namespace {

std::string with_header(std::string_view header, std::string_view data = "") {
  return bytes_of<uint64_t>(header.size()) + std::string(header) + std::string(data);
}

class Reader : public testing::Test {
 protected:
  SafetensorsFile read(std::string_view bytes) { return SafetensorsFile(folder_.put("t.safetensors", bytes)); }
  std::string refused(std::string_view bytes) {
    const std::string text = error_of([&] { read(bytes); });
    EXPECT_HAS(text, "t.safetensors");
    return text;
  }
  std::string refused_header(std::string_view header, std::string_view data = "") { return refused(with_header(header, data)); }
  TemporaryFolder folder_;
};

constexpr std::string_view one = R"({"a":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}})";

TEST_F(Reader, Values) {
  const auto file = read(with_header(one, bytes_of<int32_t>(7) + bytes_of<int32_t>(-1)));
  ASSERT_EQ(file.names(), std::vector<std::string>{"a"});
  const TensorView& a = file.tensor("a");
  EXPECT_EQ(a.dtype, Dtype::I32);
  EXPECT_EQ(a.shape, std::vector<int64_t>{2});
  ASSERT_EQ(a.bytes.size(), 8u);
  int32_t second;
  std::memcpy(&second, a.bytes.data() + 4, 4);
  EXPECT_EQ(second, -1);
  EXPECT_TRUE(file.contains("a"));
  EXPECT_FALSE(file.contains("b"));
  EXPECT_HAS(error_of([&] { file.tensor("aa"); }), "no tensor 'aa'");
}

TEST_F(Reader, HeaderTooSmall) {
  EXPECT_HAS(refused(""), "0 bytes");
  EXPECT_HAS(refused("1234567"), "at least 8");
}

TEST_F(Reader, HeaderTooLarge) {
  EXPECT_HAS(refused("<x>\0\0\0\0\0\0\0\0"), "bytes");
  EXPECT_HAS(refused(bytes_of<uint64_t>(100'000'001) + "{}"), "limit is 100000000");
  EXPECT_HAS(refused(bytes_of<uint64_t>(UINT64_MAX) + "{}"), "limit");
}

TEST_F(Reader, InvalidHeaderLength) { EXPECT_HAS(refused(bytes_of<uint64_t>(60) + "{}"), "2 bytes follow"); }

TEST_F(Reader, InvalidHeader) {
  EXPECT_HAS(refused_header("\xff"), "not valid JSON");
  EXPECT_HAS(refused_header("{\"\xff\":{}}"), "not valid JSON");
  EXPECT_HAS(refused_header("\xEF\xBB\xBF{}"), "not valid JSON");
}

TEST_F(Reader, InvalidHeaderDeserialization) {
  EXPECT_HAS(refused_header(""), "not valid JSON");
  EXPECT_HAS(refused_header("{"), "not valid JSON");
  EXPECT_HAS(refused_header("{} x"), "not valid JSON");
  EXPECT_HAS(refused_header(std::string_view("{}\0", 3)), "not valid JSON");
  EXPECT_HAS(refused_header("[]"), "expected an object");
  EXPECT_HAS(refused_header("1"), "expected an object");
  EXPECT_HAS(refused_header(R"({"a":"b"})"), "'a' is a string, expected an object");
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"I32","shape":[2.0],"data_offsets":[0,8]}})", "12345678"), "'shape' of tensor 'a'");
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"I32","shape":[-2],"data_offsets":[0,8]}})", "12345678"), "negative");
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"I32","shape":2,"data_offsets":[0,8]}})", "12345678"), "list of whole numbers");
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"I32","shape":[[2]],"data_offsets":[0,8]}})", "12345678"),
             "a list, expected a whole number");
  EXPECT_HAS(refused_header(R"({"a":{"dtype":4,"shape":[2],"data_offsets":[0,8]}})", "12345678"), "'dtype' of tensor 'a'");
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"I32","shape":[2],"data_offsets":[0,4,8]}})", "12345678"), "3 items");
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"I32","shape":[2]}})"), "no 'data_offsets'");
  EXPECT_HAS(refused_header(R"({"a":{}})"), "no 'dtype'");
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}})", "1"), "dtype 'F4'");
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"I32","shape":[2],"data_offsets":[0,8],"x":{"y":1}}})", "12345678"),
             "'x' of tensor 'a'");
  EXPECT_HAS(refused_header(std::string(200'000, '[')), "expected an object");
}

TEST_F(Reader, DuplicateKeys) {
  EXPECT_HAS(refused_header(
                 R"({"a":{"dtype":"I8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"I8","shape":[0],"data_offsets":[0,0]}})"),
             "'a' is given twice");
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"I8","dtype":"I8","shape":[0],"data_offsets":[0,0]}})"),
             "'dtype' of tensor 'a' is given twice");
  EXPECT_HAS(refused_header(R"({"__metadata__":{"a":"1","a":"2"}})"), "'a' of '__metadata__' is given twice");
}

TEST_F(Reader, Metadata) {
  const auto file = read(with_header(R"({"__metadata__":{"format":"pt","note":"x"}})"));
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}, {"note", "x"}}));
  EXPECT_TRUE(file.names().empty());
  EXPECT_HAS(refused_header(R"({"__metadata__":{"a":1}})"), "expected a string");
  EXPECT_HAS(refused_header(R"({"__metadata__":{"a":{}}})"), "expected a string");
  EXPECT_HAS(refused_header(R"({"__metadata__":[]})"), "expected an object");
}

TEST_F(Reader, InvalidOffset) {
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}})", "123"),
             "begin at 0");  // a hole at the start
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[2,0]}})", "12"), "[2, 0]");
  EXPECT_HAS(
      refused_header(
          R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"I8","shape":[1],"data_offsets":[2,3]}})", "123"),
      "begin at 1");  // a hole
  EXPECT_HAS(
      refused_header(
          R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}})", "123"),
      "begin at 2");  // an overlap
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,18446744073709551615]}})", "12"), "too large");
}

TEST_F(Reader, ValidationOverflow) {
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})"), "cannot be");
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})"), "cannot be");
}

TEST_F(Reader, TensorInvalidInfo) {
  EXPECT_HAS(refused_header(R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,8]}})", "12345678"), "takes 16 bytes");
}

TEST_F(Reader, MetadataIncompleteBuffer) {
  EXPECT_HAS(refused_header(one, "1234567"), "cut short");
  EXPECT_HAS(refused_header(one, "123456789"), "no tensor");
  EXPECT_HAS(refused_header("{}", "x"), "no tensor");
}

TEST_F(Reader, WhitespaceRoundTheHeader) {
  EXPECT_EQ(read(with_header("{}  \n\t")).names().size(), 0u);
  EXPECT_EQ(read(with_header(" \n" + std::string(one) + "   ", "12345678")).names().size(), 1u);
}

TEST_F(Reader, EmptyTensorsAndScalars) {
  const auto file = read(
      with_header(R"({"s":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"z":{"dtype":"F32","shape":[2,0],"data_offsets":[1,1]},)"
                  R"("y":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
                  "5"));
  EXPECT_EQ(file.names(), (std::vector<std::string>{"y", "s", "z"}));
  EXPECT_TRUE(file.tensor("s").shape.empty());
  EXPECT_EQ(file.tensor("s").bytes.size(), 1u);
  EXPECT_EQ(file.tensor("z").bytes.size(), 0u);
}

TEST_F(Reader, NamesInTheOrderOfTheData) {
  const auto file = read(with_header(
      R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]},"b":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})", "ba"));
  EXPECT_EQ(file.names(), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(static_cast<char>(file.tensor("a").bytes[0]), 'a');
}

TEST_F(Reader, FilesOfAnotherKind) {
  EXPECT_HAS(refused("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"), "Git LFS pointer");
  EXPECT_HAS(refused(std::string("PK\x03\x04") + "0123456789"), "pickle");
  EXPECT_HAS(error_of([&] { SafetensorsFile(folder_ / "absent.safetensors"); }),
             "absent.safetensors: cannot be read: No such file");
  EXPECT_HAS(error_of([&] { SafetensorsFile(folder_.path()); }), "cannot be read: Is a directory");
}

}  // namespace
}  // namespace graft
