// Samples that all begin with the same system prompt: a run computes it once a micro-batch, and learns what it would have learnt.
#include "../recipes/finetune.h"
#include "../recipes/plan.h"
#include "graft/core/error.h"
#include "graft/io/atomic_file.h"
#include "graft/report/metrics.h"
#include "support/models.h"

namespace graft::testing {
namespace {

class SharedBeginningTest : public ::testing::Test {
 protected:
  SharedBeginningTest() { setenv("GRAFT_CACHE", (folder_ / "cache").c_str(), 1); }

  /// A dropout that drops nothing, but might: each sample has a row then.
  Job job(const std::string& run, double dropout) const {
    Job job;
    job.model.path = golden("tiny_chat").string();
    job.data.train = {DataSource{.path = (golden("tiny_chat") / "data/train.jsonl").string()}};
    job.data.val = {DataSource{.path = (golden("tiny_chat") / "data/val.jsonl").string()}};
    job.data.system = "You answer at once, in a word or two.";
    LoraOptions lora;
    lora.rank = 4, lora.dropout = dropout;
    job.adapter.options = lora;
    job.train.max_steps = 6, job.train.learning_rate = 1e-2, job.train.micro_batch_size = 4, job.train.gradient_accumulation_steps = 2, job.train.dtype = "fp32";
    job.eval.every = 3, job.device = "cpu", job.output_dir = (folder_ / run).string();
    return job;
  }
  void train(const Job& job, std::stop_token stop = {}) {
    Observer nobody;
    finetune(alone(job), {}, nobody, log_, std::move(stop));
  }
  std::vector<Json> metrics(const std::string& run) const { return whole_lines(folder_ / run / "metrics.jsonl"); }

  TemporaryFolder folder_;
  std::string said_;
  const Log log_{[this](LogLevel, const std::string& text) { said_ += text + "\n"; }};
};

TEST_F(SharedBeginningTest, TeachesWhatRowsApartDo) {
  train(job("apart", 1e-9));
  EXPECT_EQ(said_.find("all samples begin with"), std::string::npos);
  train(job("shared", 0));
  EXPECT_NE(said_.find("all samples begin with"), std::string::npos) << said_;
  const auto apart = metrics("apart"), shared = metrics("shared");
  ASSERT_EQ(apart.size(), shared.size());
  int64_t compared = 0;
  for (size_t i = 0; i < apart.size(); ++i)
    for (const char* figure : {"loss", "gradient_norm", "eval_loss", "tokens", "targets"})
      if (apart[i].contains(figure)) {
        const auto expected = apart[i].at(figure).get<double>();
        EXPECT_NEAR(shared[i].at(figure).get<double>(), expected, 1e-4 * std::max(1.0, expected)) << figure << " of line " << i;
        ++compared;
      }
  EXPECT_GE(compared, 6 * 4);
}

TEST_F(SharedBeginningTest, IsPlanned) {
  const auto plan = [&](double dropout) { return plan_text(alone(job("run", dropout)), {}, log_); };
  EXPECT_NE(plan(0).find("which are all samples', once"), std::string::npos) << plan(0);
  EXPECT_EQ(plan(0.1).find("which are all samples', once"), std::string::npos);
}

}  // namespace
}  // namespace graft::testing
