// A run's page: whole, safe and without anything from elsewhere. tests/oracle/report_browser.py looks at it in a browser.
#include "graft/report/run_page.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <regex>

#include "../../src/report/run_charts.h"
#include "graft/core/error.h"
#include "graft/io/atomic_file.h"
#include "graft/report/metrics.h"
#include "support/models.h"

namespace graft::testing {
namespace {

constexpr const char* hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&";

class Nobody : public Observer {};

/// A run's folder as training writes it, with `hostile` wherever a file or a model may have put it.
void write_run(const std::filesystem::path& run, int64_t steps) {
  std::filesystem::create_directories(run / "checkpoints");
  write_file(run / "job.yaml", fmt::format("model: {{path: \"{}\"}}\n", hostile));
  Nobody nobody;
  MetricsWriter metrics(run / "metrics.jsonl", 1, nobody);
  for (int64_t step = 1; step <= steps; ++step) {
    StepReport r;
    r.step = step, r.total_steps = steps, r.loss = 2.0 / static_cast<double>(step), r.gradient_norm = step == 7 ? 40 : 1,
    r.learning_rate = 1e-3;
    r.tokens = 100, r.seconds = 0.5, r.memory = 1 << 30;
    if (step == 5) r.skipped = true, r.loss = NAN, r.samples = {"a.jsonl:3"};
    if (step == 7) r.gradient_z = 21.5, r.samples = {std::string(hostile) + ".jsonl:8"};
    metrics.on_step(r);
    if (step % 10 == 0) {
      EvalReport eval;
      eval.step = step, eval.loss = 1.0 / static_cast<double>(step), eval.label_accuracy = 0.5, eval.perplexity = 2;
      metrics.on_eval(eval);
    }
  }
  const auto line = [](const Json& json) { return to_line(json) + "\n"; };
  write_file(run / "samples.jsonl", line({{"step", 0}, {"prompt", hostile}, {"answer", "before <b>"}, {"ended", false}}) +
                                        line({{"step", 10}, {"prompt", hostile}, {"answer", ""}, {"ended", true}}) +
                                        line({{"step", 20}, {"prompt", hostile}, {"answer", hostile}, {"ended", true}}));
  write_file(run / "sessions.jsonl", line({{"event", "start"},
                                           {"time", 1790000000},
                                           {"step", 0},
                                           {"total_steps", steps},
                                           {"machine", hostile},
                                           {"device", "cpu"}}));
  write_file(
      run / "data.json",
      Json{{"train", {{{"path", hostile}, {"format", "alpaca"}, {"samples", 1234}, {"tokens", 5}, {"dropped", {{hostile, 3}}}}}}}
          .dump());
}

size_t occurrences(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

void expect_sound(const std::string& page) {
  for (const char* tag : {"svg",     "table", "thead", "tbody", "tr",  "td", "th",   "figure", "section", "article",
                          "details", "div",   "p",     "dl",    "pre", "h2", "span", "main",   "header",  "html"}) {
    const std::regex open(fmt::format("<{}[ >]", tag));
    const auto opened = std::distance(std::sregex_iterator(page.begin(), page.end(), open), {});
    EXPECT_EQ(static_cast<size_t>(opened), occurrences(page, fmt::format("</{}>", tag))) << tag;
  }
  for (const char* attribute : {" d=\"", " x=\"", " y=\"", " cx=\"", " cy=\"", " data-v=\""})
    for (size_t at = page.find(attribute); at != std::string::npos; at = page.find(attribute, at + 1)) {
      const std::string value = page.substr(at, page.find('"', at + std::strlen(attribute)) - at);
      EXPECT_TRUE(value.find("nan") == std::string::npos && value.find("inf") == std::string::npos) << value;
    }
  EXPECT_EQ(occurrences(page, "<script>"), 1u);
  EXPECT_EQ(occurrences(page, "</script>"), 1u);
  EXPECT_EQ(occurrences(page, "<img"), 0u);
  EXPECT_EQ(occurrences(page, "url("), 0u);
  EXPECT_EQ(occurrences(page, "://"), 0u);
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
}

TEST(RunPage, ShowsARunAndEscapesWhatFilesHold) {
  TemporaryFolder folder;
  write_run(folder / "run", 20);
  RunHistory run = read_run_history(folder / "run");
  run.model = hostile, run.method = hostile;
  EXPECT_EQ(run.skipped, 1);
  EXPECT_EQ(run.tokens, 2000);
  EXPECT_FALSE(run.finished());
  const std::string page = run_page(run);
  expect_sound(page);
  for (const char* part :
       {"at step 20 of 20", "1 step was skipped", "1,234", ">21.5<", "a.jsonl:3", "before &lt;b&gt;", "(nothing)", "cut off",
        "alpaca", "Gradient norm", "2026-09-21", "&lt;/script&gt;&lt;script&gt;alert(1)"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  std::ofstream(folder / "run" / "sessions.jsonl", std::ios::app) << "{\"event\":\"end\",\"step\":20}\n";
  EXPECT_NE(run_page(read_run_history(folder / "run")).find("run, finished"), std::string::npos);
}

TEST(RunPage, ARunThatWasKilledHasAPageToo) {
  TemporaryFolder folder;
  write_run(folder / "run", 12);
  std::ofstream(folder / "run" / "metrics.jsonl", std::ios::app) << R"({"step":13,"loss":0.)";  // cut off
  const RunHistory run = read_run_history(folder / "run");
  EXPECT_EQ(run.last_step(), 12);
  expect_sound(run_page(run));
  for (const char* name : {"metrics.jsonl", "samples.jsonl", "sessions.jsonl", "data.json"}) {
    std::filesystem::remove(folder / "run" / name);
    expect_sound(run_page(read_run_history(folder / "run")));
  }
  EXPECT_THROW(read_run_history(folder / "nothing"), RequestError);
}

TEST(RunPage, ComparesRuns) {
  TemporaryFolder folder;
  std::vector<RunHistory> runs;
  for (const auto& [name, steps] : {std::pair{"a", 20}, {"b", 30}})
    write_run(folder / name, steps), runs.push_back(read_run_history(folder / name));
  runs[1].held_out.erase("accuracy");
  const std::string page = comparison_page(runs, {{"adapter.rank", {"8", hostile}}});
  expect_sound(page);
  for (const char* part : {"2 runs compared", "adapter.rank", "<span class=\"best\">0.03333</span>", "Held-out accuracy"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  EXPECT_NE(comparison_page({runs[0], runs[0]}, {}).find("The jobs are the same"), std::string::npos);
}

TEST(RunCharts, DownsamplingKeepsSpikesEndsAndGaps) {
  Curve curve;
  for (int i = 0; i < 100'000; ++i)
    curve.add(i, i == 61'234 ? 90 : i == 7 ? -90 : i > 50'000 && i < 52'000 ? NAN : std::sin(i / 9000.0));
  const Curve less = downsampled(curve, 250);
  EXPECT_LE(less.steps.size(), 751u);
  EXPECT_EQ(*std::max_element(less.values.begin(), less.values.end(), [](double a, double b) { return std::isnan(a) || a < b; }),
            90);
  EXPECT_NE(std::find(less.values.begin(), less.values.end(), -90), less.values.end());
  EXPECT_TRUE(std::any_of(less.values.begin(), less.values.end(), [](double value) { return std::isnan(value); }));
  EXPECT_EQ(less.steps.back(), 99'999);
  EXPECT_TRUE(std::is_sorted(less.steps.begin(), less.steps.end()));
  EXPECT_EQ(downsampled(less, 400).steps, less.steps);  // few enough already
  EXPECT_LT(smoothed(curve).values[61'234], 1);
}

}  // namespace
}  // namespace graft::testing
