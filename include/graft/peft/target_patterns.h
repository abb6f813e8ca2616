#pragma once
// Which sites a method adapts, by PEFT's rule (peft/tuners/tuners_utils.py): an entry of a list matches a path that equals it or ends with
// "." + entry; a string is a regex that must match the whole path; "all-linear" is every linear layer but the output head.
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace graft {

using NamesOrPattern = std::variant<std::string, std::vector<std::string>>;

/// Whether `path` is among `targets` ("all-linear" is the caller's business).
bool matches(std::string_view path, const NamesOrPattern& targets);
bool ends_with_name(std::string_view path, std::string_view name);
/// PEFT's rule for the keys of rank_pattern and alpha_pattern: a regex that matches a suffix which starts at a dot (or all of the path).
bool matches_pattern_key(std::string_view path, const std::string& key);
/// The first numbered segment of a path (the layer), or -1.
int layer_of(std::string_view path);

}  // namespace graft
