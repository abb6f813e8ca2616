// The cache file, held-out samples, prompts.
#include <set>
#include <stop_token>

#include "data/support.h"
#include "graft/io/file_hash.h"

namespace graft::test {

namespace {

std::string numbered(int begin, int end) {
  std::string lines;
  for (int i = begin; i < end; ++i) lines += fmt::format("{{\"text\": \"sample {}\"}}\n", i);
  return lines;
}

std::set<std::string> texts(const Tokenizer& tokenizer, const Dataset& data) {
  std::set<std::string> result;
  for (int64_t i = 0; i < data.size(); ++i) result.insert(tokenizer.decode(data.sample(i).ids));
  return result;
}

bool says(const std::string& log, const char* word) { return log.find(word) != std::string::npos; }

}  // namespace

TEST_F(DataTest, TheFilesThatItWasReadFromAreNamedWithTheirHashes) {
  DataOptions options = train_on(write("a.jsonl", R"({"text": "abc"})" "\n"));
  options.val = {{write("b.jsonl", R"({"text": "xyz"})" "\n"), "text", {}, {}, 1}};
  options.train.push_back(options.train.front());   // twice: hashed once
  const std::string path = options.train.front().path;
  for (const char* way : {"made", "reused"}) EXPECT_EQ(prepare(options).train_files, (FileHashes{{path, file_hash(path)}})) << way;
}

TEST_F(DataTest, ACacheIsReusedUntilSomethingChanges) {
  auto options = train_on(write("a.jsonl", numbered(0, 50)));
  const auto first = prepare(options).train;
  EXPECT_TRUE(says(logged_, "tokenised in"));
  const auto again = [&] {
    logged_.clear();
    EXPECT_EQ(prepare(options).train.size(), 50);
    EXPECT_TRUE(says(logged_, "50 samples"));
    return says(logged_, "reused");
  };
  EXPECT_TRUE(again());
  EXPECT_EQ(prepare(options).train.hash(), first.hash());
  options.max_length = 100;
  EXPECT_FALSE(again());
  EXPECT_TRUE(again());
  options.train[0].repeat = 2;
  EXPECT_FALSE(again());
  EXPECT_NE(prepare(options).train.hash(), first.hash());
  tokenizer_ = byte_tokenizer(Adds::bos);
  EXPECT_FALSE(again());
  write("a.jsonl", numbered(1, 51));
  EXPECT_FALSE(again());
}

TEST_F(DataTest, ADamagedCacheIsMadeAgain) {
  const auto options = train_on(write("a.jsonl", numbered(0, 50)));
  const uint64_t hash = prepare(options).train.hash();
  const auto file = std::filesystem::directory_iterator(folder_ / "cache")->path();
  const auto size = std::filesystem::file_size(file);
  for (size_t at = 0; at < size; at += 61) {
    std::string bytes;
    {
      std::ifstream in(file, std::ios::binary);
      bytes.assign(std::istreambuf_iterator<char>(in), {});
    }
    ASSERT_EQ(bytes.size(), size);
    bytes[at] = static_cast<char>(~bytes[at]);
    std::ofstream(file, std::ios::binary) << bytes;
    const auto data = prepare(options).train;
    EXPECT_EQ(data.hash(), hash);
    EXPECT_EQ(data.size(), 50);
  }
  std::filesystem::resize_file(file, size - 1);
  logged_.clear();
  EXPECT_EQ(prepare(options).train.hash(), hash);
  EXPECT_TRUE(says(logged_, "is made again"));
}

TEST_F(DataTest, HeldOutSamplesStayHeldOutAndDuplicatesOnOneSide) {
  auto options = train_on(write("a.jsonl", numbered(0, 1000) + numbered(0, 1000)));
  options.val_size = 0.2;
  const auto before = prepare(options);
  const auto held = texts(tokenizer_, *before.val), rest = texts(tokenizer_, before.train);
  EXPECT_EQ(before.val->size() + before.train.size(), 2000);
  EXPECT_EQ(before.val->size(), static_cast<int64_t>(2 * held.size()));
  EXPECT_EQ(held.size() + rest.size(), 1000u);
  EXPECT_NEAR(static_cast<double>(held.size()), 200, 45);  // 3.5 standard deviations
  write("a.jsonl", numbered(1000, 1200) + numbered(0, 1000));
  const auto after = texts(tokenizer_, *prepare(options).val);
  EXPECT_GT(after.size(), held.size());
  for (const auto& text : held) EXPECT_TRUE(after.contains(text));
  for (const auto& text : rest) EXPECT_FALSE(after.contains(text));
}

TEST_F(DataTest, AHeldOutShareOfNothingIsRefused) {
  auto options = train_on(write("a.jsonl", numbered(0, 3)));
  options.val_size = 1e-9;
  EXPECT_TRUE(says(refusal(options), "data.val_size=1e-09: 0 samples"));
}

TEST_F(DataTest, ValFilesAreReadAndOverlapIsTold) {
  auto options = train_on(write("a.jsonl", numbered(0, 10)));
  options.val = {{write("b.jsonl", numbered(8, 12)), "auto", {}, {}, 1}};
  const auto data = prepare(options);
  EXPECT_EQ(data.train.size(), 10);
  EXPECT_EQ(data.val->size(), 4);
  EXPECT_TRUE(says(logged_, "2 samples of data.train are in data.val too"));
  write("a.jsonl", "{\"text\": 1}\n");
  write("b.jsonl", "{\"text\": 2}\n");
  const std::string fault = refusal(options);
  EXPECT_TRUE(says(fault, "a.jsonl: line 1") && says(fault, "b.jsonl: line 1")) << fault;
}

TEST_F(DataTest, AStopIsObeyedAndLeavesNothing) {
  const auto options = train_on(write("a.jsonl", numbered(0, 50)));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(prepare_data(options, tokenizer_, nullptr, vocab, folder_ / "cache", {}, stop.get_token()), Stopped);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "cache"));
}

