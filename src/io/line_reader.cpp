#include "graft/io/line_reader.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

#include "graft/core/error.h"

namespace graft {
namespace {

constexpr size_t smallest_piece = size_t{8} << 10, largest_piece = size_t{256} << 10;   // read at once: as a file's size suggests

struct Magic {
  std::string_view bytes, name;
};
constexpr Magic other_compressions[] = {{"\x28\xB5\x2F\xFD", "zstd"},
                                        {"\xFD"
                                         "7zXZ",
                                         "xz"},
                                        {"BZh", "bzip2"},
                                        {"PK\x03\x04", "zip"}};

}  // namespace

struct LineReader::Impl {
  Impl(const std::filesystem::path& file, size_t max_line) : name(file.string()), limit(max_line) {
    std::error_code error;
    const auto status = std::filesystem::status(file, error);
    require(std::filesystem::exists(status), "{}: cannot be read: no such file", name);
    require(std::filesystem::is_regular_file(status), "{}: cannot be read: not a plain file", name);
    stream = ::gzopen(file.c_str(), "rb");
    require(stream != nullptr, "{}: cannot be read: {}", name, std::generic_category().message(errno));
    const size_t piece = std::clamp<size_t>(std::filesystem::file_size(file, error) + 1, smallest_piece, largest_piece);
    ::gzbuffer(stream, static_cast<unsigned>(piece));
    buffer.resize(piece);
  }
  ~Impl() {
    if (stream) ::gzclose_r(stream);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // Moves what is left to the front and reads on, in a larger buffer if it is full.
  void fill() {
    if (begin > 0) std::memmove(buffer.data(), buffer.data() + begin, end - begin);
    end -= begin;
    begin = 0;
    if (end == buffer.size()) buffer.resize(buffer.size() + std::min(buffer.size(), limit) + 1);
    const auto room = static_cast<unsigned>(std::min(buffer.size() - end, size_t{1} << 30));
    const int count = ::gzread(stream, buffer.data() + end, room);
    // The last bytes of a gzip file that was cut come with a good count: the fault is told apart.
    int code = Z_OK;
    const char* reason = ::gzerror(stream, &code);
    if (code == Z_ERRNO) refuse("{}: cannot be read after line {}: {}", name, line, std::generic_category().message(errno));
    const bool cut = code == Z_BUF_ERROR && static_cast<unsigned>(std::max(count, 0)) < room;
    require(count >= 0 && !cut, "{}: damaged or cut gzip data after line {}: {}", name, line, reason);
    at_end = static_cast<unsigned>(count) < room;
    end += static_cast<size_t>(count);
  }

  void start() {
    fill();
    started = true;
    const std::string_view text(buffer.data(), end);
    for (const Magic& other : other_compressions)
      require(!text.starts_with(other.bytes), "{}: compressed with {}; graft reads plain text and gzip", name, other.name);
    if (text.starts_with("\xEF\xBB\xBF")) begin = offset = 3;
  }

  bool next(std::string_view& out) {
    if (!started) start();
    size_t scanned = 0;  // bytes known to hold no line's end
    const void* found = nullptr;
    while (!(found = std::memchr(buffer.data() + begin + scanned, '\n', end - begin - scanned)) && !at_end) {
      scanned = end - begin;
      require(scanned <= 1 || scanned - 1 <= limit, "{}: line {}: longer than {} bytes", name, line + 1,
              limit);  // 1: a carriage return
      fill();
    }
    if (!found && begin == end) return false;
    const size_t length = found ? static_cast<size_t>(static_cast<const char*>(found) - buffer.data()) - begin : end - begin;
    out = {buffer.data() + begin, length};
    if (out.ends_with('\r')) out.remove_suffix(1);
    ++line;
    require(out.size() <= limit, "{}: line {}: longer than {} bytes", name, line, limit);
    line_offset = offset;
    const size_t step = length + (found ? 1 : 0);
    begin += step;
    offset += static_cast<int64_t>(step);
    return true;
  }

  std::string name;
  size_t limit;
  gzFile stream = nullptr;
  std::vector<char> buffer;
  size_t begin = 0, end = 0;          // of what was read and not given yet, in the buffer
  int64_t line = 0, line_offset = 0;  // of the last line given
  int64_t offset = 0;                 // of `begin` in the text
  bool started = false, at_end = false;
};

LineReader::LineReader(const std::filesystem::path& file, size_t max_line) : impl_(std::make_unique<Impl>(file, max_line)) {}
LineReader::LineReader(LineReader&&) noexcept = default;
LineReader& LineReader::operator=(LineReader&&) noexcept = default;
LineReader::~LineReader() = default;

bool LineReader::next(std::string_view& line) { return impl_->next(line); }
int64_t LineReader::line_number() const { return impl_->line; }
int64_t LineReader::byte_offset() const { return impl_->line_offset; }

}  // namespace graft
