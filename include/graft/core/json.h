#pragma once
// JSON as graft reads and writes it: key order kept, depth limited, errors that name the file.
#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace graft {

using Json = nlohmann::ordered_json;

inline constexpr int json_depth_limit = 100;

/// Parses UTF-8 JSON, with a byte order mark or without. Errors (RequestError) begin with `what`: syntax, nesting over `json_depth_limit`, invalid UTF-8.
Json parse_json(std::string_view text, std::string_view what);

/// Reads and parses a whole file of at most `limit` bytes.
Json read_json(const std::filesystem::path& file, size_t limit = size_t{256} << 20);

/// One line, invalid UTF-8 replaced: never throws.
std::string to_line(const Json& value);

/// The bytes of a file of at most `limit` bytes; a RequestError naming it otherwise.
std::string read_text(const std::filesystem::path& file, size_t limit = size_t{1} << 30);

}  // namespace graft
