#pragma once
// Reading config.json: the rule that nothing unknown is passed over.
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/ops/rope.h"

namespace graft {

/// Takes keys one at a time; what no one took must be harmless or is refused by name.
class ConfigReader {
 public:
  explicit ConfigReader(const Json& config) : config_(config) {}
  int64_t integer(const std::string& key);                       // required, positive
  int64_t integer(const std::string& key, int64_t otherwise);    // null or absent: otherwise
  double real(const std::string& key, double otherwise);
  bool boolean(const std::string& key, bool otherwise);
  /// The key must be absent, null or equal to one of these; otherwise it is refused by name.
  void expect(const std::string& key, const std::vector<Json>& allowed);
  /// One of these words.
  std::string word(const std::string& key, const std::string& otherwise, const std::vector<std::string>& allowed);
  std::vector<std::string> words(const std::string& key);        // none if absent
  std::vector<int64_t> integers(const std::string& key);         // none if absent
  /// A map; null if absent.
  const Json* object(const std::string& key);
  /// rope_theta and rope_scaling (transformers 4) or rope_parameters (5).
  RopeSpec rope(int64_t max_positions, double default_theta = 10000);
  /// What a section of scaling rules says, where the config's theta and contexts are these (original_max: 0 if it names none).
  RopeSpec rope_from(const Json& section, double theta, int64_t max_positions, int64_t original_max = 0);
  /// Reports all faults; `family` names the reader.
  void finish(std::string_view family);

 private:
  const Json* take(const std::string& key);
  const Json& config_;
  std::set<std::string> taken_;
  ErrorList errors_;
};

}  // namespace graft
