#pragma once
// What a run's steps were taken with, kept in its checkpoints: base, data, device, determinism, numbers of threads.
#include "session.h"

namespace graft {

Json facts_of(const Base& base, const Job& job, const PreparedData& data, at::Device device, at::ScalarType dtype);

/// What the checkpoint's steps were taken with must be here again: base and data to the bit (RequestError; a warning where the
/// change is allowed); threads are set, the rest is told.
void check_facts(const Json& then, const Json& now, bool allow_change, const Log& log);

}  // namespace graft
