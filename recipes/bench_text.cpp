// What a bench found, for people.
#include "bench.h"
#include "graft/core/error.h"

namespace graft {

std::string bench_text(const Json& r) {
  const auto number = [&](const char* key) { return r.at(key).get<double>(); };
  const auto word = [&](const char* key) { return r.at(key).get<std::string>(); };
  const auto count = [&](const char* key) { return r.at(key).get<int64_t>(); };
  std::string text = fmt::format("{}: {}\n{}\n", word("model"), word("describe"), word("card"));
  text += fmt::format("{} trains {} of {} numbers; base {}, computed in {}, recompute {}, {} of {} layers fused\n", word("adapter"), count("trained"),
                      count("weights"), word("format") == "none" ? "dense" : word("format"), word("dtype"), word("recompute"), count("fused_layers"), count("layers"));
  text += fmt::format("{}{} x {}{} tokens, {:.0f} real ones a step; {} steps in {:.1f} s after {} to warm up\n\n",
                      count("accumulation") > 1 ? fmt::format("{} x ", count("accumulation")) : "", count("rows"), r.at("full_rows").get<bool>() ? "" : "up to ",
                      count("columns"), number("tokens_per_step"), count("steps"), number("seconds"), count("warm_up_steps"));
  text += fmt::format("step      {:.2f} ms, half of them {:.2f} to {:.2f}, all {:.2f} to {:.2f}\n", number("step_ms"), number("step_ms_q1"),
                      number("step_ms_q3"), number("step_ms_min"), number("step_ms_max"));
  text += fmt::format("tokens/s  {:.0f}\n", number("tokens_per_second"));
  if (r.contains("floor_ms"))
    text += fmt::format("floor     {:.2f} ms ({:.2f} products at {:.3g} TFLOP/s, {:.2f} attention), {:.0f} tokens/s: {:.1f} % of it is reached\n",
                        number("floor_ms"), number("floor_products_ms"), number("floor_tflops"), number("floor_attention_ms"),
                        number("floor_tokens_per_second"), 100 * number("share_of_floor"));
  text += fmt::format("memory    {:.2f} GiB in tensors at most, {:.2f} GiB taken from the device; the plan says {:.2f}\n", number("peak_allocated_gib"),
                      number("peak_reserved_gib"), number("planned_gib"));
  text += fmt::format("loss      {:.4f} at first, {:.4f} at last{}\n", number("first_loss"), number("last_loss"),
                      count("skipped_steps") > 0 ? fmt::format("; {} steps were not finite", count("skipped_steps")) : "");
  return text;
}

}  // namespace graft
