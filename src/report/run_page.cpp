#include "graft/report/run_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "run_parts.h"
#include "svg.h"

namespace graft {
namespace {

const Curve& curve_of(const std::map<std::string, Curve>& curves, const std::string& name) {
  static const Curve none;
  const auto it = curves.find(name);
  return it == curves.end() ? none : it->second;
}

std::string loss_finding(const RunHistory& run) {
  const Curve &loss = curve_of(run.training, "loss"), &held_out = curve_of(run.held_out, "loss");
  if (loss.empty()) return "<p>No step has been taken yet.</p>\n";
  const Curve smooth = smoothed(loss);
  std::string out = fmt::format("<p>The training loss went from <b>{}</b> to <b>{}</b> in {} steps",
                                number_shown(loss.values.front()), number_shown(smooth.last()), with_commas(run.last_step()));
  if (held_out.empty()) return out + "; nothing was held out to judge it by.</p>\n";
  const auto best =
      static_cast<size_t>(std::min_element(held_out.values.begin(), held_out.values.end()) - held_out.values.begin());
  return out + fmt::format("; on held-out data it stands at <b>{}</b>{}.</p>\n", number_shown(held_out.last()),
                           best + 1 < held_out.values.size()
                               ? fmt::format(", with its best, {}, at step {:.0f}", number_shown(held_out.values[best]),
                                             held_out.steps[best])
                               : std::string());
}

std::string state_of(const RunHistory& run) {
  if (run.finished()) return "finished";
  return fmt::format("at step {} of {}", with_commas(run.last_step()), with_commas(run.total_steps()));
}

std::string head(const RunHistory& run) {
  std::string out = "<header><p class=\"eyebrow\">A fine-tuning run, " + state_of(run) + "</p>\n<h1>" + svg::escape(run.name) +
                    "</h1>\n<div class=\"findings\">" + loss_finding(run);
  if (run.skipped > 0)
    out += fmt::format("<p class=\"warn\">{} {} skipped: not finite.</p>\n", run.skipped,
                       run.skipped == 1 ? "step was" : "steps were");
  const Curve& rate = curve_of(run.training, "tokens_per_second");
  int64_t trained = 0;
  for (const Json& session : run.sessions) trained = session.value("trainable_parameters", trained);
  return out + "</div>\n" +
         facts({{"Model", run.model},
                {"Method", run.method},
                {"Trained parameters", trained ? with_commas(trained) : ""},
                {"Steps", with_commas(run.last_step())},
                {"Tokens seen", with_commas(std::llround(run.tokens))},
                {"Time in steps", duration_shown(run.seconds)},
                {"Tokens a second", rate.empty() ? "" : with_commas(std::llround(median(rate)))},
                {"Peak memory", gib_shown(curve_of(run.training, "memory").last())}}) +
         "</header>\n";
}

std::string metrics_chart(const RunHistory& run) {
  Chart chart{"Accuracy and metrics", "On held-out data; higher is better.", "", {}};
  for (const auto& [name, curve] : run.held_out) {
    if (name == "loss" || name == "perplexity") continue;
    chart.series.push_back({spoken(name), fmt::format("c{}", (4 + chart.series.size()) % 6), curve});
  }
  return line_chart(chart);
}

std::string charts(const RunHistory& run) {
  const auto training = [&](const char* name) -> const Curve& { return curve_of(run.training, name); };
  const std::string smooth = "Faint: each step; strong: an exponential mean over a fiftieth of them.";
  const Curve &loss = training("loss"), &speed = training("tokens_per_second");
  std::string out = line_chart({"Loss", smooth, "nats a target",
                                {{"", "c3", loss, true}, {"train", "c3", smoothed(loss)}, {"held out", "c5", curve_of(run.held_out, "loss")}}});
  out += metrics_chart(run);
  out += line_chart({"Gradient norm", "Before clipping, as measured at each step.", "norm", {{"norm", "c0", training("gradient_norm")}},
                     Chart::Scale::decades});
  out += line_chart({"Learning rate", "The schedule’s, for a parameter without a factor of its own.", "rate",
                     {{"rate", "c2", training("learning_rate")}}});
  out += line_chart({"Speed", smooth, "tokens a second", {{"", "c4", speed, true}, {"tokens a second", "c4", smoothed(speed)}},
                     Chart::Scale::from_zero});
  out += line_chart({"Memory", "The peak so far: the allocator’s on a GPU, the process’s on a CPU.", "GiB",
                     {{"peak", "c1", scaled(training("memory"), 1.0 / (1 << 30))}}, Chart::Scale::from_zero});
  return out.empty() ? "" : "<div class=\"pair\">\n" + out + "</div>\n";
}

}  // namespace

std::string run_page(const RunHistory& run) {
  return document(run.name, head(run) + charts(run) + section("What it says to the same prompts", sample_answers(run)) +
                                section("Steps that stand out", spike_table(run)) + section("Data", data_table(run)) +
                                section("Configuration", "<pre class=\"long\">" + svg::escape(run.job) + "</pre>\n") +
                                section("Environment", environment(run)) + section("To run it again", reproduction(run)));
}

}  // namespace graft
