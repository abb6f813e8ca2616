#pragma once
// The keys of other trainers, and what graft calls them: for error messages only, never accepted silently.
#include <span>
#include <string>
#include <string_view>

namespace graft {

struct ForeignKey {
  std::string_view name;  // theirs
  std::string_view ours;  // a path of a job ("adapter.rank"), or "" where graft has no such key
  std::string_view note;  // the value to give ("nf4"), or what to do instead
};

/// The whole table.
std::span<const ForeignKey> foreign_keys();

/// "graft's name is adapter.rank", or "" if the key is nobody's. `paths`: what the job has; a row may be ahead of it.
std::string foreign_hint(std::string_view key, std::span<const std::string> paths);

}  // namespace graft
