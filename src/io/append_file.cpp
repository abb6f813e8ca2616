#include "graft/io/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "graft/core/error.h"

namespace graft {

AppendFile::AppendFile(const std::filesystem::path& file, Log log) : file_(file), log_(std::move(log)) {
  descriptor_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("{}: cannot be written: {}", file.string(), std::generic_category().message(errno));
}

AppendFile::~AppendFile() {
  write_pending();
  ::close(descriptor_);
  if (!pending_.empty()) log_.warn("{}: its last {} bytes could not be written", file_.string(), pending_.size());
}

void AppendFile::add(std::string_view bytes) {
  pending_ += bytes;
  write_pending();
}

void AppendFile::write_pending() {
  while (!pending_.empty()) {
    const ssize_t count = ::write(descriptor_, pending_.data(), pending_.size());
    const int reason = errno;
    if (count < 0 && reason == EINTR) continue;
    if (count < 0) {
      if (!failing_)
        log_.warn("{}: cannot be written: {}; the run goes on, and its lines are kept until they can be", file_.string(),
                  std::generic_category().message(reason));
      failing_ = true;
      return;
    }
    pending_.erase(0, static_cast<size_t>(count));
  }
  failing_ = false;
}

}  // namespace graft
