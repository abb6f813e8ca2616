#pragma once
// Which of the tools that people run models with can load a run's adapter beside its base, and why not.
#include <string>
#include <vector>

#include "session.h"

namespace graft {

struct Loader {
  std::string tool, how;             // vLLM, and with which option
  std::vector<std::string> reasons;  // why it cannot; empty: it can
};

/// `outline`: the base with the adapter in its seats, under `name`.
std::vector<Loader> loaders_of(const Target& target, const Json& config, const Transformer& outline, const std::string& name);
void log_loaders(const std::vector<Loader>& loaders, const Log& log);

}  // namespace graft
