#pragma once
// Files of this process can have so many bytes while it lives: what a full disk is to a writer.
#include <sys/resource.h>

#include <csignal>

namespace graft::testing {

struct FileSizeLimit {
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit limit{bytes, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  rlimit before{};
};

}  // namespace graft::testing
