#include "bench.h"

#include <algorithm>
#include <ctime>

#include "dense_cache.h"
#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/core/tensor_peak.h"
#include "graft/models/floor.h"
#include "graft/train/trainer.h"
#include "out_of_memory.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double gib = 1 << 30;
constexpr int64_t warm_steps = 3, fewest_steps = 5;

/// A folder that goes with it.
class ScratchFolder {
 public:
  ScratchFolder() : path_((fs::temp_directory_path() / "graft_bench_XXXXXX").string()) {
    check(mkdtemp(path_.data()) != nullptr, "no folder can be made in {}", fs::temp_directory_path().string());
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path path() const { return path_; }

 private:
  std::string path_;
};

/// What ends the training once enough was seen.
struct Enough {};

/// Takes the time from step to step, whatever a step does between; the first ones, and a fifth of the time asked for, warm up.
class StepTimer : public Observer {
 public:
  StepTimer(double seconds, std::stop_token stop) : wanted_(seconds), stop_(std::move(stop)) {}

  void on_step(const StepReport& report) override {
    if (stop_.stop_requested()) throw Stopped("stopped before enough was measured");
    const auto now = Clock::now();
    if (steps.empty() && (report.step <= warm_steps || since(began_, now) < wanted_ / 5)) {
      if (report.step == 1) first_loss = report.loss;
      warmed_up = report.step, measured_from_ = now, processor_from_ = std::clock();
    } else {
      steps.push_back(since(last_, now)), tokens += report.tokens, targets += report.targets;
      last_loss = report.loss, skipped = report.skipped_total;
    }
    last_ = now;
    if (std::ssize(steps) < fewest_steps || since(measured_from_, now) < wanted_) return;
    seconds = since(measured_from_, now);
    processor_seconds = static_cast<double>(std::clock() - processor_from_) / CLOCKS_PER_SEC;
    throw Enough();
  }

  std::vector<double> steps;
  double seconds = 0, processor_seconds = 0;   // of the steps measured; the second of all threads
  int64_t warmed_up = 0, tokens = 0, targets = 0, skipped = 0;
  double first_loss = 0, last_loss = 0;

 private:
  static double since(Clock::time_point from, Clock::time_point to) { return std::chrono::duration<double>(to - from).count(); }
  double wanted_;
  std::stop_token stop_;
  Clock::time_point began_ = Clock::now(), last_{}, measured_from_{};
  std::clock_t processor_from_ = 0;
};

/// The training itself, as a run has it, with nothing behind its last step.
void train(const BenchSubject& subject, const fs::path& scratch, StepTimer& timer, const Log& log) {
  const Job& job = subject.job;
  const std::shared_ptr<Method> method = make_method(job.adapter);
  TrainOptions options = job.train;
  options.max_steps = int64_t{1} << 40, options.lr_scheduler = "constant", options.warmup_steps = 0;
  Trainer trainer({*subject.model, sole_adapter, [method](std::string_view name) { return method->lr_scale(name); }, *subject.data,
                   job.data.packing ? job.data.max_length : 0, subject.lengths.shared, options, *options.learning_rate, {}, {}, {}, scratch, {}, {}, log,
                   subject.model->device().is_cuda()});
  DenseCache cache(*subject.model, timer, log);
  try {
    trainer.run(job.quantization.cache == "auto" ? static_cast<Observer&>(cache) : timer);
  } catch (const Enough&) {
  }
}

void put_steps(Json& result, const BenchSubject& subject, const StepTimer& timer) {
  std::vector<double> sorted = timer.steps;
  std::ranges::sort(sorted);
  const auto at = [&](double share) { return 1e3 * sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)]; };
  const double tokens_per_step = static_cast<double>(timer.tokens) / static_cast<double>(sorted.size());
  result.update({{"steps", sorted.size()}, {"seconds", timer.seconds}, {"warm_up_steps", timer.warmed_up}, {"tokens_per_step", tokens_per_step},
                 {"step_ms", at(0.5)}, {"step_ms_min", at(0)}, {"step_ms_q1", at(0.25)}, {"step_ms_q3", at(0.75)}, {"step_ms_max", at(1)},
                 // Rows that are all alike: by the median step, which a hiccup does not move.
                 {"tokens_per_second", subject.full_rows ? 1e3 * tokens_per_step / at(0.5) : static_cast<double>(timer.tokens) / timer.seconds},
                 {"processor_per_wall", timer.processor_seconds / timer.seconds},
                 {"first_loss", timer.first_loss}, {"last_loss", timer.last_loss}, {"skipped_steps", timer.skipped}});
}

