// A vocabulary that grows: trained, gone on with, exported, and read again from every form.
#include <fstream>

#include "../recipes/export.h"
#include "../recipes/export_gguf.h"
#include "../recipes/finetune.h"
#include "../recipes/generate.h"
#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/io/tensors.h"
#include "support/models.h"

namespace graft::testing {
namespace {

namespace fs = std::filesystem;

class NewTokens : public ::testing::Test {
 protected:
  NewTokens() { setenv("GRAFT_CACHE", (folder_ / "cache").c_str(), 1); }
  std::string model() const { return golden("tiny_chat").string(); }

  Job job(const std::string& run, int steps) const {
    std::ofstream(folder_ / "data.jsonl")
        << R"({"messages": [{"role": "user", "content": "Add."}, {"role": "assistant", "content": "<tool> 1 2 </tool>"}]})"
        << "\n";
    return read_job<Job>(parse_config(fmt::format(R"(
model: {{path: {}, new_tokens: [<tool>, </tool>]}}
adapter: {{method: lora, rank: 4}}
data: {{train: [{}]}}
train: {{max_steps: {}, learning_rate: 2e-2, micro_batch_size: 1, gradient_accumulation_steps: 1, dtype: fp32, lr_scheduler: constant, warmup_ratio: 0}}
checkpoint: {{every: 2}}
device: cpu
output_dir: {}
)",
                                                  model(), (folder_ / "data.jsonl").string(), steps, (folder_ / run).string()),
                                      "new_tokens.yaml"));
  }
  std::string answer(const Target& target) const {
    Speaker speaker = open_speaker(target, "cpu", "fp32", {}, {});
    return graft::answer(speaker, prompt_ids(speaker.base, "Add.", "", false), {.max_new_tokens = 12}, {}, {});
  }
  TemporaryFolder folder_;
  Observer nobody_;
};

TEST_F(NewTokens, AreLearntKeptAndExported) {
  finetune(alone(job("run", 40)), {}, nobody_, {}, {});
  const std::string run = (folder_ / "run").string();
  const Base grown = open_base(read_run_job(run).model), base = open_base({.path = model()});
  const int32_t size = base.tokenizer.vocab_size();
  EXPECT_EQ(grown.tokenizer.encode("a<tool>b").size(), base.tokenizer.encode("a").size() + 1 + base.tokenizer.encode("b").size());
  EXPECT_EQ(grown.tokenizer.token_to_id("</tool>"), size + 1);
  EXPECT_EQ(read_run_job(run).adapter.trainable_token_indices, (std::vector<int>{size, size + 1}));

  const Target live = open_target(run, "", "", {});
  const std::string said = answer(live);
  EXPECT_NE(said.find("<tool>"), std::string::npos) << said;
  // The adapter alone, beside the model as it was.
  EXPECT_EQ(answer(open_target(model(), run + "/adapter", "", {})), said);
  export_adapter(live, folder_ / "adapter", {});
  EXPECT_EQ(answer(open_target(model(), (folder_ / "adapter").string(), "", {})), said);
  // Merged: a model with a larger vocabulary that needs nothing else.
  export_merged(live, folder_ / "merged", {.dtype = "fp32"}, {});
  EXPECT_EQ(read_json(folder_ / "merged" / "config.json")["vocab_size"],
            std::max(base.files->config()["vocab_size"].get<int64_t>(), int64_t{size} + 2));
  EXPECT_EQ(answer(open_target((folder_ / "merged").string(), "", "", {})), said);
  export_gguf(live, folder_ / "merged.gguf", {.type = "f32"}, {});
  EXPECT_EQ(answer(open_target((folder_ / "merged.gguf").string(), "", "", {})), said);
  try {
    export_gguf_adapter(live, folder_ / "adapter.gguf", {});
    ADD_FAILURE() << "llama.cpp has no place for trained tokens";
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("embed_tokens"), std::string::npos) << e.what();
  }
}

TEST_F(NewTokens, ARunGoesOnToTheBit) {
  finetune(alone(job("whole", 6)), {}, nobody_, {}, {});
  finetune(alone(job("parts", 4)), {}, nobody_, {}, {});
  finetune(alone(job("parts", 6)), {.resume_or_start = true}, nobody_, {}, {});
  const auto adapter = [&](const char* run) { return load_tensors(folder_ / run / "adapter" / "adapter_model.safetensors"); };
  const TensorMap whole = adapter("whole"), parts = adapter("parts");
  ASSERT_EQ(whole.size(), parts.size());
  for (const auto& [key, value] : whole) EXPECT_TRUE(at::equal(value, parts.at(key))) << key;
}

TEST_F(NewTokens, StartAsTheMeanOfTheOthersWhichStayAsTheyWere) {
  const Base grown = open_base({.path = model(), .new_tokens = {"<a>", "<b>"}}), base = open_base({.path = model()});
  const std::string name = "model.embed_tokens.weight";
  const Tensor before = base.files->read(name, at::kFloat), after = grown.files->read(name, at::kFloat);
  const int64_t known = base.tokenizer.vocab_size();
  EXPECT_TRUE(at::equal(after.narrow(0, 0, known), before.narrow(0, 0, known)));
  for (int64_t i = 0; i < 2; ++i) EXPECT_LT(difference(after[known + i], before.narrow(0, 0, known).mean(0)), 1e-6);
  EXPECT_NE(grown.files->fingerprint(), base.files->fingerprint());
}

TEST_F(NewTokens, KnownEmptyOrRepeatedOnesAreRefused) {
  const auto refusal = [&](const std::vector<std::string>& tokens) {
    try {
      open_base({.path = model(), .new_tokens = tokens});
    } catch (const RequestError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const Base base = open_base({.path = model()});
  EXPECT_NE(refusal({std::string(base.tokenizer.id_to_token(5))}).find("the model has it, with id 5"), std::string::npos);
  EXPECT_NE(refusal({"<a>", ""}).find("empty"), std::string::npos);
  EXPECT_NE(refusal({"<a>", "<a>"}).find("twice"), std::string::npos);
}

}  // namespace
}  // namespace graft::testing
