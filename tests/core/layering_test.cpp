// The ladder of docs/design.md: a package includes itself and those to its left, never to its right.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>

namespace {

namespace fs = std::filesystem;
const char* const ladder[] = {"kernels", "core", "config", "io", "text", "data", "comm", "ops", "quant", "nn", "peft", "models", "train", "report", "recipes"};

/// The package of a file below src, include/graft or recipes; "" for the public face include/graft/graft.h.
std::string package_of(const fs::path& file, const fs::path& root) {
  const auto relative = fs::relative(file, root);
  auto part = relative.begin();
  if (*part == "recipes") return "recipes";
  if (*part == "include") ++part;   // include/graft/<package>
  ++part;
  return std::next(part) == relative.end() ? "" : part->string();
}

TEST(Layering, NoPackageIncludesOneAboveIt) {
  const fs::path root = GRAFT_SOURCE_DIR;
  std::map<std::string, size_t> rank;
  for (const char* package : ladder) rank.emplace(package, rank.size());
  const std::regex include("#include \"graft/([a-z]+)/");
  size_t seen = 0;
  for (const char* top : {"src", "include", "recipes"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const auto extension = entry.path().extension();
      if (extension != ".h" && extension != ".cpp" && extension != ".cu") continue;
      const std::string package = package_of(entry.path(), root);
      if (package.empty()) continue;
      ASSERT_TRUE(rank.contains(package)) << entry.path() << ": package '" << package << "' is not in the ladder";
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) {
        EXPECT_EQ(line.find("<torch/torch.h>"), std::string::npos) << entry.path() << " includes torch/torch.h";
        std::smatch match;
        if (!std::regex_search(line, match, include)) continue;
        ++seen;
        ASSERT_TRUE(rank.contains(match[1])) << entry.path() << ": " << line;
        EXPECT_LE(rank[match[1]], rank[package]) << entry.path() << ": " << line;
      }
    }
  }
  EXPECT_GT(seen, 50u);
}

}  // namespace
