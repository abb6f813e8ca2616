#pragma once
#include <cstddef>
#include <filesystem>
#include <span>

namespace graft {

/// Refuses a file that holds what Git LFS leaves in place of a file that was not downloaded.
void refuse_lfs_pointer(std::span<const std::byte> bytes, const std::filesystem::path& file);

}  // namespace graft
