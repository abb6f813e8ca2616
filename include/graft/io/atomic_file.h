#pragma once
// Files appear whole or not at all: written beside their place, synced, renamed, and the folder synced.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace graft {

/// Writes through a temporary sibling; commit() makes it appear. Errors (a full disk, a read-only folder) are graft::Error naming the
/// file and the reason, and leave what was there. Destroyed before commit(): the temporary is removed.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& file);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  void commit();
  /// What was written so far, for a look at it before commit().
  const std::filesystem::path& temporary() const { return temporary_; }

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
  bool committed_ = false;
};

void write_file(const std::filesystem::path& file, std::string_view text);

/// Makes a folder and those above it that are missing, each durable.
void make_folders(const std::filesystem::path& folder);

/// Makes a folder's entries durable (fsync on the folder).
void sync_folder(const std::filesystem::path& folder);

}  // namespace graft
