#include "graft/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "graft/core/error.h"

namespace graft {
namespace {

[[noreturn]] void refuse_file(const std::filesystem::path& file, int reason) {
  refuse("{}: cannot be read: {}", file.string(), std::generic_category().message(reason));
}

// The mapping outlives the descriptor, which is closed here on every way out.
std::span<const std::byte> map(const std::filesystem::path& file, int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) refuse_file(file, errno);
  if (S_ISDIR(status.st_mode)) refuse_file(file, EISDIR);
  require(S_ISREG(status.st_mode), "{}: cannot be read: not a plain file", file.string());
  if (status.st_size == 0) return {};
  const auto size = static_cast<size_t>(status.st_size);
  void* pages = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (pages == MAP_FAILED) refuse_file(file, errno);
  return {static_cast<const std::byte*>(pages), size};
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& file) : path_(file) {
  // O_NONBLOCK: opening a pipe by mistake must not wait for a writer.
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) refuse_file(file, errno);
  try {
    bytes_ = map(file, descriptor);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  ::close(descriptor);
}

MappedFile::MappedFile(MappedFile&& other) noexcept : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace graft
