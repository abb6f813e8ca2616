#include "graft/core/json.h"

#include <fstream>

#include "graft/core/error.h"

namespace graft {

namespace {
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
}

Json parse_json(std::string_view text, std::string_view what) {
  const auto within_depth = [](int depth, Json::parse_event_t, Json&) {
    if (depth > json_depth_limit) refuse("nested deeper than {} levels", json_depth_limit);
    return true;
  };
  // A text may begin with one mark; the parser would pass over another one behind it.
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  require(!text.starts_with(byte_order_mark), "{}: not valid JSON: it begins with two byte order marks", what);
  // The parser takes a NUL for the end of its input and would not see what follows.
  require(text.find('\0') == std::string_view::npos, "{}: not valid JSON: a NUL byte at {}", what, text.find('\0'));
  try {
    return Json::parse(text, within_depth);
  } catch (const Json::exception& e) {
    std::string reason = e.what();
    if (const size_t at = reason.find("] "); at != std::string::npos) reason = reason.substr(at + 2);
    refuse("{}: not valid JSON: {}", what, reason);
  } catch (const RequestError& e) {
    refuse("{}: not acceptable JSON: {}", what, e.what());
  }
}

std::string read_text(const std::filesystem::path& file, size_t limit) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  require(!error, "{}: cannot be read: {}", file.string(), error.message());
  require(size <= limit, "{}: {} bytes, more than the limit of {}", file.string(), size, limit);
  std::ifstream in(file, std::ios::binary);
  std::string text(size, '\0');
  in.read(text.data(), static_cast<std::streamsize>(size));
  require(in.gcount() == static_cast<std::streamsize>(size), "{}: cannot be read", file.string());
  return text;
}

Json read_json(const std::filesystem::path& file, size_t limit) { return parse_json(read_text(file, limit), file.string()); }

std::string to_line(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace graft