void put_memory(Json& result, const BenchSubject& subject, at::Device device, int64_t allocated_on_cpu) {
  const DeviceMemory memory = device_memory(device);
  const StepPlan& plan = subject.plan;
  Json parts = Json::object();
  for (const auto& part : plan.memory) parts[part.kind] = static_cast<double>(part.bytes) / gib;
  result.update({{"peak_allocated_gib", static_cast<double>(device.is_cpu() ? allocated_on_cpu : memory.allocated_peak) / gib},
                 {"peak_reserved_gib", static_cast<double>(device.is_cpu() ? memory.allocated_peak : memory.reserved_peak) / gib},
                 {"planned_gib", static_cast<double>(plan.bytes()) / gib}, {"planned", parts},
                 {"trained", plan.trained}, {"weights", plan.weights}});
}

/// The model is gone by now: the floor has the device for itself.
void put_floor(Json& result, const BenchSubject& subject, at::Device device, double seconds) {
  const TrainOptions& train = subject.job.train;
  const FloorShape shape{train.micro_batch_size, subject.lengths.longest, dtype_from_name(train.dtype, device), recompute_named(train.recompute)};
  const Floor floor = measure_floor(*subject.outline, subject.config, shape, device, seconds);
  const auto passes = static_cast<double>(train.gradient_accumulation_steps);
  result.update({{"floor_ms", 1e3 * passes * floor.seconds()}, {"floor_products_ms", 1e3 * passes * floor.products_seconds},
                 {"floor_attention_ms", 1e3 * passes * floor.attention_seconds},
                 {"floor_tflops", floor.product_flops / floor.products_seconds / 1e12},
                 {"floor_tokens_per_second", static_cast<double>(shape.rows * shape.columns) / floor.seconds()},
                 {"share_of_floor", 1e3 * passes * floor.seconds() / result.at("step_ms").get<double>()}});
}

}  // namespace

Json bench(const Job& job, const BenchRequest& request, const Log& log, std::stop_token stop) {
  TensorPeak tensors;
  const ScratchFolder scratch;
  BenchSubject subject = bench_subject(job, request.rows, request.lengths, scratch.path(), log, stop);
  const at::Device device = subject.model->device();
  reset_peak_memory(device), tensors.reset();
  StepTimer timer(request.seconds, stop);
  try {
    train(subject, scratch.path(), timer, log);
  } catch (const std::exception& e) {
    if (!is_out_of_memory(e)) throw;
    fail("{}", out_of_memory_text(e, subject.job, device_memory(device).allocated_peak));
  }
  const Job& done = subject.job;
  Json result = {{"program", "graft"}, {"version", GRAFT_VERSION}, {"model", fs::path(done.model.path).stem().string()},
                 {"describe", subject.model->describe()}, {"card", device_title(device)}, {"adapter", done.adapter.method},
                 {"format", done.quantization.format}, {"dtype", dtype_to_name(subject.model->dtype())}, {"recompute", done.train.recompute},
                 {"rows", done.train.micro_batch_size}, {"columns", subject.lengths.longest}, {"accumulation", done.train.gradient_accumulation_steps},
                 {"full_rows", subject.full_rows}, {"packed", done.data.packing}, {"layers", subject.model->layers()},
                 {"fused_layers", subject.model->fused_layers(sole_adapter)}};
  put_steps(result, subject, timer);
  put_memory(result, subject, device, tensors.peak());
  subject.model.reset();
  release_memory(device);
  if (request.floor && subject.full_rows) put_floor(result, subject, device, request.seconds / 4);
  return result;
}

}  // namespace graft
