// A run that is watched: sample answers that disturb nothing, spikes by name, what is never saved, the page, and a chat with the
// result.
#include <fstream>
#include <set>

#include "../recipes/finetune.h"
#include "../recipes/report.h"
#include "graft/core/error.h"
#include "graft/io/atomic_file.h"
#include "graft/report/metrics.h"
#include "graft/report/run_history.h"
#include "support/file_size_limit.h"
#include "support/models.h"

namespace graft::testing {
namespace {

namespace fs = std::filesystem;

/// Asks for a stop after a step.
class StopAfter : public Observer {
 public:
  explicit StopAfter(int64_t step) : step_(step) {}
  void on_step(const StepReport& report) override {
    if (report.step == step_) source.request_stop();
  }
  std::stop_source source;

 private:
  int64_t step_;
};

class WatchTest : public ::testing::Test {
 protected:
  WatchTest() {
    setenv("GRAFT_CACHE", (folder_ / "cache").c_str(), 1);
    write_file(folder_ / "prompts.txt", "\xef\xbb\xbfWhat is a cow?\r\n\nTell me: pie\n");
  }

  static LoraOptions lora(int rank, double dropout) {
    LoraOptions options;
    options.rank = rank, options.alpha = 8, options.dropout = dropout;
    return options;
  }

  Job job(const std::string& run, bool prompts) const {
    Job job;
    job.model.path = golden("tiny_chat").string();
    job.data.train = {DataSource{.path = (golden("tiny_chat") / "data/train.jsonl").string()}};
    job.data.val = {DataSource{.path = (golden("tiny_chat") / "data/val.jsonl").string()}};
    job.adapter.options = lora(4, 0.2);
    job.train.max_steps = 10, job.train.learning_rate = 1e-2, job.train.micro_batch_size = 4,
    job.train.gradient_accumulation_steps = 1, job.train.dtype = "fp32";
    job.eval.every = 4, job.eval.max_new_tokens = 6, job.checkpoint.every = "3";
    if (prompts) job.eval.prompts = (folder_ / "prompts.txt").string();
    job.device = "cpu", job.output_dir = (folder_ / run).string();
    return job;
  }

  void train(const Job& job) { finetune(alone(job), {}, nobody_, log_, {}); }

  /// Stops after a step, and goes on.
  void train_in_two(const Job& job, int64_t step) {
    StopAfter observer(step);
    EXPECT_THROW(finetune(alone(job), {}, observer, log_, observer.source.get_token()), Stopped);
    resume(job.output_dir, {}, {}, nobody_, log_, {});
  }

  std::string file(const std::string& name) const { return read_text(folder_ / name); }
  bool said(const std::string& part) const { return said_.find(part) != std::string::npos; }

