#include "plan.h"

#include <algorithm>
#include <cmath>

#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/data/batches.h"
#include "graft/train/trainer.h"
#include "memory_choice.h"
#include "sample_lengths.h"
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
  Job job;
  Json config;
  std::shared_ptr<Transformer> outline;
  std::unique_ptr<StepPlanner> planner;
  SampleLengths lengths;
  double tokens = 0, steps = 0;  // of the whole run
  double computed = 1;           // share of the tokens, where samples share their beginning
  bool from_data = false;
  StepShape shape;               // of the job's own micro-batch

  StepPlan step(StepShape other, int64_t rows, Recompute recompute) const {
    other.rows = rows, other.recompute = recompute;
    return planner->plan(other);
  }
};

void take_lengths(Planned& p, const Dataset& data, at::Device device) {
  double epoch = 0;
  for (const SourceReport& source : data.reports()) epoch += static_cast<double>(source.tokens) * source.repeat;
  p.lengths = lengths_of(p.job, *p.outline, data, device);
  const TrainOptions& train = p.job.train;
  const Batches batches(data, {.micro_batch_size = train.micro_batch_size,
                               .gradient_accumulation_steps = train.gradient_accumulation_steps,
                               .seed = train.seed,
                               .row_length = p.job.data.packing ? p.job.data.max_length : 0,
                               .slots = virtual_tokens_of(p.job.adapter)});
  p.steps = static_cast<double>(total_steps(train, batches.steps_per_epoch()));
  p.tokens = epoch * p.steps / static_cast<double>(batches.steps_per_epoch());
  const double samples = static_cast<double>(train.micro_batch_size), mean = epoch / static_cast<double>(batches.samples_per_epoch());
  p.computed = 1 - static_cast<double>(p.lengths.shared) * (samples - 1) / (samples * mean);
  p.from_data = true;
}

Planned look_at(const Job& job, const PlanRequest& request, const Log& log, const std::stop_token& stop) {
  Planned p{.job = job};
  Storage storage;
  const at::Device device = request.gpu ? at::Device(at::kCUDA) : device_from_name(job.device);
  const bool fp8 = job.train.dtype == "fp8";
  if (request.gpu && (fp8 || job.train.dtype == "auto")) p.job.train.dtype = "bf16";   // of a card that is not asked
  p.lengths.longest = job.data.max_length;
  const bool alone = job.model.path.ends_with(".json");
  if (alone) {
    require(request.tokens.has_value(), "{} is a config alone, without a tokenizer: say --tokens N", job.model.path);
    p.config = read_json(job.model.path), p.outline = outline_model(p.config);
    storage = [&job](const std::string& module) { return scheme_for(job.quantization, module); };
  } else {
    auto base = std::make_shared<Base>(open_base(job.model));
    const Task task = request.tokens ? task_of(job.model, *base->files) : task_of_job(job, *base->files, stop);
    p.config = base->files->config(), p.outline = outline_model(*base->files, task);
    storage = [base, &job](const std::string& module) { return storage_of(*base->files, job.quantization, module); };
    if (!request.tokens)
      take_lengths(p, prepare_for(*base, *p.outline, job.data, virtual_tokens_of(job.adapter), log, stop).train, device);
  }
  if (request.tokens) {
    p.tokens = static_cast<double>(*request.tokens);
    p.steps =
        std::ceil(p.tokens / static_cast<double>(job.train.micro_batch_size * job.train.gradient_accumulation_steps * p.lengths.longest));
  }
  p.planner = std::make_unique<StepPlanner>(*p.outline, p.config, storage, job.adapter, job.quantization);
  p.shape = shape_of(p.job, p.lengths, device);
  p.shape.fp8 = fp8;
  return p;
}

std::string duration(double seconds) {
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  return seconds < 7200 ? fmt::format("{:.0f} min", seconds / 60) : fmt::format("{:.1f} h", seconds / 3600);
}

