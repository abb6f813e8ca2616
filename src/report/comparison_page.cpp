#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "graft/report/run_page.h"
#include "run_parts.h"
#include "svg.h"

namespace graft {
namespace {

using Curves = std::map<std::string, Curve> RunHistory::*;

/// Colours that are far apart first; more than six runs share them.
std::string colour(size_t run) {
  constexpr std::string_view order[] = {"c3", "c5", "c4", "c0", "c2", "c1"};
  return std::string(order[run % 6]);
}

const Curve* find(const RunHistory& run, Curves where, const std::string& name) {
  const auto it = (run.*where).find(name);
  return it == (run.*where).end() ? nullptr : &it->second;
}

std::string overlay(const std::vector<RunHistory>& runs, Curves where, const std::string& name, Chart chart, bool smooth) {
  for (size_t i = 0; i < runs.size(); ++i)
    if (const Curve* curve = find(runs[i], where, name))
      chart.series.push_back({runs[i].name, colour(i), smooth ? smoothed(*curve) : *curve});
  if (name == "memory")
    for (Series& series : chart.series) series.curve = scaled(series.curve, 1.0 / (1 << 30));
  return line_chart(chart);
}

std::set<std::string> metric_names(const std::vector<RunHistory>& runs) {
  std::set<std::string> names;
  for (const RunHistory& run : runs)
    for (const auto& [name, curve] : run.held_out)
      if (name != "loss" && name != "perplexity") names.insert(name);
  return names;
}

std::string charts(const std::vector<RunHistory>& runs) {
  const auto training = &RunHistory::training, held_out = &RunHistory::held_out;
  std::string out =
      overlay(runs, held_out, "loss", {"Held-out loss", "", "nats a target", {}}, false) +
      overlay(runs, training, "loss", {"Training loss", "Smoothed over a fiftieth of the steps.", "nats a target", {}}, true);
  for (const std::string& name : metric_names(runs))
    out += overlay(runs, held_out, name, {"Held-out " + spoken(name), "", "", {}}, false);
  out += overlay(runs, training, "gradient_norm", {"Gradient norm", "Smoothed.", "norm", {}, Chart::Scale::decades}, true);
  out += overlay(runs, training, "learning_rate", {"Learning rate", "", "rate", {}}, false);
  out +=
      overlay(runs, training, "tokens_per_second", {"Speed", "Smoothed.", "tokens a second", {}, Chart::Scale::from_zero}, true);
  return "<div class=\"pair\">\n" + out +
         overlay(runs, training, "memory", {"Memory", "The peak so far.", "GiB", {}, Chart::Scale::from_zero}, false) +
         "</div>\n";
}

std::string run_cell(const std::vector<RunHistory>& runs, size_t i) {
  return fmt::format("<i class=\"swatch v0 {}\"></i>{}", colour(i), svg::escape(runs[i].name));
}

struct Column {
  std::string name;
  int better;                  // 1: more, -1: less, 0: neither
  std::vector<double> values;  // one a run; NaN: none
};

/// A column's best is bold, if there are two to tell apart.
std::string shown(const Column& column, size_t run) {
  const double value = column.values[run];
  if (std::isnan(value)) return "–";
  const bool best = column.better != 0 &&
                    std::none_of(column.values.begin(), column.values.end(),
                                 [&](double v) { return column.better * v > column.better * value; }) &&
                    std::any_of(column.values.begin(), column.values.end(),
                                [&](double v) { return column.better * v < column.better * value; });
  return best ? "<span class=\"best\">" + number_shown(value) + "</span>" : number_shown(value);
}

std::vector<Column> final_columns(const std::vector<RunHistory>& runs) {
  const auto training = &RunHistory::training, held_out = &RunHistory::held_out;
  std::vector<Column> columns;
  const auto add = [&](const std::string& name, int better, auto&& value) {
    columns.push_back({name, better, {}});
    for (const RunHistory& run : runs) columns.back().values.push_back(value(run));
  };
  const auto of = [](Curves where, const std::string& name, double (*number)(const Curve&)) {
    return [=](const RunHistory& run) {
      const Curve* curve = find(run, where, name);
      return curve ? number(*curve) : NAN;
    };
  };
  const auto end = [](const Curve& curve) { return curve.last(); };
  const auto least = [](const Curve& curve) { return *std::min_element(curve.values.begin(), curve.values.end()); };
  add("steps", 0, [](const RunHistory& run) { return static_cast<double>(run.last_step()); });
  add("training loss", -1, of(training, "loss", [](const Curve& curve) { return smoothed(curve).last(); }));
  add("held-out loss", -1, of(held_out, "loss", end));
  add("its best", -1, of(held_out, "loss", least));
  for (const std::string& name : metric_names(runs)) add(spoken(name), 1, of(held_out, name, end));
  add("tokens a second", 1, of(training, "tokens_per_second", median));
  add("minutes in steps", -1, [](const RunHistory& run) { return run.seconds / 60; });
  add("peak GiB", -1, of(training, "memory", [](const Curve& curve) { return curve.last() / (1 << 30); }));
  add("skipped", 0, [](const RunHistory& run) { return static_cast<double>(run.skipped); });
  return columns;
}

std::string final_numbers(const std::vector<RunHistory>& runs) {
  const std::vector<Column> columns = final_columns(runs);
  std::vector<std::string> heads{"run"};
  std::vector<std::vector<std::string>> rows;
  for (const Column& column : columns) heads.push_back(column.name);
  for (size_t i = 0; i < runs.size(); ++i) {
    rows.push_back({run_cell(runs, i)});
    for (const Column& column : columns) rows.back().push_back(shown(column, i));
  }
  return table(heads, rows);
}

std::vector<std::string> heads_of(const std::vector<RunHistory>& runs, const char* first) {
  std::vector<std::string> heads{first};
  for (const RunHistory& run : runs) heads.push_back(run.name);
  return heads;
}

std::vector<size_t> all_columns(const std::vector<RunHistory>& runs) {
  std::vector<size_t> columns;
  for (size_t i = 1; i <= runs.size(); ++i) columns.push_back(i);
  return columns;
}

std::string key_table(const std::vector<RunHistory>& runs, const std::vector<KeyDifference>& differences) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [key, values] : differences) {
    rows.push_back({svg::escape(key)});
    for (const std::string& value : values) rows.back().push_back(svg::escape(value));
  }
  return rows.empty() ? "<p class=\"note\">The jobs are the same.</p>\n" : table(heads_of(runs, "key"), rows, all_columns(runs));
}

