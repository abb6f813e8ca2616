#include <gtest/gtest.h>

#include <cstring>

#include "graft/io/safetensors.h"
#include "temporary.h"

namespace graft {
namespace {

std::span<const std::byte> span_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(SafetensorsWriter, OrderPaddingAndFormat) {
  TemporaryFolder folder;
  SafetensorsWriter out(folder / "w.safetensors",
                        {{"b", Dtype::U8, {3}}, {"c", Dtype::BF16, {1}}, {"a", Dtype::U8, {}}, {"d", Dtype::F32, {1, 1}}});
  out.write("a", span_of("a"));
  out.write("d", span_of("dddd"));
  out.write("b", span_of("bbb"));
  out.write("c", span_of("cc"));
  EXPECT_FALSE(std::filesystem::exists(folder / "w.safetensors"));
  out.finish();
  const std::string bytes = contents(folder / "w.safetensors");
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_EQ(length % 8, 0u);
  EXPECT_EQ(bytes.substr(8 + length), "ddddccabbb");
  EXPECT_EQ(bytes.substr(8, 41), R"({"__metadata__":{"format":"pt"},"d":{"dty)");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  const SafetensorsFile in(folder / "w.safetensors");
  EXPECT_EQ(in.names(), (std::vector<std::string>{"d", "c", "a", "b"}));
  EXPECT_EQ(in.metadata().at("format"), "pt");
}

TEST(SafetensorsWriter, NoTensorsButMetadata) {
  TemporaryFolder folder;
  SafetensorsWriter(folder / "m.safetensors", {}, {{"a\"b", "\n\xC3\xA9"}}).finish();
  const SafetensorsFile in(folder / "m.safetensors");
  EXPECT_EQ(in.metadata(), (std::map<std::string, std::string>{{"a\"b", "\n\xC3\xA9"}, {"format", "pt"}}));
}

TEST(SafetensorsWriter, Misuse) {
  TemporaryFolder folder;
  const auto path = folder / "w.safetensors";
  SafetensorsWriter out(path, {{"a", Dtype::F32, {2}}, {"b", Dtype::F32, {0}}});
  EXPECT_HAS(error_of([&] { out.write("x", {}); }), "'x' was not announced");
  EXPECT_HAS(error_of([&] { out.write("a", span_of("1234")); }), "takes 8 bytes, 4 came");
  out.write("a", span_of("12345678"));
  EXPECT_HAS(error_of([&] { out.write("a", span_of("12345678")); }), "written twice");
  EXPECT_HAS(error_of([&] { out.finish(); }), "'b' was announced but not written");
  EXPECT_HAS(error_of([&] { SafetensorsWriter(path, {{"a", Dtype::I8, {1}}, {"a", Dtype::I8, {1}}}); }), "announced twice");
  EXPECT_HAS(error_of([&] { SafetensorsWriter(path, {{"__metadata__", Dtype::I8, {1}}}); }), "reserved");
  EXPECT_HAS(error_of([&] { SafetensorsWriter(path, {{"a", Dtype::I8, {-1}}}); }), "cannot be");
  EXPECT_HAS(error_of([&] { SafetensorsWriter(path, {{"\xff", Dtype::I8, {1}}}); }), "not valid UTF-8");
}

TEST(SafetensorsWriter, HeaderLimit) {
  TemporaryFolder folder;
  std::vector<SafetensorsWriter::Entry> entries;
  for (int i = 0; i < 17; ++i) entries.push_back({std::string(1'000'000, '\1') + std::to_string(i), Dtype::U8, {1}});
  EXPECT_HAS(error_of([&] { SafetensorsWriter(folder / "w.safetensors", std::move(entries)); }), "write several files");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafetensorsWriter, NothingIsLeftWithoutFinish) {
  TemporaryFolder folder;
  folder.put("w.safetensors", "old");
  { SafetensorsWriter(folder / "w.safetensors", {{"a", Dtype::F32, {1}}}).write("a", span_of("1234")); }
  EXPECT_EQ(contents(folder / "w.safetensors"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
}  // namespace graft