std::string bar(double value, double most) { return std::string(static_cast<size_t>(std::lround(40 * value / most)), '#'); }

std::string kinds_text(const StepPlan& plan) {
  std::string text = fmt::format("memory at its fullest, in {}: {}\n", plan.moment, memory_text(plan.bytes()));
  for (const auto& [kind, bytes] : plan.memory)
    text += fmt::format("  {:<34} {:>11}  {}\n", kind, memory_text(bytes),
                        bar(static_cast<double>(bytes), static_cast<double>(plan.bytes())));
  return text;
}

std::vector<Recompute> ways(const Planned& p) {
  if (p.planner->plan(p.shape).fused_layers == 0) return {Recompute::none, Recompute::layer};
  return {Recompute::none, Recompute::gate_up, Recompute::layer, Recompute::offload};
}

/// Micro-batches round the job's, with and without recompute.
std::string trade_text(const Planned& p) {
  const int64_t own = p.shape.rows;
  std::vector<std::tuple<int64_t, Recompute, int64_t, double>> rows;
  int64_t most = 0;
  for (int64_t n = std::max<int64_t>(1, own / 4); n <= own * 4; n *= 2)
    for (const Recompute mode : ways(p)) {
      const StepPlan plan = p.step(p.shape, n, mode);
      rows.emplace_back(n, mode, plan.bytes(), plan.token_flops), most = std::max(most, plan.bytes());
    }
  std::string text = "micro-batch against recompute (FLOPs a token against keeping all)\n";
  for (const auto& [n, mode, bytes, flops] : rows)
    text += fmt::format("  {:>4} x {:<6} {:<8} {:>11}  x{:.2f}  {:<40}{}\n", n, p.lengths.longest, recompute_names()[static_cast<size_t>(mode)], memory_text(bytes),
                        flops / std::get<3>(rows.front()), bar(static_cast<double>(bytes), static_cast<double>(most)),
                        n == own && mode == p.shape.recompute ? "  <- this job" : "");
  return text;
}

/// The largest micro-batch of a power of two up to 64 that fits.
std::string largest(const Planned& p, const StepShape& gpu, Recompute mode, double room) {
  int64_t best = 0;
  for (int64_t n = 1; n <= 64 && static_cast<double>(p.step(gpu, n, mode).bytes()) <= room; n *= 2) best = n;
  return best == 0 ? "-" : fmt::format("{} x {}", best, p.lengths.longest);
}

std::string cards_text(const Planned& p) {
  StepShape gpu = p.shape;
  gpu.on_cpu = false, gpu.fused = true, gpu.dtype = at::kBFloat16;
  const auto own = fmt::format("auto for {} x {}", p.shape.rows, p.lengths.longest);
  std::string text = fmt::format("GPUs, bf16, {:.0f} GiB left to the driver: the largest micro-batch without and with recompute, and what train.recompute is for this job's\n"
                                 "  {:>41} {:>12} {:>20}\n", card_reserve, "none", "layer", own);
  TrainOptions automatically;
  automatically.graphs = "off";
  for (const Card& card : cards) {
    const double room = (card.gib - card_reserve) * gib;
    const MemoryChoice choice = choose_for_memory(automatically, {{*p.planner, gpu}}, static_cast<int64_t>(room));
    text += fmt::format("  {:>4} GiB  {:<26} {:>12} {:>12} {:>20}\n", card.gib, card.examples, largest(p, gpu, Recompute::none, room), largest(p, gpu, Recompute::layer, room),
                        choice.fits ? choice.recompute : "-");
  }
  return text;
}

