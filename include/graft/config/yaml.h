#pragma once
// Jobs are YAML. Goals: every fault reported at once with file, line and the name that was meant; what is written reads back
// equal. Non-goals: tags, merge keys, several documents, booleans other than true and false.
//
// `include: file` (or a list) at the top of a file merges other files below it: maps key by key, everything else whole, the later
// wins. Overrides (`train.epochs=3`, `data.train.0.path=x.jsonl`) come last. null means "as if absent" where a value may be
// absent.
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "graft/config/field.h"
#include "graft/config/node.h"
#include "graft/config/shape.h"
#include "graft/core/error.h"

namespace graft {

struct ConfigLimits {
  static constexpr size_t file_bytes = size_t{1} << 20;
  static constexpr size_t total_bytes = size_t{16} << 20;  // of text, aliases written out
  static constexpr int depth = 100;
  static constexpr int nodes = 100'000;  // of a whole config, aliases written out
  static constexpr int files = 64;
};

/// Reads a file, what it includes, and the overrides. Raises RequestError.
ConfigTree read_config(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

/// The same from text; `name` stands for the file in messages. `include` is refused.
ConfigTree parse_config(std::string_view yaml_text, const std::string& name, const std::vector<std::string>& overrides = {});

/// The config as YAML, includes merged and overrides applied; reads back as the same tree.
std::string to_yaml(const ConfigTree& tree);

/// Lays `over` on `base`: maps key by key, everything else whole.
void merge_into(ConfigNode& base, ConfigNode&& over);

/// One line of what changed between two jobs.
struct Difference {
  std::string key;     // "train.learning_rate"
  std::string before;  // as YAML; "(absent)" where there is no such key
  std::string after;

  std::string text() const { return key + ": " + before + " -> " + after; }
  bool operator==(const Difference&) const = default;
};

namespace detail {
void read_section(const ConfigTree& tree, SectionRef out, ErrorList& errors);
void raise_config_errors(const ConfigTree& tree, const ErrorList& errors);
std::string yaml_of(const Shape& shape);
std::string commented_yaml_of(const Shape& shape, const Shape& defaults);
std::vector<Difference> differences_of(const Shape& before, const Shape& after);
}  // namespace detail

/// Fills `out` and adds every fault: unknown, misplaced, foreign keys, wrong types, values out of bounds or not among the
/// choices.
template <Section S>
void read_section(const ConfigTree& tree, S& out, ErrorList& errors) {
  detail::read_section(tree, section_ref(out), errors);
}

/// Reads a whole job and raises all faults at once.
template <Section S>
S read_job(const ConfigTree& tree) {
  S job{};
  ErrorList errors;
  read_section(tree, job, errors);
  detail::raise_config_errors(tree, errors);
  return job;
}

/// Every field as YAML, one a line; with `comments`, each with its help and its default where that differs.
template <Section S>
std::string to_yaml(const S& section, bool comments = false) {
  const Shape shape = shape_of(section_ref(section));
  if (!comments) return detail::yaml_of(shape);
  S defaults{};
  return detail::commented_yaml_of(shape, shape_of(section_ref(defaults)));
}

/// What is not the same in two jobs, in the order of the fields.
template <Section S>
std::vector<Difference> differences(const S& before, const S& after) {
  return detail::differences_of(shape_of(section_ref(before)), shape_of(section_ref(after)));
}

}  // namespace graft
