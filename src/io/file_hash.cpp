#include "graft/io/file_hash.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string_view>
#include <vector>

#include "graft/core/error.h"
#include "graft/core/hash.h"

namespace graft {
namespace {

// Four lanes that do not wait for each other. The rotation brings a product's well-mixed upper bits down, so that no difference
// in upper bits can cancel in the next step.
class Lanes {
 public:
  void blocks(const std::byte* at, size_t count) {
    for (; count > 0; --count, at += 32, length_ += 32)
      for (int i = 0; i < 4; ++i) {
        uint64_t word;
        std::memcpy(&word, at + 8 * i, 8);
        lanes_[i] = std::rotl((lanes_[i] ^ word) * 0x9e3779b97f4a7c15ULL, 29);
      }
  }
  /// The last bytes, fewer than 32.
  std::string finish(std::span<const std::byte> rest) const {
    Hash hash;
    for (const uint64_t lane : lanes_) hash.add(lane);
    hash.add(std::string_view(reinterpret_cast<const char*>(rest.data()), rest.size()));
    return hash.add(length_ + rest.size()).hex();
  }

 private:
  uint64_t lanes_[4] = {1, 2, 3, 4};
  uint64_t length_ = 0;
};

}  // namespace

std::string content_hash(std::span<const std::byte> bytes) {
  Lanes lanes;
  lanes.blocks(bytes.data(), bytes.size() / 32);
  return lanes.finish(bytes.last(bytes.size() % 32));
}

std::string file_hash(const std::filesystem::path& file) {
  std::error_code error;
  require(std::filesystem::is_regular_file(file, error), "{}: cannot be read: not a file", file.string());
  std::ifstream in(file, std::ios::binary);
  require(in.good(), "{}: cannot be read", file.string());
  Lanes lanes;
  std::vector<std::byte> piece(size_t{1} << 20);
  size_t count = piece.size();
  while (count == piece.size()) {
    in.read(reinterpret_cast<char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
    require(!in.bad(), "{}: cannot be read to its end", file.string());
    count = static_cast<size_t>(in.gcount());
    lanes.blocks(piece.data(), count / 32);
  }
  return lanes.finish(std::span(piece).subspan(count / 32 * 32, count % 32));
}

}  // namespace graft