  TemporaryFolder folder_;
  Observer nobody_;
  std::string said_;
  const Log log_{[this](LogLevel, const std::string& text) { said_ += text + "\n"; }};
};

TEST_F(WatchTest, SampleAnswersDisturbNothing) {
  train(job("plain", false));
  train(job("asked", true));
  EXPECT_EQ(file("plain/adapter/adapter_model.safetensors"), file("asked/adapter/adapter_model.safetensors"));
  EXPECT_FALSE(fs::exists(folder_ / "plain/samples.jsonl"));
  std::vector<std::pair<int64_t, std::string>> asked;
  for (const Json& line : whole_lines(folder_ / "asked/samples.jsonl")) asked.emplace_back(line.at("step"), line.at("prompt"));
  std::vector<std::pair<int64_t, std::string>> expected;
  for (const int64_t step : {0, 4, 8, 10})
    expected.emplace_back(step, "What is a cow?"), expected.emplace_back(step, "Tell me: pie");
  EXPECT_EQ(asked, expected);
}

TEST_F(WatchTest, ARunInTwoSessionsLeavesTheSameLines) {
  train(job("whole", true));
  for (const int64_t step : {4, 6}) {  // at 4 the answers are due, and the stop comes first
    const std::string run = fmt::format("two_{}", step);
    train_in_two(job(run, true), step);
    for (const char* name : {"/samples.jsonl", "/adapter/adapter_model.safetensors"})
      EXPECT_EQ(file("whole" + std::string(name)), file(run + name)) << name;
    std::vector<int64_t> steps;
    for (const Json& line : whole_lines(folder_ / run / "metrics.jsonl"))
      if (line.contains("loss")) steps.push_back(line.at("step"));
    EXPECT_EQ(steps, (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
    const auto norms = [&](const std::string& of) {
      return read_json(folder_ / of / "checkpoints/step-10/state.json").at("state").at("norms");
    };
    EXPECT_EQ(norms("whole"), norms(run));
    EXPECT_EQ(norms(run).at("seen"), 10);
  }
}

/// The disk is full from step 3 to step 7, at whose ends no answers are due.
struct FullDisk : Observer {
  void on_step(const StepReport& report) override {
    if (report.step == 3) limit.emplace(0);
    if (report.step == 7) limit.reset();
  }
  std::optional<FileSizeLimit> limit;
};

TEST_F(WatchTest, AFullDiskCostsNoAnswer) {
  train(job("whole", true));
  FullDisk observer;
  finetune(alone(job("run", true)), {}, observer, log_, {});
  EXPECT_EQ(file("whole/samples.jsonl"), file("run/samples.jsonl"));
  EXPECT_TRUE(said("run/samples.jsonl: cannot be written: File too large; the run goes on")) << said_;
}

TEST_F(WatchTest, PromptsAreReadAtTheDoor) {
  Job wrong = job("run", true);
  wrong.eval.prompts = (folder_ / "absent.txt").string();
  EXPECT_THROW(train(wrong), RequestError);
  write_file(folder_ / "empty.txt", "\n\n");
  wrong.eval.prompts = (folder_ / "empty.txt").string();
  EXPECT_THROW(train(wrong), RequestError);
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(WatchTest, ASpikeIsNamedWithItsSamples) {
  std::string text;
  for (int i = 1; i <= 40; ++i)  // the same thing all the time, but for one line
    text += (i == 17 ? Json{{"prompt", "pie"}, {"completion", "cow cow cow nut nut cat"}}
                     : Json{{"prompt", "What is a nut?"}, {"completion", "food"}})
                .dump() +
            "\n";
  write_file(folder_ / "odd.jsonl", text);
  Job given = job("run", true);  // nothing is held out: the prompts are answered all the same
  given.data.train = {DataSource{.path = (folder_ / "odd.jsonl").string()}}, given.data.val.clear();
  given.eval.every = 80, given.train.max_steps = 160, given.train.micro_batch_size = 1, given.train.learning_rate = 5e-3;
  train(given);
  const RunHistory run = read_run_history(folder_ / "run");
  EXPECT_EQ(run.samples.size(), 2 * 3u);
  ASSERT_FALSE(run.spikes.empty());
  for (const Json& spike : run.spikes)
    EXPECT_EQ(spike.at("origins"), Json::array({(folder_ / "odd.jsonl").string() + ":17"})) << spike;
  EXPECT_TRUE(said(fmt::format("step {}: a spike", run.spikes[0].at("step").get<int64_t>()))) << said_;
  EXPECT_TRUE(said("odd.jsonl:17"));
}

TEST_F(WatchTest, WeightsThatAreNotFiniteAreNeverSaved) {
  Job given = job("run", false);
  given.train.learning_rate = 1e39, given.train.warmup_steps = 0, given.checkpoint.every = "1";  // beyond fp32
  try {
    train(given);
    FAIL() << "it went on";
  } catch (const Error& e) {
    for (const char* part : {"step 1", "the adapter's", "lora_", "not finite", "last good checkpoint: none"})
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
  EXPECT_TRUE(fs::is_empty(folder_ / "run/checkpoints"));
}

TEST_F(WatchTest, TheRunLeavesItsPageAndCounts) {
  train(job("one", true));
  EXPECT_TRUE(said("0 skipped; ") && said(" % of their time waited for data")) << said_;
  for (const Json& line : whole_lines(folder_ / "one/metrics.jsonl"))
    if (line.contains("loss")) EXPECT_TRUE(line.at("data_wait") > 0 && line.at("data_wait") < 1) << line;
  const Json data = read_json(folder_ / "one/data.json");
  EXPECT_GT(data.at("train")[0].at("tokens"), data.at("train")[0].at("targets"));
  EXPECT_EQ(data.at("held_out").size(), 1u);
  const std::string page = file("one/report.html");
  for (const char* part : {"run, finished", "What is a cow?", "before, step 0", "after, step 10", "max_steps: 10", "base"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  EXPECT_EQ(page, report_page({folder_ / "one"}));
  Job other = job("other", false);
  other.adapter.options = lora(2, 0.1);
  train(other);
  const std::string both = report_page({folder_ / "one", folder_ / "other"});
  for (const char* part : {"2 runs compared", "adapter.rank", "adapter.dropout", "eval.prompts"})
    EXPECT_NE(both.find(part), std::string::npos) << part;
  EXPECT_EQ(both.find("adapter.alpha"), std::string::npos);
}

}  // namespace
}  // namespace graft::testing