/// What the device here leaves of `auto`; on one that is not here nothing is known of its memory.
std::string settle(Planned& p, const PlanRequest& request, int64_t beside) {
  TrainOptions& train = p.job.train;
  if (request.gpu) return train.recompute == automatic ? "recompute: auto, as the card's memory has it (below); here all is kept\n" : "";
  const MemoryChoice choice = choose_for_memory(train, {{*p.planner, p.shape, beside}}, device_memory(device_from_name(p.job.device)).free);
  const std::string text = fmt::format("recompute: {}{}: {}\n", choice.recompute, train.recompute == automatic ? " (chosen)" : "", choice.why);
  p.shape.recompute = recompute_named(choice.recompute), train.recompute = choice.recompute, train.graphs = choice.graphs;
  return text;
}

std::string plan_one(const Job& job, const PlanRequest& request, int64_t beside, const Log& log, const std::stop_token& stop) {
  const at::Device device = request.gpu ? at::Device(at::kCUDA) : device_from_name(job.device);
  Planned p = look_at(job, request, log, stop);
  const std::string recompute = settle(p, request, beside);
  StepPlan plan = p.planner->plan(p.shape);
  if (beside > 0) plan.memory.push_back({"the other adapters", beside});
  const double tflops = request.tflops.value_or(default_tflops(device.is_cpu())),
               seconds = plan.token_flops * p.computed * p.tokens / (tflops * 1e12);
  std::string text = fmt::format("{}: {}\n{} of {} numbers are trained ({}), {} of {} layers fused\n", job.model.path, p.outline->describe(),
                                 plan.trained, plan.weights, job.adapter.method, plan.fused_layers, p.outline->layers());
  text += fmt::format("{} x {} tokens in a forward pass{}, {} of them a step, {} on {}\n{}\n", job.train.micro_batch_size, p.lengths.longest,
                      p.lengths.shared > 0 ? fmt::format(" (the first {}, which are all samples', once)", p.lengths.shared) : "", job.train.gradient_accumulation_steps,
                      dtype_to_name(p.shape.dtype), device.str(), recompute);
  text += kinds_text(plan);
  if (const int64_t pool = p.job.train.graphs == automatic ? graphs_pool(plan, p.shape) : 0)
    text += fmt::format("  CUDA graphs of small passes (train.graphs) hold {} besides\n", memory_text(pool));
  if (!request.gpu) {
    const DeviceMemory memory = device_memory(device);
    text += fmt::format("  {}: {} of {} are free here\n", plan.bytes() <= memory.free ? "fits" : "does NOT fit",
                        memory_text(memory.free), memory_text(memory.total));
  }
  text += "\n";
  text += fmt::format("{:.0f} tokens{}, {:.0f} steps; {:.3g} GFLOP a token, {:.3g} TFLOP a step\n", p.tokens,
                      p.from_data ? "" : " (as told)", p.steps, plan.token_flops / 1e9,
                      plan.token_flops * p.computed * p.tokens / std::max(1.0, p.steps) / 1e12);
  text += fmt::format("about {} at {} TFLOP/s{}\n\n", duration(seconds), tflops,
                      request.tflops ? "" : " (measured elsewhere; --tflops says what this device sustains)");
  return text + trade_text(p) + "\n" + cards_text(p);
}

}  // namespace

double default_tflops(bool on_cpu) { return on_cpu ? 0.1 : 275; }

std::string plan_text(const Jobs& jobs, const PlanRequest& request, const Log& log, std::stop_token stop) {
  if (jobs.each.size() == 1) return plan_one(jobs.each.front().job, request, 0, log, stop);
  // Each adapter's pass beside what the others hold.
  std::vector<int64_t> held;
  for (const auto& [name, job] : jobs.each) {
    const Planned p = look_at(job, {.tokens = 1}, log, stop);
    held.push_back(p.planner->adapter_bytes());
  }
  std::string text;
  int64_t all = 0;
  for (const int64_t bytes : held) all += bytes;
  for (size_t i = 0; i < jobs.each.size(); ++i)
    text += fmt::format("# {}\n{}\n", jobs.each[i].name, plan_one(jobs.each[i].job, request, all - held[i], log, stop));
  return text;
}

}  // namespace graft
