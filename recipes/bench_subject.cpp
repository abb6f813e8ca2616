#include "bench_subject.h"

#include <algorithm>
#include <fstream>

#include "configs.h"
#include "graft/config/yaml.h"
#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/core/table.h"
#include "graft/data/random_dataset.h"
#include "graft/peft/graft_adapter.h"
#include "graft/peft/qat.h"
#include "graft/train/trainer.h"
#include "jobs.h"
#include "memory_choice.h"
#include "task.h"

namespace graft {
namespace {

constexpr int64_t steps_of_rows = 16;  // different ones, before they come again

Job sole_job(const ConfigTree& config) {
  const Jobs jobs = read_jobs(config);
  require(!jobs.several(), "bench measures one adapter, and {} has {}", config.name, jobs.each.size());
  return resolved(jobs.each.front().job);
}

std::vector<int64_t> read_lengths(const std::filesystem::path& file) {
  std::ifstream in(file);
  require(in.good(), "{}: cannot be read: expected samples' lengths, one a line", file.string());
  std::vector<int64_t> lengths;
  for (int64_t length = 0; in >> length;) lengths.push_back(length);
  require(in.eof() && !lengths.empty(), "{}: expected numbers, one a line; the {}th is none", file.string(), lengths.size() + 1);
  return lengths;
}

/// What the base's config says of it, and how its weights are made: called once all else is known to be right.
using MakeModel = std::function<std::shared_ptr<Transformer>()>;

MakeModel random_base(BenchSubject& subject, const LoadOptions& load) {
  subject.config = read_json(subject.job.model.path);
  subject.storage = [quantization = load.quantization](const std::string& module) { return scheme_for(quantization, module); };
  subject.outline = outline_model(subject.config);
  return [config = subject.config, load, seed = subject.job.train.seed] { return random_model(config, load, seed); };
}

/// With the job's data, unless others are asked for.
MakeModel base_of_files(BenchSubject& subject, LoadOptions load, bool own_data, const Log& log, const std::stop_token& stop) {
  Job& job = subject.job;
  const auto base = std::make_shared<Base>(open_base(job.model));
  load.task = own_data ? task_of_job(job, *base->files, stop) : task_of(job.model, *base->files);
  job.adapter = with_new_tokens(job.adapter, job.model, base->tokenizer);
  subject.config = base->files->config(), subject.outline = outline_model(*base->files, load.task);
  subject.storage = [base, quantization = load.quantization](const std::string& module) { return storage_of(*base->files, quantization, module); };
  if (own_data) subject.data = prepare_for(*base, *subject.outline, job.data, virtual_tokens_of(job.adapter), log, stop).train;
  return [base, load, log, stop] { return load_base(*base, load, log, stop); };
}

/// Sets the plan, and what the job leaves to the memory.
void settle_memory(BenchSubject& subject, at::Device device, const Log& log) {
  Job& job = subject.job;
  const StepPlanner planner(*subject.outline, subject.config, subject.storage, job.adapter, job.quantization);
  const MemoryChoice choice = choose_for_memory(job.train, {{planner, shape_of(job, subject.lengths, device)}}, device_memory(device).free);
  if (job.train.recompute == automatic) log.info("train.recompute: {}: {}", choice.recompute, choice.why);
  job.train.recompute = choice.recompute, job.train.graphs = choice.graphs;
  subject.plan = planner.plan(shape_of(job, subject.lengths, device));
}

/// A CPU's memory would not run out with an error: the system ends a process for it.
void check_that_it_fits(const BenchSubject& subject, at::Device device) {
  constexpr double gib = 1 << 30;
  const auto planned = static_cast<double>(subject.plan.bytes()), there = static_cast<double>(device_memory(device).total);
  require(planned <= there, "{} x {} tokens of {} take {:.1f} GiB by the plan, and {} has {:.1f}: a smaller --batch, quantization.format=nf4, train.recompute=layer",
          subject.job.train.micro_batch_size, subject.lengths.longest, std::filesystem::path(subject.job.model.path).stem().string(), planned / gib, device.str(), there / gib);
}

/// Then the keys of another method must not be there.
bool names_method(const std::vector<std::string>& overrides) {
  return std::ranges::any_of(overrides, [](const std::string& o) { return o.starts_with("adapter.method=") || o.starts_with("adapter="); });
}

std::filesystem::path config_named(const std::string& what) try {
  return find_config(what);
} catch (const RequestError& e) {
  std::vector<std::string> names;
  for (const auto& file : installed_shapes()) names.push_back(file.stem());
  refuse("{}; nor is it a shape{}; shapes: {}", e.what(), did_you_mean(what, names), join(names));
}

}  // namespace

Job bench_job(const std::string& what, const std::vector<std::string>& overrides) {
  std::vector<std::string> all = overrides;
  const auto shape = find_shape(what);
  if (shape) all.insert(all.begin(), "model.path=" + shape->string());
  Job job = sole_job(read_config(shape ? shapes_folder() / (names_method(overrides) ? "job.yaml" : "lora.yaml") : config_named(what), all));
  if (const auto named = find_shape(job.model.path)) job.model.path = named->string();
  return job;
}

BenchSubject bench_subject(Job job, const std::optional<BenchRows>& rows, const std::filesystem::path& lengths, const std::filesystem::path& scratch,
                           const Log& log, std::stop_token stop) {
  if (rows) job.train.micro_batch_size = rows->rows, job.data.max_length = static_cast<int>(rows->columns);
  const bool random = job.model.path.ends_with(".json"), given = rows || !lengths.empty();
  const at::Device device = device_from_name(job.device);
  const LoadOptions load{device, dtype_from_name(job.train.dtype, device), job.quantization};
  BenchSubject subject;
  subject.job = std::move(job);
  const MakeModel make_model = random ? random_base(subject, load) : base_of_files(subject, load, !given, log, stop);
  const TrainOptions& train = subject.job.train;
  if (!subject.data) {
    const auto count = static_cast<size_t>(steps_of_rows * train.micro_batch_size * train.gradient_accumulation_steps);
    const auto all = lengths.empty() ? std::vector<int64_t>(count, subject.job.data.max_length) : read_lengths(lengths);
    subject.full_rows = lengths.empty();
    subject.data = random_dataset(all, subject.outline->vocab_size(), train.seed, scratch / "samples");
  }
  subject.lengths = lengths_of(subject.job, *subject.outline, *subject.data, device);
  settle_memory(subject, device, log);
  check_that_it_fits(subject, device);
  subject.model = make_model();
  graft_adapter(*subject.model, sole_adapter, subject.job.adapter, train.seed, log);
  add_fake_quantization(*subject.model, sole_adapter, subject.job.quantization, log);
  return subject;
}

}  // namespace graft
