#pragma once
// Reading config.json for the families of one kind: what is common, and the rule that nothing unknown is passed over.
#include <set>
#include <string>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/nn/decoder.h"

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
  /// rope_theta and rope_scaling (transformers 4) or rope_parameters (5).
  RopeSpec rope(int64_t max_positions);
  /// Reports all faults; `family` names the reader.
  void finish(std::string_view family);

 private:
  const Json* take(const std::string& key);
  const Json& config_;
  std::set<std::string> taken_;
  ErrorList errors_;
};

/// What Llama's config.json says; families differ from here.
DecoderShape llama_shape(ConfigReader& reader);
/// Qwen's configs carry a window that `use_sliding_window: false` turns off.
void refuse_sliding_window(ConfigReader& reader);
/// Every layer must attend to all that went before.
void expect_full_attention(ConfigReader& reader, int64_t layers);

}  // namespace graft
