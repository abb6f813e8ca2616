#pragma once
// Content hashes of whole files (data caches, checkpoint manifests): core/hash.h's promise (stable across machines and releases,
// not for security) at the speed of memory, because it takes 32 bytes a step. The values are not those of Hash.
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace graft {

/// 16 hexadecimal digits; RequestError if the file cannot be read. Reads the file once, in pieces.
std::string file_hash(const std::filesystem::path& file);

/// What file_hash gives for a file of these bytes.
std::string content_hash(std::span<const std::byte> bytes);

}  // namespace graft
