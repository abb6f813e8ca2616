#pragma once
// Reading a tree into a section, and explaining what only the whole schema can explain.
#include <memory>
#include <string>
#include <vector>

#include "graft/config/node.h"
#include "graft/config/shape.h"
#include "graft/core/error.h"

namespace graft {

/// A key that its section does not have.
struct UnknownKey {
  const ConfigNode* node;                                 // its value; its key is node->key
  std::string section;                                    // "" at the top
  std::shared_ptr<const std::vector<std::string>> known;  // the section's keys
};

/// A section given as something else than keys and values ("adapter: qlora").
struct MisreadSection {
  const ConfigNode* node;
  std::string section;
};

struct Reading {
  ErrorList& errors;
  std::vector<UnknownKey> unknown;
  std::vector<MisreadSection> misread;
};

/// Reads one node into one field; `path` is for messages.
void read_value(Reading& reading, const FieldInfo& info, const ConfigNode& node, const std::string& path, const Slot& slot);

/// "job.yaml:4: adaptor: unknown key (did you mean 'adapter'?)"; `paths` are all of the schema's.
std::string explain(const MisreadSection& misread, const std::vector<std::string>& paths);
std::string explain(const UnknownKey& unknown, const std::vector<std::string>& paths);

}  // namespace graft
