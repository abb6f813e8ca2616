#include "graft/io/model_folder.h"

#include <gtest/gtest.h>

#include "put_weights.h"
#include "temporary.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

char value_of(const ModelFolder& folder, std::string_view name) { return static_cast<char>(folder.tensor(name).bytes[0]); }

TEST(ModelFolder, SingleFile) {
  TemporaryFolder folder;
  folder.put("config.json", R"({"model_type":"llama"})");
  put_weights(folder / "model.safetensors", {"b", "a"});
  const ModelFolder model(folder.path());
  EXPECT_EQ(model.config()["model_type"], "llama");
  EXPECT_EQ(model.tensor_names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(model.contains("a"));
  EXPECT_EQ(value_of(model, "b"), 'v');
  EXPECT_HAS(error_of([&] { model.tensor("c"); }), "no tensor 'c'");
  EXPECT_HAS(error_of([&] { model.tokenizer_json(); }), "has no tokenizer.json");
  folder.put("tokenizer.model", "SentencePiece's");
  EXPECT_HAS(error_of([&] { model.tokenizer_json(); }), "has tokenizer.model but no tokenizer.json");
  EXPECT_HAS(error_of([&] { model.tokenizer_json(); }), "T.from_pretrained('" + folder.path().string() + "').save_pretrained(");
  EXPECT_TRUE(model.tokenizer_config().is_null());
  EXPECT_TRUE(model.generation_config().is_null());
  EXPECT_EQ(model.chat_template(), "");
}

class Sharded : public testing::Test {
 protected:
  Sharded() { folder_.put("config.json", "{}"); }
  void index(std::string_view map) {
    folder_.put("model.safetensors.index.json", fmt::format(R"({{"metadata":{{}},"weight_map":{}}})", map));
  }
  std::string refused() {
    return error_of([&] { ModelFolder(folder_.path()); });
  }
  TemporaryFolder folder_;
};

TEST_F(Sharded, IndexDecides) {
  put_weights(folder_ / "one.safetensors", {"a", "both"}, '1');
  put_weights(folder_ / "two.safetensors", {"b", "both", "extra"}, '2');
  index(R"({"b":"two.safetensors","a":"one.safetensors","both":"two.safetensors"})");
  const ModelFolder model(folder_.path());
  EXPECT_EQ(model.tensor_names(), (std::vector<std::string>{"a", "b", "both", "extra"}));
  EXPECT_EQ(value_of(model, "a"), '1');
  EXPECT_EQ(value_of(model, "both"), '2');
  EXPECT_EQ(value_of(model, "extra"), '2');
}

TEST_F(Sharded, FaultsOfTheIndex) {
  put_weights(folder_ / "one.safetensors", {"a", "x"});
  put_weights(folder_ / "two.safetensors", {"b", "x"});
  index(R"({"a":"two.safetensors","b":"one.safetensors","x":"one.safetensors"})");
  const std::string both = refused();
  EXPECT_HAS(both, "'a' is not in two.safetensors");
  EXPECT_HAS(both, "'b' is not in one.safetensors");
  index(R"({"a":"one.safetensors","b":"two.safetensors"})");
  EXPECT_HAS(refused(), "'x' is in two.safetensors and in another shard");
  index(R"({"a":"one.safetensors","b":"three.safetensors","c":"four.safetensors"})");
  EXPECT_HAS(refused(), "four.safetensors, three.safetensors, not found");
  for (const char* name :
       {"../one.safetensors", "/tmp/one.safetensors", "sub/one.safetensors", "one.bin", "..\\\\one.safetensors", ""}) {
    index(fmt::format(R"({{"a":"{}"}})", name));
    EXPECT_HAS(refused(), "is not the name of a safetensors file in the same folder");
  }
  index(R"({"a":1})");
  EXPECT_HAS(refused(), "'a' is not given a file name");
  index("[]");
  EXPECT_HAS(refused(), "expected a JSON object with a weight_map");
  folder_.put("model.safetensors.index.json", "{");
  EXPECT_HAS(refused(), "expected a JSON object with a weight_map");
  index(R"({"a":"one.safetensors","b":"two.safetensors"})");
  folder_.put("one.safetensors", "12345678");
  folder_.put("two.safetensors", "version https://git-lfs.github.com/spec/v1\n");
  const std::string damaged = refused();
  EXPECT_HAS(damaged, "one.safetensors: ");
  EXPECT_HAS(damaged, "two.safetensors: this is a Git LFS pointer");
}

TEST(ModelFolder, FoldersOfOtherKinds) {
  TemporaryFolder folder;
  const auto refused = [&] { return error_of([&] { ModelFolder(folder.path()); }); };
  EXPECT_HAS(refused(), "it has no config.json");
  folder.put("a.gguf", "");
  EXPECT_HAS(refused(), "give its path: " + (folder / "a.gguf").string());
  fs::remove(folder / "a.gguf");
  folder.put("adapter_config.json", "{}");
  EXPECT_HAS(refused(), "it is an adapter");
  folder.put("config.json", "[]");
  EXPECT_HAS(refused(), "config.json: expected a JSON object");
  folder.put("config.json", "{}");
  EXPECT_HAS(refused(), "no weights: expected model.safetensors");
  folder.put("pytorch_model.bin", "");
  EXPECT_HAS(refused(), "pytorch_model.bin");
  EXPECT_HAS(refused(), "save_pretrained");
  std::filesystem::remove(folder / "pytorch_model.bin");
  for (const char* pickle : {"model.ckpt", "consolidated.00.pth", "model.pt"}) {
    folder.put(pickle, "");
    EXPECT_HAS(refused(), pickle);
    std::filesystem::remove(folder / pickle);
  }
  folder.put("pytorch_model.bin", "");
  folder.put("config.json", "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_HAS(refused(), "Git LFS pointer");
}

TEST(ModelFolder, TokenizerAndTemplates) {
  TemporaryFolder folder;
  folder.put("config.json", "{}");
  put_weights(folder / "model.safetensors", {"a"});
  const ModelFolder model(folder.path());
  folder.put("tokenizer.json", "text");
  EXPECT_EQ(model.tokenizer_json(), "text");
  folder.put("generation_config.json", R"({"eos_token_id":[1,2]})");
  EXPECT_EQ(model.generation_config()["eos_token_id"].size(), 2u);
  folder.put("tokenizer_config.json", R"({"chat_template":null})");
  EXPECT_EQ(model.chat_template(), "");
  folder.put("tokenizer_config.json", R"({"chat_template":"{{ x }}"})");
  EXPECT_EQ(model.chat_template(), "{{ x }}");
  folder.put("tokenizer_config.json", R"({"chat_template":[{"name":"rag","template":"r"},{"name":"default","template":"d"}]})");
  EXPECT_EQ(model.chat_template(), "d");
  folder.put("tokenizer_config.json", R"({"chat_template":[{"name":"rag","template":"r"}]})");
  EXPECT_HAS(error_of([&] { model.chat_template(); }), "none of its templates is named 'default' (rag)");
  folder.put("tokenizer_config.json", R"({"chat_template":7})");
  EXPECT_HAS(error_of([&] { model.chat_template(); }), "expected a string or a list");
  folder.put("chat_template.jinja", "file");
  EXPECT_EQ(model.chat_template(), "file");
  folder.put("tokenizer.json", "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_HAS(error_of([&] { model.tokenizer_json(); }), "tokenizer.json: this is a Git LFS pointer");
}

TEST(ModelFolder, GoldenShards) {
  const fs::path golden = fs::path(GRAFT_TEST_DATA) / "llama_sharded";
  if (!fs::exists(golden)) GTEST_SKIP() << "no " << golden;
  const ModelFolder model(golden);
  size_t bytes = 0;
  for (const auto& name : model.tensor_names()) bytes += model.tensor(name).bytes.size();
  EXPECT_EQ(bytes, read_json(golden / "model.safetensors.index.json")["metadata"]["total_size"].get<size_t>());
}

}  // namespace
}  // namespace graft
