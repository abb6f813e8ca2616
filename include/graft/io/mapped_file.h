#pragma once
// A file's bytes, mapped read-only: pages come in when touched and cost no anonymous memory.
#include <cstddef>
#include <filesystem>
#include <span>

namespace graft {

class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& file);  // RequestError if it cannot be opened; an empty file has empty bytes
  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

}  // namespace graft
