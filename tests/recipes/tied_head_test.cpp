// Adapters at an embedding whose weight is the head's too: a merged export says what the live model says.
#include "../recipes/export.h"
#include "../recipes/finetune.h"
#include "graft/core/json.h"
#include "support/models.h"

namespace graft::testing {
namespace {

class TiedHead : public ::testing::TestWithParam<const char*> {
 protected:
  TiedHead() { setenv("GRAFT_CACHE", (folder_ / "cache").c_str(), 1); }
  TemporaryFolder folder_;
  Observer nobody_;
};
INSTANTIATE_TEST_SUITE_P(Adapters, TiedHead,
                         ::testing::Values("{target_modules: [q_proj, embed_tokens]}", "{target_modules: [q_proj, lm_head]}",
                                           "{target_modules: [q_proj], modules_to_save: [embed_tokens]}",
                                           "{target_modules: [q_proj], trainable_token_indices: [5, 9, 70]}", "{method: full}"));

TEST_P(TiedHead, MergedItSaysTheSame) {
  const std::string run = (folder_ / "run").string();
  finetune(alone(read_job<Job>(parse_config(fmt::format(R"(
model: {{path: {}}}
adapter: {}
data: {{train: [{}/data/train.jsonl]}}
train: {{max_steps: 4, learning_rate: 1e-2, micro_batch_size: 2, gradient_accumulation_steps: 1, dtype: fp32}}
device: cpu
output_dir: {}
)", golden("tiny_chat").string(), GetParam(), golden("tiny_chat").string(), run), "tied.yaml"))), {}, nobody_, {}, {});
  const MergeReport report = export_merged(open_target(run, "", "", {}), folder_ / "merged", {.dtype = "fp32"}, {});
  EXPECT_LT(report.largest_difference, 1e-4);
  const Json config = read_json(folder_ / "merged" / "config.json");
  const bool apart = std::string(GetParam()).find("target_modules: [q_proj, ") != std::string::npos;
  EXPECT_EQ(config.value("tie_word_embeddings", true), !apart);
}

}  // namespace
}  // namespace graft::testing
