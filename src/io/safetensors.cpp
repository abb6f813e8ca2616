#include "graft/io/safetensors.h"

#include <algorithm>
#include <cstring>

#include "graft/core/error.h"
#include "graft/core/table.h"
#include "lfs_pointer.h"
#include "safetensors_header.h"

namespace graft {
namespace {

std::string_view as_text(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Where the header ends and the data begins.
size_t header_end(std::span<const std::byte> bytes, const std::string& file) {
  const std::string_view start = as_text(bytes.first(std::min<size_t>(bytes.size(), 4)));
  require(start != "PK\x03\x04", "{}: not a safetensors file, but a PyTorch pickle (zip): save the model again as safetensors", file);
  require(bytes.size() >= 8, "{}: not a safetensors file: {} bytes, its header needs at least 8", file, bytes.size());
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  require(length <= safetensors_header_limit, "{}: not a safetensors file, or a damaged one: its header would be {} bytes, the limit is {}",
          file, length, safetensors_header_limit);
  require(length <= bytes.size() - 8, "{}: cut short, or not a safetensors file: its header would be {} bytes, {} bytes follow", file,
          length, bytes.size() - 8);
  return 8 + static_cast<size_t>(length);
}

// The tensors fill the buffer from its first byte to its last: no holes, no overlap.
void check_layout(const std::vector<HeaderEntry>& entries, uint64_t buffer, const std::string& file) {
  uint64_t at = 0;
  for (const HeaderEntry& entry : entries) {
    const std::string what = fmt::format("{}: tensor '{}'", file, entry.name);
    require(entry.begin == at && entry.end >= entry.begin, "{}: its data_offsets are [{}, {}], expected them to begin at {}", what,
            entry.begin, entry.end, at);
    const uint64_t size = checked_size(entry.dtype, entry.shape, what);
    require(entry.end - entry.begin == size, "{}: {} of shape [{}] takes {} bytes, its data_offsets [{}, {}] give {}", what,
            dtype_name(entry.dtype), fmt::join(entry.shape, ", "), size, entry.begin, entry.end, entry.end - entry.begin);
    at = entry.end;
  }
  require(at == buffer, "{}: its tensors take {} bytes, but {} bytes follow the header: {}", file, at, buffer,
          at > buffer ? "the file was cut short (an incomplete download?)" : "it has bytes that belong to no tensor");
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const auto bytes = file_.bytes();
  refuse_lfs_pointer(bytes, path);
  const size_t data = header_end(bytes, path.string());
  Header header = parse_safetensors_header(as_text(bytes.subspan(8, data - 8)), path.string());
  std::ranges::stable_sort(header.entries, {}, [](const HeaderEntry& entry) { return std::pair(entry.begin, entry.end); });
  check_layout(header.entries, bytes.size() - data, path.string());
  metadata_ = std::move(header.metadata);
  for (HeaderEntry& entry : header.entries) {
    tensors_[entry.name] = {entry.dtype, std::move(entry.shape), bytes.subspan(data + entry.begin, entry.end - entry.begin)};
    names_.push_back(std::move(entry.name));
  }
}

bool SafetensorsFile::contains(std::string_view name) const { return tensors_.contains(name); }

const TensorView& SafetensorsFile::tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) refuse("{}: no tensor '{}'{}", path().string(), name, did_you_mean(name, names_));
  return found->second;
}

}  // namespace graft
