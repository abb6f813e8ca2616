#include "lfs_pointer.h"

#include <string_view>

#include "graft/core/error.h"

namespace graft {

void refuse_lfs_pointer(std::span<const std::byte> bytes, const std::filesystem::path& file) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  require(!text.starts_with("version https://git-lfs"),
          "{}: this is a Git LFS pointer, not the file itself: run `git lfs pull` in the repository, or download the file again",
          file.string());
}

}  // namespace graft
