#include "graft/io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "graft/core/error.h"

namespace graft {
namespace {

[[noreturn]] void fail_to_write(const std::filesystem::path& file, int reason) {
  fail("{}: cannot be written: {}", file.string(), std::generic_category().message(reason));
}

// Hidden, and of its own name in every process and call: two writers never share a temporary.
std::filesystem::path temporary_name(const std::filesystem::path& file) {
  static std::atomic<uint64_t> count{0};
  return file.parent_path() / fmt::format(".{}.{}-{}.tmp", file.filename().string(), ::getpid(), count++);
}

// Calls `step(bytes)`, which writes some of them, until all are written.
template <class Step>
void write_all(const std::filesystem::path& file, std::span<const std::byte> bytes, Step step) {
  while (!bytes.empty()) {
    const ssize_t count = step(bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_to_write(file, errno);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& file) : path_(file), temporary_(temporary_name(file)) {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_to_write(path_, errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write_all(path_, bytes, [&](auto rest) { return ::write(descriptor_, rest.data(), rest.size()); });
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  write_all(path_, bytes, [&](auto rest) {
    const auto at = static_cast<off_t>(offset + (bytes.size() - rest.size()));
    return ::pwrite(descriptor_, rest.data(), rest.size(), at);
  });
}

void AtomicFile::commit() {
  check(descriptor_ >= 0, "{}: committed twice", path_.string());
  if (::fsync(descriptor_) != 0) fail_to_write(path_, errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_to_write(path_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_to_write(path_, errno);
  committed_ = true;
  sync_folder(path_.parent_path());
}

void write_file(const std::filesystem::path& file, std::string_view text) {
  AtomicFile out(file);
  out.write(text);
  out.commit();
}

void make_folders(const std::filesystem::path& folder) {
  if (folder.empty() || std::filesystem::is_directory(folder)) return;
  make_folders(folder.parent_path());
  std::error_code error;
  std::filesystem::create_directory(folder, error);
  if (error) fail("{}: cannot be made: {}", folder.string(), error.message());
  sync_folder(folder.parent_path());
}

void sync_folder(const std::filesystem::path& folder) {
  const std::filesystem::path name = folder.empty() ? "." : folder;
  const int descriptor = ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail_to_write(name, errno);
  const int reason = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  // Some network file systems have no fsync for folders; they say so with EINVAL.
  if (reason != 0 && reason != EINVAL && reason != ENOTSUP) fail_to_write(name, reason);
}

}  // namespace graft
