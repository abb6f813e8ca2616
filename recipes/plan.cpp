#include "plan.h"

#include <algorithm>
#include <cmath>

#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/data/batches.h"
#include "graft/train/trainer.h"
#include "session.h"
#include "task.h"

namespace graft {
namespace {

constexpr double gib = 1 << 30;
constexpr double card_reserve = 1;  // GiB that the driver's context and the allocator's rounding are assumed to take
struct Card {
  int gib;
  const char* examples;
};
constexpr Card cards[] = {{8, "RTX 3070, 4060"},           {12, "RTX 3060, 4070"}, {16, "T4, V100, RTX 4080"},
                          {24, "RTX 3090, 4090, A10, L4"}, {40, "A100 40GB"},      {48, "A40, L40S, RTX 6000 Ada"},
                          {80, "A100 80GB, H100"},         {141, "H200"}};

/// A job on its base, as far as shapes go.
struct Planned {
  const Job& job;
  Json config;
  std::shared_ptr<Transformer> outline;
  Storage storage;
  int64_t longest = 0;
  double tokens = 0, steps = 0;  // of the whole run
  bool from_data = false;
};

/// What the two modes between keep is nearer to the mode above them: a plan says too much rather than too little.
bool recomputes_layers(const Job& job) { return recompute_named(job.train.recompute) >= Recompute::layer; }

StepShape shape_of(const Job& job, int64_t rows, int64_t longest, bool recompute, bool on_cpu, at::ScalarType dtype) {
  return {.rows = rows,
          .columns = longest,
          .dtype = dtype,
          .on_cpu = on_cpu,
          .recompute = recompute,
          .accumulates = job.train.gradient_accumulation_steps > 1};
}

StepPlan step(const Planned& p, int64_t rows, bool recompute, bool on_cpu, at::ScalarType dtype) {
  return plan_step(*p.outline, p.config, p.storage, p.job.adapter, p.job.quantization,
                   shape_of(p.job, rows, p.longest, recompute, on_cpu, dtype));
}

void take_lengths(Planned& p, const Dataset& data) {
  double epoch = 0;
  for (const SourceReport& source : data.reports()) epoch += static_cast<double>(source.tokens) * source.repeat;
  p.longest = longest_row(p.job.data, data);
  const TrainOptions& train = p.job.train;
  const Batches batches(data, {.micro_batch_size = train.micro_batch_size,
                               .gradient_accumulation_steps = train.gradient_accumulation_steps,
                               .seed = train.seed,
                               .row_length = p.job.data.packing ? p.job.data.max_length : 0,
                               .slots = virtual_tokens_of(p.job.adapter)});
  p.steps = static_cast<double>(total_steps(train, batches.steps_per_epoch()));
  p.tokens = epoch * p.steps / static_cast<double>(batches.steps_per_epoch());
  p.from_data = true;
}

Planned look_at(const Job& job, const PlanRequest& request, const Log& log, const std::stop_token& stop) {
  Planned p{.job = job};
  p.longest = job.data.max_length;
  const bool alone = job.model.path.ends_with(".json");
  if (alone) {
    require(request.tokens.has_value(), "{} is a config alone, without a tokenizer: say --tokens N", job.model.path);
    p.config = read_json(job.model.path), p.outline = outline_model(p.config);
    p.storage = [&job](const std::string& module) { return scheme_for(job.quantization, module); };
  } else {
    auto base = std::make_shared<Base>(open_base(job.model));
    const Task task = request.tokens ? task_of(job.model, *base->files) : task_of_job(job, *base->files, stop);
    p.config = base->files->config(), p.outline = outline_model(*base->files, task);
    p.storage = [base, &job](const std::string& module) { return storage_of(*base->files, job.quantization, module); };
    if (!request.tokens)
      take_lengths(p, prepare_for(*base, *p.outline, job.data, virtual_tokens_of(job.adapter), log, stop).train);
  }
  if (request.tokens) {
    p.tokens = static_cast<double>(*request.tokens);
    p.steps =
        std::ceil(p.tokens / static_cast<double>(job.train.micro_batch_size * job.train.gradient_accumulation_steps * p.longest));
  }
  return p;
}

std::string size(int64_t bytes) {
  return static_cast<double>(bytes) >= gib / 10 ? fmt::format("{:.2f} GiB", static_cast<double>(bytes) / gib)
                                                : fmt::format("{:.2f} MiB", static_cast<double>(bytes) / (1 << 20));
}

std::string duration(double seconds) {
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  return seconds < 7200 ? fmt::format("{:.0f} min", seconds / 60) : fmt::format("{:.1f} h", seconds / 3600);
}

std::string bar(double value, double most) { return std::string(static_cast<size_t>(std::lround(40 * value / most)), '#'); }

std::string memory_text(const StepPlan& plan) {
  std::string text = fmt::format("memory at its fullest, in {}: {}\n", plan.moment, size(plan.bytes()));
  for (const auto& [kind, bytes] : plan.memory)
    text += fmt::format("  {:<34} {:>11}  {}\n", kind, size(bytes),
                        bar(static_cast<double>(bytes), static_cast<double>(plan.bytes())));
  return text;
}

/// Micro-batches round the job's, with and without recompute.
std::string trade_text(const Planned& p, bool on_cpu, at::ScalarType dtype) {
  const int64_t own = p.job.train.micro_batch_size;
  std::vector<std::tuple<int64_t, bool, int64_t, double>> rows;
  int64_t most = 0;
  for (int64_t n = std::max<int64_t>(1, own / 4); n <= own * 4; n *= 2)
    for (const bool recompute : {false, true}) {
      const StepPlan plan = step(p, n, recompute, on_cpu, dtype);
      rows.emplace_back(n, recompute, plan.bytes(), plan.token_flops), most = std::max(most, plan.bytes());
    }
  std::string text = "micro-batch against recompute (FLOPs a token against keeping all)\n";
  for (const auto& [n, recompute, bytes, flops] : rows)
    text +=
        fmt::format("  {:>4} x {:<6} {:<6} {:>11}  x{:.2f}  {:<40}{}\n", n, p.longest, recompute ? "layer" : "none", size(bytes),
                    flops / std::get<3>(rows.front()), bar(static_cast<double>(bytes), static_cast<double>(most)),
                    n == own && recompute == recomputes_layers(p.job) ? "  <- this job" : "");
  return text;
}

/// Bytes on a GPU for micro-batches that are powers of two up to 64.
std::vector<std::pair<int64_t, int64_t>> on_a_gpu(const Planned& p, bool recompute) {
  std::vector<std::pair<int64_t, int64_t>> all;
  for (int64_t n = 1; n <= 64; n *= 2) all.emplace_back(n, step(p, n, recompute, false, at::kBFloat16).bytes());
  return all;
}

std::string largest(const std::vector<std::pair<int64_t, int64_t>>& sizes, double room, int64_t longest) {
  int64_t best = 0;
  for (const auto& [n, bytes] : sizes)
    if (static_cast<double>(bytes) <= room) best = n;
  return best == 0 ? "-" : fmt::format("{} x {}", best, longest);
}

std::string cards_text(const Planned& p) {
  std::string text = fmt::format(
      "GPUs, bf16, {:.0f} GiB left to the driver: the largest micro-batch without and with recompute\n", card_reserve);
  const auto all = on_a_gpu(p, false), inputs = on_a_gpu(p, true);
  for (const Card& card : cards) {
    const double room = (card.gib - card_reserve) * gib;
    text += fmt::format("  {:>4} GiB  {:<26} {:>12} {:>12}\n", card.gib, card.examples, largest(all, room, p.longest),
                        largest(inputs, room, p.longest));
  }
  return text;
}

std::string plan_one(const Job& job, const PlanRequest& request, int64_t beside, const Log& log, const std::stop_token& stop) {
  const at::Device device = request.gpu ? at::Device(at::kCUDA) : device_from_name(job.device);
  const at::ScalarType dtype =
      request.gpu && job.train.dtype == "auto" ? at::kBFloat16 : dtype_from_name(job.train.dtype, device);
  const Planned p = look_at(job, request, log, stop);
  StepPlan plan = step(p, job.train.micro_batch_size, recomputes_layers(job), device.is_cpu(), dtype);
  if (beside > 0) plan.memory.push_back({"the other adapters", beside});
  const double tflops = request.tflops.value_or(default_tflops(device.is_cpu())),
               seconds = plan.token_flops * p.tokens / (tflops * 1e12);
  std::string text = fmt::format("{}: {}\n{} of {} numbers are trained ({})\n", job.model.path, p.outline->describe(),
                                 plan.trained, plan.weights, job.adapter.method);
  text += fmt::format("{} x {} tokens in a forward pass, {} of them a step, {} on {}\n\n", job.train.micro_batch_size, p.longest,
                      job.train.gradient_accumulation_steps, dtype_to_name(dtype), device.str());
  text += memory_text(plan);
  if (!request.gpu) {
    const DeviceMemory memory = device_memory(device);
    text += fmt::format("  {}: {} of {} are free here\n", plan.bytes() <= memory.free ? "fits" : "does NOT fit",
                        size(memory.free), size(memory.total));
  }
  text += "\n";
  text += fmt::format("{:.0f} tokens{}, {:.0f} steps; {:.3g} GFLOP a token, {:.3g} TFLOP a step\n", p.tokens,
                      p.from_data ? "" : " (as told)", p.steps, plan.token_flops / 1e9,
                      plan.token_flops * p.tokens / std::max(1.0, p.steps) / 1e12);
  text += fmt::format("about {} at {} TFLOP/s{}\n\n", duration(seconds), tflops,
                      request.tflops ? "" : " (measured elsewhere; --tflops says what this device sustains)");
  return text + trade_text(p, device.is_cpu(), dtype) + "\n" + cards_text(p);
}

}  // namespace

double default_tflops(bool on_cpu) { return on_cpu ? 0.1 : 275; }

int64_t longest_row(const DataOptions& options, const Dataset& data) {
  if (options.packing) return options.max_length;
  int64_t longest = 0;
  for (const SourceReport& source : data.reports()) longest = std::max(longest, source.length_max);
  return longest;
}

StepPlan plan_of(const Job& job, const ModelFiles& files, const Transformer& outline, at::Device device, int64_t longest) {
  const Storage storage = [&](const std::string& module) { return storage_of(files, job.quantization, module); };
  return plan_of(job, files.config(), storage, outline, device, longest);
}

StepPlan plan_of(const Job& job, const Json& config, const Storage& storage, const Transformer& outline, at::Device device, int64_t longest) {
  return plan_step(outline, config, storage, job.adapter, job.quantization,
                   shape_of(job, job.train.micro_batch_size, longest, recomputes_layers(job), device.is_cpu(),
                            dtype_from_name(job.train.dtype, device)));
}

std::string plan_text(const Jobs& jobs, const PlanRequest& request, const Log& log, std::stop_token stop) {
  if (jobs.each.size() == 1) return plan_one(jobs.each.front().job, request, 0, log, stop);
  // Each adapter's pass beside what the others hold.
  std::vector<int64_t> held;
  for (const auto& [name, job] : jobs.each) {
    const Planned p = look_at(job, {.tokens = 1}, log, stop);
    const StepPlan plan = step(p, 1, true, true, at::kFloat);
    held.push_back(plan.bytes("adapters") + plan.bytes("AdamW's moments"));
  }
  std::string text;
  int64_t all = 0;
  for (const int64_t bytes : held) all += bytes;
  for (size_t i = 0; i < jobs.each.size(); ++i)
    text += fmt::format("# {}\n{}\n", jobs.each[i].name, plan_one(jobs.each[i].job, request, all - held[i], log, stop));
  return text;
}

}  // namespace graft
