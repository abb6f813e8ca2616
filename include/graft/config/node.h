#pragma once
// A config file as a tree that remembers where each part was written. yaml-cpp stays behind parse.cpp.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// Where a node was written: "job.yaml:12", or an override ("argument 'train.epochs=3'", line 0).
struct ConfigMark {
  std::shared_ptr<const std::string> file;
  int line = 0;    // 1-based
  int column = 0;  // 1-based

  std::string text() const;
};

struct ConfigNode {
  enum class Kind { null, scalar, list, map };

  Kind kind = Kind::null;
  std::string text;     // of a scalar
  bool quoted = false;  // a quoted or block scalar: text, never a number or bool
  ConfigMark mark;
  std::string key;  // of a child of a map
  ConfigMark key_mark;
  std::vector<ConfigNode> children;  // of a list or map, in the order written

  const ConfigNode* find(std::string_view key) const;
  ConfigNode* find(std::string_view key);
  /// Takes a map's child out; an empty node if there is none.
  ConfigNode take(std::string_view key);
  /// "a list", "the text 'x'": for messages.
  std::string described() const;
};

/// A whole config: includes merged, overrides applied.
struct ConfigTree {
  std::string name;                 // the file's
  ConfigNode root;                  // a map
  std::vector<std::string> faults;  // keys given twice: reported with what read_section finds
};

}  // namespace graft
