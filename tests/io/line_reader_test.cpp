#include "graft/io/line_reader.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "temporary.h"

namespace graft {
namespace {

struct Line {
  std::string text;
  int64_t number, offset;
  bool operator==(const Line&) const = default;
};
void PrintTo(const Line& line, std::ostream* out) { *out << line.number << "@" << line.offset << ":" << line.text.substr(0, 40); }

std::vector<Line> lines_of(const std::filesystem::path& file, size_t max_line = size_t{1} << 20) {
  LineReader reader(file, max_line);
  EXPECT_EQ(reader.line_number(), 0);
  std::vector<Line> lines;
  for (std::string_view line; reader.next(line);)
    lines.push_back({std::string(line), reader.line_number(), reader.byte_offset()});
  std::string_view more;
  EXPECT_FALSE(reader.next(more));
  return lines;
}

std::string gzipped(std::string_view text) {
  TemporaryFolder folder;
  const auto path = folder / "x.gz";
  gzFile out = ::gzopen(path.c_str(), "wb");
  ::gzwrite(out, text.data(), static_cast<unsigned>(text.size()));
  ::gzclose(out);
  return contents(path);
}

TEST(LineReader, EndsOfLinesAndOfTheFile) {
  TemporaryFolder folder;
  EXPECT_EQ(lines_of(folder.put("f", "")), std::vector<Line>{});
  EXPECT_EQ(lines_of(folder.put("f", "a\nbc\n")), (std::vector<Line>{{"a", 1, 0}, {"bc", 2, 2}}));
  EXPECT_EQ(lines_of(folder.put("f", "a\r\n\r\n\nb\rc\r")),
            (std::vector<Line>{{"a", 1, 0}, {"", 2, 3}, {"", 3, 5}, {"b\rc", 4, 6}}));
  EXPECT_EQ(lines_of(folder.put("f", "\xEF\xBB\xBF{}\n\xEF\xBB\xBFx")),
            (std::vector<Line>{{"{}", 1, 3}, {"\xEF\xBB\xBFx", 2, 6}}));
  EXPECT_EQ(lines_of(folder.put("f", "\xEF\xBB\xBF")), std::vector<Line>{});
  EXPECT_EQ(lines_of(folder.put("f", std::string("a\0b\n", 4))), (std::vector<Line>{{std::string("a\0b", 3), 1, 0}}));
}

TEST(LineReader, LinesAcrossPieces) {
  TemporaryFolder folder;
  std::string text;
  std::vector<Line> expected;
  for (int i = 0; i < 300; ++i) {
    const std::string line(static_cast<size_t>(i * 37 % 5003), static_cast<char>('a' + i % 26));
    expected.push_back({line, i + 1, static_cast<int64_t>(text.size())});
    text += line + "\n";
  }
  const std::string long_line(900'000, 'x');
  expected.push_back({long_line, 301, static_cast<int64_t>(text.size())});
  text += long_line;
  EXPECT_EQ(lines_of(folder.put("f", text)), expected);
  EXPECT_EQ(lines_of(folder.put("f.gz", gzipped(text))), expected);
  EXPECT_EQ(lines_of(folder.put("name.jsonl", gzipped(text))), expected);  // the bytes tell, not the name
}

TEST(LineReader, SeveralGzipMembers) {
  TemporaryFolder folder;
  EXPECT_EQ(lines_of(folder.put("f.gz", gzipped("a\nb") + gzipped("c\n"))), (std::vector<Line>{{"a", 1, 0}, {"bc", 2, 2}}));
}

TEST(LineReader, LimitOfALine) {
  TemporaryFolder folder;
  EXPECT_EQ(lines_of(folder.put("f", "12345\r\n12345"), 5).size(), 2u);
  EXPECT_HAS(error_of([&] { lines_of(folder.put("f", "1\n123456\n"), 5); }), "f: line 2: longer than 5 bytes");
  EXPECT_HAS(error_of([&] { lines_of(folder.put("f", "1\n" + std::string(2'000'000, 'x')), 300'000); }),
             "line 2: longer than 300000 bytes");
  EXPECT_HAS(error_of([&] { lines_of(folder.put("f.gz", gzipped(std::string(50'000'000, 'x'))), 300'000); }),
             "line 1: longer than");
}

TEST(LineReader, DamagedGzip) {
  TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i * 7919 % 10007) + "\n";
  const std::string bytes = gzipped(text);
  EXPECT_HAS(error_of([&] { lines_of(folder.put("f.gz", bytes.substr(0, bytes.size() - 1))); }),
             "f.gz: damaged or cut gzip data");
  EXPECT_HAS(error_of([&] { lines_of(folder.put("f.gz", bytes.substr(0, bytes.size() / 2))); }), "damaged or cut");
  std::string changed = bytes;
  changed[bytes.size() / 2] = static_cast<char>(changed[bytes.size() / 2] ^ 0x55);
  EXPECT_HAS(error_of([&] { lines_of(folder.put("f.gz", changed)); }), "damaged or cut");
}

TEST(LineReader, FilesThatCannotBeRead) {
  TemporaryFolder folder;
  EXPECT_HAS(error_of([&] { lines_of(folder / "absent"); }), "absent: cannot be read: no such file");
  EXPECT_HAS(error_of([&] { lines_of(folder.path()); }), "not a plain file");
  EXPECT_HAS(error_of([&] { lines_of(folder.put("f.zst", "\x28\xB5\x2F\xFD....")); }), "compressed with zstd");
}

}  // namespace
}  // namespace graft