TEST_F(DataTest, OrderIsTheFilesWhateverTheThreads) {
  const auto data = prepare(train_on(write("a.jsonl", numbered(0, 5000)))).train;
  ASSERT_EQ(data.size(), 5000);
  for (const int64_t i : {0, 127, 128, 4999}) {
    EXPECT_EQ(tokenizer_.decode(data.sample(i).ids), fmt::format("sample {}</s>", i));
    EXPECT_EQ(data.origin(i), fmt::format("{}:{}", (folder_ / "a.jsonl").string(), i + 1));
  }
}

TEST_F(DataTest, PromptsAreWhatIsBeforeTheLastAnswer) {
  const auto path = write("a.jsonl", R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "cd"}]})"
                                     "\n"
                                     R"({"messages": [{"role": "user", "content": "open"}]})"
                                     "\n");
  auto prompts = read_prompts({{path, "auto", {}, {}, 1}}, {}, tokenizer_, &*chat_);
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(tokenizer_.decode(prompts[0].prompt), "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(prompts[0].reference, "cd");
  EXPECT_EQ(prompts[0].reference_ids, (std::vector<int32_t>{cd, im_end}));
  EXPECT_EQ(prompts[0].origin, path + ":1");
  EXPECT_EQ(tokenizer_.decode(prompts[1].prompt), "<|im_start|>user\nopen<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_TRUE(prompts[1].reference.empty() && prompts[1].reference_ids.empty());

  // The same ids as training has: what is learnt follows the prompt.
  const Dataset data = prepare(train_on(path)).train;
  const SampleView trained = data.sample(0);
  EXPECT_TRUE(std::ranges::equal(prompts[0].prompt, trained.ids.first(prompts[0].prompt.size())));
  EXPECT_TRUE(std::ranges::equal(prompts[0].reference_ids, trained.ids.subspan(prompts[0].prompt.size(), 2)));

  const auto plain = write("b.jsonl", R"({"prompt": "ab", "completion": "cd"})"
                                      "\n"
                                      R"({"prompt": "ab"})"
                                      "\n");
  prompts = read_prompts({{plain, "auto", {}, {}, 1}}, {}, tokenizer_, nullptr);
  EXPECT_EQ(tokenizer_.decode(prompts[0].prompt), "ab");
  EXPECT_EQ(prompts[0].reference_ids, (std::vector<int32_t>{cd, eos}));
  EXPECT_EQ(tokenizer_.decode(prompts[1].prompt), "ab");
  prompts = read_prompts({{write("c.jsonl", R"({"text": "ab"})"), "auto", {}, {}, 1}}, {}, tokenizer_, nullptr);
  EXPECT_EQ(tokenizer_.decode(prompts[0].prompt), "ab");
}

}  // namespace graft::test
