// Which files a source's path names.
#include <glob.h>

#include <algorithm>

#include "graft/core/error.h"
#include "graft/data/records.h"

namespace graft {

namespace {

namespace fs = std::filesystem;

void check_kind(const fs::path& file) {
  const std::string name = file.string();
  std::error_code ignored;
  require(!fs::is_directory(file, ignored), "{} is a folder: name its files, for example {}", name, (file / "*.jsonl").string());
  if (name.ends_with(".jsonl") || name.ends_with(".jsonl.gz") || name.ends_with(".json")) return;
  for (const std::string_view kind : {"parquet", "csv"})
    require(!name.ends_with(fmt::format(".{}", kind)),
            "{}: graft reads .jsonl, .jsonl.gz and .json; convert it once:\n    python3 -c \"import pandas; pandas.read_{}('{}')"
            ".to_json('{}', orient='records', lines=True, force_ascii=False)\"",
            name, kind, name, fs::path(file).replace_extension(".jsonl").string());
  refuse("{}: graft reads .jsonl, .jsonl.gz and .json files", name);
}

std::vector<fs::path> matches(const std::string& pattern) {
  glob_t found{};
  std::vector<fs::path> files;
  if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  std::ranges::sort(files);  // by bytes: the order of samples must not depend on the locale
  return files;
}

}  // namespace

std::vector<fs::path> source_files(const std::string& path) {
  require(!path.empty(), "a data source has no path");
  std::vector<fs::path> files;
  std::error_code ignored;  // what cannot be looked at is not there
  if (fs::exists(path, ignored)) {
    files.emplace_back(path);
  } else {
    files = matches(path);
    const bool is_glob = path.find_first_of("*?[") != std::string::npos;
    require(!files.empty(), "{}: {}", path, is_glob ? "no file matches" : "no such file");
  }
  for (const auto& file : files) check_kind(file);
  return files;
}

}  // namespace graft
