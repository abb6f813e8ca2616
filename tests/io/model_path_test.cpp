#include <gtest/gtest.h>

#include <cstdlib>

#include "graft/io/model_folder.h"
#include "put_weights.h"
#include "temporary.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

// A Hugging Face cache as huggingface_hub lays it out: blobs, snapshots of links, refs.
class Cache : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"}) ::unsetenv(name);
    ::setenv("HF_HUB_CACHE", cache_.path().c_str(), 1);
  }
  void link(const std::string& commit, const std::string& name, const std::string& bytes) {
    const std::string blob = "blob" + std::to_string(++blobs_);
    cache_.put(repository_ + "/blobs/" + blob, bytes);
    const fs::path file = cache_ / (repository_ + "/snapshots/" + commit + "/" + name);
    fs::create_directories(file.parent_path());
    fs::create_symlink("../../blobs/" + blob, file);
  }
  std::string weights() {
    put_weights(scratch_ / "w", {"a"});
    return contents(scratch_ / "w");
  }
  fs::path snapshot(const std::string& commit) { return cache_ / (repository_ + "/snapshots/" + commit); }
  std::string refused(const std::string& path) {
    return error_of([&] { resolve_model(path); });
  }
  TemporaryFolder cache_, scratch_;
  const std::string repository_ = "models--org--name";
  int blobs_ = 0;
};

TEST_F(Cache, RevisionsAndVariables) {
  link("c0ffee", "config.json", "{}");
  link("c0ffee", "model.safetensors", weights());
  cache_.put(repository_ + "/refs/main", "c0ffee");
  cache_.put(repository_ + "/refs/refs/pr/1", "c0ffee\n");
  EXPECT_EQ(resolve_model("org/name"), snapshot("c0ffee"));
  EXPECT_EQ(resolve_model("org/name@main"), snapshot("c0ffee"));
  EXPECT_EQ(resolve_model("org/name@refs/pr/1"), snapshot("c0ffee"));
  EXPECT_EQ(resolve_model("org/name@c0ffee"), snapshot("c0ffee"));
  EXPECT_TRUE(ModelFolder(resolve_model("org/name")).contains("a"));
  EXPECT_HAS(refused("org/name@v2"), "has no revision 'v2'");
  EXPECT_HAS(refused("org/name@v2"),
             R"(hf download org/name --include "*.safetensors" --include "*.json" --include "*.jinja" --revision v2)");
  EXPECT_HAS(refused("org/other"),
             R"(download it: hf download org/other --include "*.safetensors" --include "*.json" --include "*.jinja")");
  // HF_HOME and the default place
  fs::create_directories(scratch_ / "home/hub");
  fs::create_directory_symlink(cache_ / repository_, scratch_ / "home/hub/models--org--name");
  ::unsetenv("HF_HUB_CACHE");
  ::setenv("HF_HOME", (scratch_ / "home").c_str(), 1);
  EXPECT_EQ(resolve_model("org/name"), scratch_ / "home/hub/models--org--name/snapshots/c0ffee");
  ::unsetenv("HF_HOME");
  const std::string home = std::getenv("HOME") ? std::getenv("HOME") : "";
  ::setenv("HOME", (scratch_ / "user").c_str(), 1);
  fs::create_directories(scratch_ / "user/.cache/huggingface");
  fs::create_directory_symlink(scratch_ / "home/hub", scratch_ / "user/.cache/huggingface/hub");
  EXPECT_EQ(resolve_model("org/name"), scratch_ / "user/.cache/huggingface/hub/models--org--name/snapshots/c0ffee");
  EXPECT_EQ(resolve_model("~/.cache"), scratch_ / "user/.cache");
  ::setenv("HOME", home.c_str(), 1);
}

TEST_F(Cache, Incomplete) {
  cache_.put(repository_ + "/refs/main", "c1");
  EXPECT_HAS(refused("org/name"), "hf download org/name");  // a ref without its snapshot
  link("c1", "config.json", "{}");
  EXPECT_HAS(refused("org/name"), "is incomplete: no model.safetensors");
  link("c1", "model.safetensors.index.json", R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})");
  link("c1", "s1.safetensors", weights());
  EXPECT_HAS(refused("org/name"), "is incomplete: no s2.safetensors");
  fs::create_symlink("../../blobs/absent", snapshot("c1") / "s2.safetensors");
  EXPECT_HAS(refused("org/name"), "is incomplete: no s2.safetensors; complete it: hf download org/name --include");
  fs::remove(snapshot("c1") / "s2.safetensors");
  link("c1", "s2.safetensors", weights());
  EXPECT_EQ(resolve_model("org/name"), snapshot("c1"));
  cache_.put(repository_ + "/blobs/0123.incomplete", "part");
  EXPECT_HAS(refused("org/name"), "is incomplete: no tokenizer.json");
  link("c1", "tokenizer.json", "{}");
  EXPECT_EQ(resolve_model("org/name"), snapshot("c1"));
}

TEST_F(Cache, OtherWeights) {
  cache_.put(repository_ + "/refs/main", "c1");
  link("c1", "small.gguf", "GGUF");
  EXPECT_EQ(resolve_model("org/name"), snapshot("c1") / "small.gguf");
  link("c1", "large.gguf", "GGUF");
  EXPECT_HAS(refused("org/name"), "several GGUF files");
  link("c1", "config.json", "{}");
  link("c1", "pytorch_model.bin", "x");
  EXPECT_HAS(refused("org/name"), "from_pretrained('org/name')");
}

TEST_F(Cache, Paths) {
  const auto gguf = scratch_.put("m.gguf", "GGUF");
  EXPECT_EQ(resolve_model(gguf), gguf);
  EXPECT_EQ(resolve_model(scratch_.path()), scratch_.path());
  EXPECT_HAS(refused(scratch_.put("m.txt", "")), "a file of another kind");
  EXPECT_HAS(refused(scratch_.put("m.ckpt", "")), "pickle");
  EXPECT_HAS(refused(""), "empty");
  for (const char* path :
       {"/no/such", "./no", "../no", "a/b/c", "org/absent.gguf", "org/../x", "org/name@", "org/name@../x", "org/name@/x"})
    EXPECT_HAS(refused(path), "no such folder or file");
  EXPECT_HAS(refused("gpt2"), "hf download gpt2 --include");
}

}  // namespace
}  // namespace graft
