#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "graft/config/yaml.h"
#include "sample_job.h"

namespace graft::sample {

inline testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "expected \"" << part << "\" in: " << text;
}

inline testing::AssertionResult matches(const std::string& text, const std::string& pattern) {
  if (std::regex_search(text, std::regex(pattern))) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "expected /" << pattern << "/ in: " << text;
}

/// What `f` throws, "" if nothing.
template <class F>
std::string thrown_by(F&& f) {
  try {
    f();
  } catch (const RequestError& e) {
    return e.what();
  }
  return "";
}

/// Every fault of a job, one line each.
inline std::vector<std::string> faults_of(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  Job job;
  ErrorList errors;
  read_section(parse_config(yaml, "job.yaml", overrides), job, errors);
  return errors.errors();
}

/// The one fault of a job.
inline std::string fault_of(const std::string& yaml) {
  const auto faults = faults_of(yaml);
  EXPECT_EQ(faults.size(), 1u) << yaml;
  return faults.empty() ? "" : faults[0];
}

inline Job job_of(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  return read_job<Job>(parse_config(yaml, "job.yaml", overrides));
}

/// A folder that goes away with its test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "graft_config_XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace graft::sample
