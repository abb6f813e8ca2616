#pragma once
// Out of device memory: what LibTorch says of it, and what of the job takes the room.
#include <exception>
#include <string>

#include "job.h"

namespace graft {

/// Whether LibTorch's allocators, of a GPU or of the CPU, threw it.
bool is_out_of_memory(const std::exception& error);

/// What was to be allocated, what the run held at most and its plan expected (0: not known), and the options that make it smaller, with
/// values to try.
std::string out_of_memory_text(const std::exception& error, const Job& job, int64_t peak_bytes, int64_t planned_bytes = 0);

}  // namespace graft
