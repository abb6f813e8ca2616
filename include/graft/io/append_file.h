#pragma once
// A file that is only added to, a record at a time. A disk that is full for a while costs nothing: what it does not take is kept
// and comes before the next record. It is said when that begins, and again if the file is left incomplete.
#include <filesystem>
#include <string>
#include <string_view>

#include "graft/core/log.h"

namespace graft {

class AppendFile {
 public:
  /// An Error if it cannot be opened.
  AppendFile(const std::filesystem::path& file, Log log);
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  ~AppendFile();
  void add(std::string_view bytes);

 private:
  void write_pending();
  std::filesystem::path file_;
  Log log_;
  int descriptor_ = -1;
  std::string pending_;
  bool failing_ = false;
};

}  // namespace graft
