#pragma once
// Growth tables are lists of named rows expanded in one visible file. This is how a row is found, and what is said when it is not.
#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/error.h"

namespace graft {

/// The candidate nearest to `name` by edit distance, or "" if none is near enough to be a likely slip.
std::string nearest(std::string_view name, std::span<const std::string> candidates);

/// " (did you mean 'x'?)" or "".
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates);

/// "a, b, c"
std::string join(std::span<const std::string> words, std::string_view separator = ", ");

/// The row of `table` whose `.name` is `name`; otherwise a RequestError that lists the names. `what` names the table ("method").
template <class Row>
const Row& find_row(std::span<const Row* const> table, std::string_view name, std::string_view what) {
  for (const Row* row : table)
    if (row->name == name) return *row;
  std::vector<std::string> names;
  for (const Row* row : table) names.emplace_back(row->name);
  refuse("unknown {} '{}'{}; known: {}", what, name, did_you_mean(name, names), join(names));
}

}  // namespace graft
