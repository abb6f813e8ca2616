#include "graft/io/append_file.h"

#include "io/temporary.h"
#include "support/file_size_limit.h"

namespace graft {
namespace {

using testing::FileSizeLimit;

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(AppendFile, WhatAFullDiskDoesNotTakeComesLater) {
  TemporaryFolder folder;
  std::vector<std::string> said;
  const Log log([&](LogLevel, const std::string& text) { said.push_back(text); });
  {
    AppendFile file(folder / "lines", log);
    file.add("first\n");
    {
      const FileSizeLimit limit(8);
      file.add("second\n"), file.add("third\n");
    }
    EXPECT_EQ(text_of(folder / "lines"), "first\nse");
    file.add("fourth\n");
  }
  EXPECT_EQ(text_of(folder / "lines"), "first\nsecond\nthird\nfourth\n");
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("File too large"), std::string::npos) << said[0];
}

TEST(AppendFile, WhatIsLostIsSaid) {
  TemporaryFolder folder;
  std::vector<std::string> said;
  const FileSizeLimit limit(0);
  AppendFile(folder / "lines", Log([&](LogLevel, const std::string& text) { said.push_back(text); })).add("first\n");
  ASSERT_EQ(said.size(), 2u);
  EXPECT_NE(said[1].find("last 6 bytes"), std::string::npos) << said[1];
}

}  // namespace
}  // namespace graft
