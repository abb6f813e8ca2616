#pragma once
// A folder that one process at a time works in. The lock is the kernel's (flock), so that it ends with its process however that ends; a folder on a
// file system without such locks is not locked, which `held` tells.
#include <filesystem>

namespace graft {

class FolderLock {
 public:
  /// Makes the folder if need be. RequestError: another process, named by its id, holds it; Error: the folder cannot be written.
  explicit FolderLock(const std::filesystem::path& folder);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  /// Takes its file away, and the folder if nothing else is in it.
  ~FolderLock();
  bool held() const { return held_; }

 private:
  std::filesystem::path folder_, file_;
  int descriptor_ = -1;
  bool held_ = false;
};

}  // namespace graft
