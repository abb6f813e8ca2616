#include "out_of_memory.h"

#include <c10/util/Exception.h>

#include "graft/core/error.h"

namespace graft {
namespace {

/// LibTorch's sentences on sizes, without those on its own settings and its backtrace.
std::string sizes_of(const std::exception& error) {
  const auto* torch = dynamic_cast<const c10::Error*>(&error);
  std::string text = torch ? torch->what_without_backtrace() : error.what();
  for (const char* rest : {" If reserved but unallocated", " See documentation", "\n"})
    text.resize(std::min(text.find(rest), text.size()));
  return text;
}

}  // namespace

bool is_out_of_memory(const std::exception& error) {
  // The CPU's allocator throws a plain Error with its name in it.
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) ||
         std::string_view(error.what()).find("DefaultCPUAllocator") != std::string_view::npos;
}

std::string out_of_memory_text(const std::exception& error, const Job& job, int64_t peak_bytes, int64_t planned_bytes) {
  const TrainOptions& train = job.train;
  const auto gib = [](int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); };
  std::string text = fmt::format("out of memory: {}\n  this run held {:.2f} GiB at most{}. What makes it smaller:", sizes_of(error), gib(peak_bytes),
                                 planned_bytes > 0 ? fmt::format("; graft plan expects {:.2f} GiB for its tensors", gib(planned_bytes)) : "");
  if (train.micro_batch_size > 1)
    text += fmt::format("\n    train.micro_batch_size={} train.gradient_accumulation_steps={}   (as many samples a step)",
                        train.micro_batch_size / 2,
                        train.gradient_accumulation_steps * train.micro_batch_size / (train.micro_batch_size / 2));
  if (train.recompute == "none" || train.recompute == "gate_up") text += "\n    train.recompute=layer   (activations are computed again, not kept)";
  if (train.recompute == "layer") text += "\n    train.recompute=offload   (each layer's input waits in the host's memory)";
  if (job.quantization.format == "none") text += "\n    quantization.format=nf4   (the base in 4 bits)";
  text += fmt::format("\n    data.max_length={}   (the longest sample is {} tokens now)", job.data.max_length / 2,
                      job.data.max_length);
  return text + fmt::format(
                    "\n  graft resume {} --allow-change KEY=VALUE goes on from the last checkpoint; another base or other data "
                    "want a new run",
                    job.output_dir);
}

}  // namespace graft
