// Tokens trained beside a method: their rows, and nothing else of the embedding and the head.
#include "graft/core/error.h"
#include "graft/models/generate.h"
#include "graft/train/loss.h"
#include "support/models.h"

namespace graft::testing {
namespace {

const std::vector<int> tokens = {3, 90, 17};

AdapterOptions with_tokens() {
  AdapterOptions options;
  options.trainable_token_indices = tokens;
  return options;
}

std::shared_ptr<Transformer> llama(bool tied) {
  Json config = tiny_config("llama");
  config["tie_word_embeddings"] = tied;
  return random_model(config, {test_device(), at::kFloat, {}}, 5);
}

/// A row that holds all of the tokens, as inputs and as targets.
HostBatch batch_with_tokens() {
  HostBatch host;
  host.rows = 1, host.columns = 8, host.token_count = 8;
  host.ids = {5, 3, 90, 17, 8, 3, 61, 90};
  for (int64_t t = 0; t < 8; ++t) host.positions.push_back(t), host.segments.push_back(0);
  host.targets = {-100, 90, 17, 8, 3, 61, 90, 17};
  host.target_count = 7;
  return host;
}

std::map<std::string, Tensor> gradients(Transformer& model, const std::string& name) {
  backward(model, name, {batch_with_tokens()}, {});
  std::map<std::string, Tensor> by_name;
  for (const auto& [key, tensor] : parameters(model, name)) by_name[key] = tensor.grad();
  return by_name;
}

class TokenRowsTest : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(TiedOrNot, TokenRowsTest, ::testing::Bool());

/// Training the whole embedding (and the head) is the oracle: the tokens' rows of its gradients.
TEST_P(TokenRowsTest, GradientsAreTheRowsOfTheWholeOnes) {
  const auto model = llama(GetParam());
  AdapterOptions whole;
  whole.modules_to_save =
      GetParam() ? std::vector<std::string>{"embed_tokens"} : std::vector<std::string>{"embed_tokens", "lm_head"};
  graft_adapter(*model, "rows", with_tokens(), 1), graft_adapter(*model, "whole", whole, 1);
  const auto rows = gradients(*model, "rows"), all = gradients(*model, "whole");
  const Tensor index = at::tensor(std::vector<int64_t>(tokens.begin(), tokens.end()), at::kLong).to(model->device());
  int compared = 0;
  for (const std::string& path : {std::string("model.embed_tokens"), std::string("lm_head")}) {
    const auto own = rows.find(path + ".token_adapter.trainable_tokens_delta");
    if (own == rows.end()) continue;
    EXPECT_LT(difference(own->second, all.at(path + ".weight").index_select(0, index)), 1e-6) << path;
    EXPECT_GT(own->second.abs().max().item<double>(), 1e-4);
    ++compared;
  }
  EXPECT_EQ(compared, GetParam() ? 1 : 2);
}

TEST_P(TokenRowsTest, AFreshOneIsNoOpAndFilesAndMergeKeepATrainedOne) {
  const auto model = llama(GetParam());
  Batch batch = batch_of({7, 5}, 97);
  batch.ids[0][2] = 90, batch.ids[1][1] = 3;
  const Tensor base = logits(*model, batch);
  graft_adapter(*model, "a", with_tokens(), 1);
  batch.adapter = "a";
  EXPECT_LT(difference(logits(*model, batch), base), 1e-6);  // its columns are a product of another shape
  randomize(*model, "a");
  const Tensor trained = logits(*model, batch);
  EXPECT_GT(difference(trained, base), 0.1);
  TemporaryFolder folder;
  write_adapter(folder.path(), *model, "a", with_tokens(), "base");
  EXPECT_EQ(read_adapter_options(folder.path()).trainable_token_indices, tokens);
  load_adapter(*model, "b", folder.path());
  batch.adapter = "b";
  EXPECT_EQ(difference(logits(*model, batch), trained), 0);
  // Merged: the rows in the base's place, all others as they were.
  const Site* words = model->find_site("model.embed_tokens");
  const Tensor merged = words->adapter("a")->merged(words->values())->weight;
  const Tensor changed = merged.ne(words->values().weight).any(1).nonzero().squeeze(1).cpu();
  EXPECT_TRUE(at::equal(changed, at::tensor({int64_t{3}, int64_t{17}, int64_t{90}})));
}

TEST(TokenRows, ARowOfAMixedBatchHasItsOwnTiedHead) {
  const auto model = llama(true);
  AdapterOptions full;
  full.method = "full";
  full.select_options();
  graft_adapter(*model, "rows", with_tokens(), 1), graft_adapter(*model, "full", full, 2);
  randomize(*model, "rows", 0.3), randomize(*model, "full", 0.3);
  const std::vector<int32_t> text = {5, 3, 90, 17};
  const GenerateOptions options{.max_new_tokens = 6};
  std::vector<std::vector<int32_t>> single;
  std::vector<Prompt> prompts;
  for (const char* name : {"full", "", "rows"}) {
    single.push_back(generate(*model, name, {text}, {}, options)[0]);
    prompts.push_back({text, {name}});
  }
  EXPECT_NE(single[0], single[1]);
  EXPECT_NE(single[2], single[1]);
  EXPECT_EQ(generate(*model, prompts, {}, options), single);
}

std::string refusal(AdapterOptions options) {
  const auto model = llama(true);
  try {
    graft_adapter(*model, "a", options, 1);
  } catch (const RequestError& e) {
    return e.what();
  }
  return "";
}

TEST(TokenRows, WhatCannotBeIsRefusedByName) {
  AdapterOptions options = with_tokens();
  options.trainable_token_indices = {3, 97};
  EXPECT_NE(refusal(options).find("97 is no token"), std::string::npos);
  options.trainable_token_indices = {3, 3};
  EXPECT_NE(refusal(options).find("twice"), std::string::npos);
  for (const char* method : {"prompt_tuning", "houlsby"}) {
    options = with_tokens(), options.method = method, options.select_options();
    EXPECT_NE(refusal(options).find("trainable_token_indices"), std::string::npos) << method;
  }
  options = with_tokens(), options.method = "full", options.select_options();  // it trains them as it is
  EXPECT_EQ(refusal(options), "");
}

}  // namespace
}  // namespace graft::testing
