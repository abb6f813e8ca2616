#include "graft/io/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>

#include "graft/core/error.h"
#include "graft/io/atomic_file.h"

namespace graft {
namespace {

int opened(const std::filesystem::path& folder, const std::filesystem::path& file) {
  make_folders(folder);
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  const int reason = errno;
  if (descriptor < 0 && reason != ENOENT)  // ENOENT: whoever held it took the folder away just now
    fail("{}: cannot be written: {}", folder.string(), std::generic_category().message(reason));
  return descriptor;
}

/// Whether the path still leads to the open file: its last holder may have taken it away before we had the lock.
bool is_still_there(int descriptor, const std::filesystem::path& file) {
  struct stat ours {}, theirs {};
  return ::fstat(descriptor, &ours) == 0 && ::stat(file.c_str(), &theirs) == 0 && ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

std::string holder(const std::filesystem::path& file) {
  std::string id;
  std::ifstream(file) >> id;
  return id.empty() ? "another process" : "process " + id;
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder) : folder_(folder), file_(folder / ".lock") {
  while (descriptor_ < 0) {
    descriptor_ = opened(folder_, file_);
    if (descriptor_ < 0) continue;
    const int result = ::flock(descriptor_, LOCK_EX | LOCK_NB), reason = errno;
    if (result != 0 && reason == EWOULDBLOCK) {
      ::close(descriptor_);
      refuse("{}: {} is at work in it", folder_.string(), holder(file_));
    }
    held_ = result == 0;
    if (held_ && !is_still_there(descriptor_, file_)) {
      ::close(descriptor_);
      descriptor_ = -1;
    }
  }
  const std::string id = std::to_string(::getpid()) + "\n";
  const bool written = held_ && ::ftruncate(descriptor_, 0) == 0 && ::write(descriptor_, id.data(), id.size()) == std::ssize(id);
  static_cast<void>(written);  // a full disk: the lock holds all the same, its holder has no name
}

FolderLock::~FolderLock() {
  std::error_code ignored;
  if (held_) std::filesystem::remove(file_, ignored);
  ::close(descriptor_);
  std::filesystem::remove(folder_, ignored);  // an empty folder alone can be removed so
}

}  // namespace graft
