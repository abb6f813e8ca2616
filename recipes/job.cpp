#include "job.h"

#include <filesystem>

#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/peft/adapter_file.h"
#include "graft/train/interval.h"

namespace graft {

void check_job(const Job& job) {
  ErrorList errors;
  if (job.model.path.empty()) errors.add("model.path is missing: which model is fine-tuned?");
  if (job.output_dir.empty()) errors.add("output_dir is missing: where does the run go?");
  if (job.data.train.empty()) errors.add("data.train is missing: a list of files to learn from");
  if (!job.data.val.empty() && job.data.val_size > 0) errors.add("data.val and data.val_size are both given: choose one");
  const bool held_out = !job.data.val.empty() || job.data.val_size > 0;
  if (!held_out && (job.eval.early_stop > 0 || (job.eval.every > 0 && job.eval.prompts.empty())))
    errors.add("eval needs held-out data: give data.val or data.val_size (eval.prompts alone asks for none)");
  if (!job.output_dir.empty() && std::filesystem::exists(job.output_dir) && !std::filesystem::is_directory(job.output_dir))
    errors.add("output_dir {} is a file", job.output_dir);
  errors.guard([&] { read_interval("checkpoint.every", job.checkpoint.every); });
  errors.guard([&] { device_from_name(job.device); });
  errors.guard([&] { scheme_of(job.quantization); });
  errors.guard([&] { scheme_of(job.quantization.qat); });
  if (!job.adapter.init_from.empty()) errors.guard([&] { read_adapter_options(job.adapter.init_from); });
  errors.guard([&] {
    const double dropout = make_method(job.adapter)->dropout();
    if (dropout > 0 && job.quantization.qat.format != "none")
      errors.add("adapter.dropout {}: quantization.qat rounds weight and update together, which dropout would part; set it to 0", dropout);
  });
  errors.raise("the job cannot run:");
}

Job resolved(Job job) {
  if (!job.train.learning_rate) job.train.learning_rate = method_row(job.adapter.method).rate.usual;
  return job;
}

}  // namespace graft
