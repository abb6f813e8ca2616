#include "memory_choice.h"

#include <fmt/format.h>

#include <algorithm>

#include "graft/train/step_graphs.h"

namespace graft {
namespace {

constexpr double usable = 0.9;   // of what is free: the allocator's pieces, the driver's own

struct Taken {
  int64_t bytes = 0, pool = 0;
};

Taken taken_by(const std::vector<PlannedPass>& passes, Recompute mode) {
  Taken most;
  for (const PlannedPass& pass : passes) {
    StepShape shape = pass.shape;
    shape.recompute = mode;
    const StepPlan plan = pass.planner.plan(shape);
    most.bytes = std::max(most.bytes, plan.bytes() + pass.beside), most.pool = std::max(most.pool, graphs_pool(plan, shape));
  }
  return most;
}

/// Blocks of the plain path know two ways; a CPU's host memory is its own.
std::vector<Recompute> ways(const TrainOptions& asked, const std::vector<PlannedPass>& passes) {
  if (asked.recompute != automatic) return {recompute_named(asked.recompute)};
  const StepShape& shape = passes.front().shape;
  if (passes.front().planner.plan(shape).fused_layers == 0) return {Recompute::none, Recompute::layer};
  if (shape.on_cpu) return {Recompute::none, Recompute::gate_up, Recompute::layer};
  return {Recompute::none, Recompute::gate_up, Recompute::layer, Recompute::offload};
}

std::string name_of(Recompute mode) { return std::string(recompute_names()[static_cast<size_t>(mode)]); }

}  // namespace

std::string memory_text(int64_t bytes) {
  const auto b = static_cast<double>(bytes);
  return b >= (1 << 30) / 10.0 ? fmt::format("{:.2f} GiB", b / (1 << 30)) : fmt::format("{:.2f} MiB", b / (1 << 20));
}

int64_t graphs_pool(const StepPlan& plan, const StepShape& shape) {
  if (shape.on_cpu || !plan.replays || shape.recompute == Recompute::offload) return 0;
  return StepGraphs::waits_for_launches(shape.tokens(), plan.hidden_size) ? plan.bytes() - plan.between_steps : 0;
}

MemoryChoice choose_for_memory(const TrainOptions& asked, const std::vector<PlannedPass>& passes, int64_t free) {
  const auto room = static_cast<int64_t>(usable * static_cast<double>(free));
  MemoryChoice choice;
  std::string larger;
  for (const Recompute mode : ways(asked, passes)) {
    const auto [bytes, pool] = taken_by(passes, mode);
    choice.recompute = name_of(mode), choice.bytes = bytes, choice.graphs = asked.graphs, choice.fits = bytes <= room;
    if (asked.graphs == automatic && pool > 0) {
      const bool both = bytes + pool <= room;
      choice.graphs = both ? automatic : "off", choice.bytes += both ? pool : 0;
    }
    if (choice.fits) break;
    larger += fmt::format("{}{} {}", larger.empty() ? "" : ", ", choice.recompute, memory_text(bytes));
  }
  choice.why = fmt::format("a step takes {} by the plan{}; {} are free, of which a tenth is left", memory_text(choice.bytes),
                           choice.fits && !larger.empty() ? fmt::format(" (too much: {})", larger) : "", memory_text(free));
  if (choice.graphs != asked.graphs) choice.why += "; its CUDA graphs would want as much again as lives within a pass";
  return choice;
}

}  // namespace graft