/// Each run's last answer to each prompt.
std::string answers(const std::vector<RunHistory>& runs) {
  std::vector<std::string> prompts;
  for (const RunHistory& run : runs)
    for (const std::string& prompt : prompts_of(run))
      if (std::find(prompts.begin(), prompts.end(), prompt) == prompts.end()) prompts.push_back(prompt);
  std::vector<std::vector<std::string>> rows;
  for (const std::string& prompt : prompts) {
    rows.push_back({svg::escape(prompt)});
    for (const RunHistory& run : runs) {
      const auto it = std::find_if(run.samples.rbegin(), run.samples.rend(),
                                   [&](const Json& sample) { return sample.value("prompt", std::string()) == prompt; });
      rows.back().push_back(it == run.samples.rend() ? "–" : answer_shown(*it));
    }
  }
  return rows.empty() ? "" : table(heads_of(runs, "prompt"), rows, all_columns(runs));
}

/// The last part of each folder's name, if that tells them apart.
std::vector<RunHistory> with_short_names(std::vector<RunHistory> runs) {
  std::set<std::string> names;
  const auto last_part = [](const RunHistory& run) { return std::filesystem::path(run.name).filename().string(); };
  for (const RunHistory& run : runs) names.insert(last_part(run));
  if (names.size() == runs.size() && !names.contains(""))
    for (RunHistory& run : runs) run.name = last_part(run);
  return runs;
}

}  // namespace

std::string comparison_page(const std::vector<RunHistory>& given, const std::vector<KeyDifference>& differences) {
  const std::vector<RunHistory> runs = with_short_names(given);
  std::string list;
  for (size_t i = 0; i < runs.size(); ++i)
    list += "<li>" + run_cell(runs, i) + " <span class=\"none\">" + svg::escape(runs[i].method + " on " + runs[i].model) +
            (runs[i].finished() ? "" : ", not finished") + "</span></li>\n";
  const std::string title = fmt::format("{} runs compared", runs.size());
  return document(title, "<header><p class=\"eyebrow\">Fine-tuning runs</p>\n<h1>" + title + "</h1>\n<ul class=\"runs\">" + list +
                             "</ul></header>\n" + final_numbers(runs) +
                             section("What was done otherwise", key_table(runs, differences)) + section("Curves", charts(runs)) +
                             section("Their last answers", answers(runs)));
}

}  // namespace graft
