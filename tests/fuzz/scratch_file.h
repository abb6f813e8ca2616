#pragma once
// A file for readers that take a path: in memory (/dev/shm) where there is such a place, gone at exit.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace graft {

class ScratchFile {
 public:
  explicit ScratchFile(const std::string& name = "input") {
    std::string folder = std::filesystem::exists("/dev/shm") ? "/dev/shm/graft_fuzz_XXXXXX" : "/tmp/graft_fuzz_XXXXXX";
    if (!::mkdtemp(folder.data())) std::abort();
    folder_ = folder;
    path_ = folder_ / name;
  }
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  void fill(const uint8_t* data, size_t size) { fill(path_, data, size); }
  static void fill(const std::filesystem::path& path, const uint8_t* data, size_t size) {
    std::FILE* out = std::fopen(path.c_str(), "wb");
    if (!out || std::fwrite(data, 1, size, out) != size || std::fclose(out) != 0) std::abort();
  }
  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_, path_;
};

}  // namespace graft
