#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "graft/io/safetensors.h"

namespace graft {

/// A safetensors file with one-byte tensors of these names, each holding `value`.
inline void put_weights(const std::filesystem::path& file, const std::vector<std::string>& names, char value = 'v') {
  std::filesystem::create_directories(file.parent_path());
  std::vector<SafetensorsWriter::Entry> entries;
  for (const auto& name : names) entries.push_back({name, Dtype::U8, {1}});
  SafetensorsWriter out(file, std::move(entries));
  for (const auto& name : names) out.write(name, std::as_bytes(std::span(&value, 1)));
  out.finish();
}

}  // namespace graft
