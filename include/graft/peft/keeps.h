#pragma once
// What an adapter's forward keeps for the backward pass, so that a plan knows it without running. Each method's case stands
// beside the others in one visit: a new method does not compile without it.
#include "graft/nn/site.h"
#include "graft/peft/adapter_options.h"

namespace graft {

struct Keeps {
  bool input = false, output = false;  // the site's input; what the adapter returns
  int64_t token = 0, fixed = 0;        // bytes of its own: a token, and whatever the tokens
};

/// Of an adapter of `options` at `site` that computes in numbers of `bytes` bytes.
Keeps kept_by(const AdapterOptions& options, const Site& site, int64_t bytes);
/// Where the site's own values are trained: the methods full and head, and modules_to_save.
Keeps kept_by_values(const Site& site, int64_t bytes);

}  // namespace graft
