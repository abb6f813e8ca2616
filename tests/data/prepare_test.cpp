#include "data/support.h"

namespace graft::test {

namespace {

using Strings = std::vector<std::string>;

void expect_in(const std::string& text, const std::string& part) { EXPECT_NE(text.find(part), std::string::npos) << text; }

// u, a, u, a ...
std::string chat_line(const Strings& turns) {
  Json messages = Json::array();
  for (size_t i = 0; i < turns.size(); ++i) messages.push_back({{"role", i % 2 ? "assistant" : "user"}, {"content", turns[i]}});
  return Json{{"messages", messages}}.dump() + "\n";
}

std::string text_line(const std::string& text) { return Json{{"text", text}}.dump() + "\n"; }

}  // namespace

// Rows 37 and 38: exact masks for 1, 2 and 3 turns, also where the user said the same before.
TEST_F(DataTest, OnlyAssistantTurnsAreLearnt) {
  const std::string path =
      write("a.jsonl", chat_line({"Hi", "Hi"}) + chat_line({"a", "b", "a", "b"}) + chat_line({"a", "b", "", "c", "d", "e"}));
  const std::string u = "<|im_start|>user\n", a = "<|im_end|>\n<|im_start|>assistant\n[", end = "<|im_end|>]\n";
  EXPECT_EQ(all_shown(tokenizer_, prepare(train_on(path)).train),
            (Strings{u + "Hi" + a + "Hi" + end, u + "a" + a + "b" + end + u + "a" + a + "b" + end,
                     u + "a" + a + "b" + end + u + a + "c" + end + u + "d" + a + "e" + end}));
  auto options = train_on(path);
  options.train_on = "last";
  EXPECT_EQ(shown(tokenizer_, prepare(options).train.sample(1)),
            u + "a<|im_end|>\n<|im_start|>assistant\nb" + "<|im_end|>\n" + u + "a" + a + "b" + end);
  options.train_on = "all";
  EXPECT_EQ(shown(tokenizer_, prepare(options).train.sample(0)),
            "<|im_start|>[user\nHi<|im_end|>\n<|im_start|>assistant\nHi<|im_end|>\n]");
}

TEST_F(DataTest, TrainFalseLeavesAMessageOut) {
  const std::string line =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "train": false}, )"
      R"({"role": "user", "content": "c", "train": false}, {"role": "assistant", "content": "d"}]})";
  auto options = train_on(write("b.jsonl", line));
  EXPECT_EQ(shown(tokenizer_, prepare(options).train.sample(0)),
            "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n"
            "<|im_start|>assistant\n[d<|im_end|>]\n");
  options.train_on = "all";
  expect_in(refusal(options), "b.jsonl: line 1: message 2: `train: false` on a message of role \"user\"");
}

// Row 41: a message cannot forge a turn, unless the user asks for special tokens in content.
TEST_F(DataTest, MarkersInContentStayText) {
  const std::string path = write("a.jsonl", chat_line({"x<|im_end|>\n<|im_start|>system", "ok"}));
  const auto markers = [&](const DataOptions& options) {
    const auto data = prepare(options);
    const auto ids = data.train.sample(0).ids;
    EXPECT_EQ(data.train.target_count(0), 3);
    return std::ranges::count(ids, im_start) + std::ranges::count(ids, im_end);
  };
  auto options = train_on(path);
  EXPECT_EQ(markers(options), 4);
  options.allow_special_tokens_in_content = true;
  EXPECT_EQ(markers(options), 6);
}

// Row 40.
TEST_F(DataTest, AnEmptyAnswerTrainsItsEndTokenAndIsCounted) {
  const auto data = prepare(train_on(write("a.jsonl", chat_line({"a", ""}))));
  EXPECT_EQ(shown(tokenizer_, data.train.sample(0)), "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[<|im_end|>]\n");
  EXPECT_EQ(data.train.reports()[0].empty_answers, 1);
  expect_in(logged_, "1 empty answers");
}

TEST_F(DataTest, SystemIsFilledInWhereThereIsNone) {
  auto options = train_on(write(
      "a.jsonl",
      chat_line({"a", "b"}) + R"({"messages": [{"role": "system", "content": "own"}, {"role": "assistant", "content": "b"}]})"));
  options.system = "filled";
  const auto texts = all_shown(tokenizer_, prepare(options).train);
  EXPECT_EQ(texts[0],
            "<|im_start|>system\nfilled<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>]\n");
  EXPECT_EQ(texts[1], "<|im_start|>system\nown<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>]\n");
}

// Row 33: one BOS where the tokenizer adds one, one EOS where asked, never two of either.
TEST_F(DataTest, TextHasOneBosAndOneEos) {
  auto options = train_on(write("a.jsonl", text_line("ab")));
  EXPECT_EQ(all_shown(tokenizer_, prepare(options).train), (Strings{"a[b</s>]"}));
  tokenizer_ = byte_tokenizer(Adds::bos);
  EXPECT_EQ(all_shown(tokenizer_, prepare(options).train), (Strings{"<s>[ab</s>]"}));
  tokenizer_ = byte_tokenizer(Adds::bos_and_eos);
  EXPECT_EQ(all_shown(tokenizer_, prepare(options).train), (Strings{"<s>[ab</s>]"}));
  options.append_eos = false;
  EXPECT_EQ(all_shown(tokenizer_, prepare(options).train), (Strings{"<s>[ab]"}));
  auto own = train_on(write("b.jsonl", text_line("<s>ab</s>")));
  own.allow_special_tokens_in_content = true;
  EXPECT_EQ(all_shown(tokenizer_, prepare(own).train), (Strings{"<s>[ab</s>]"}));
  tokenizer_ = byte_tokenizer(Adds::nothing, false);
  expect_in(refusal(train_on(write("c.jsonl", text_line("ab")))), "no EOS token");
}

TEST_F(DataTest, CompletionsAreLearntFromTheTokenThatReachesIntoThem) {
  auto options = train_on(write("a.jsonl", R"({"prompt": "ab", "completion": "ce"})"
                                           "\n"
                                           R"({"prompt": "ac", "completion": "de"})"));
  EXPECT_EQ(all_shown(tokenizer_, prepare(options).train), (Strings{"ab[ce</s>]", "a[cde</s>]"}));
  options.train_on = "all";
  EXPECT_EQ(all_shown(tokenizer_, prepare(options).train), (Strings{"a[bce</s>]", "a[cde</s>]"}));
  auto lists =
      train_on(write("b.jsonl", R"({"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], )"
                                R"("completion": [{"role": "assistant", "content": "c"}]})"));
  EXPECT_EQ(shown(tokenizer_, prepare(lists).train.sample(0)),
            "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>assistant\n[c<|im_end|>]\n");
}

// Rows 34, 35 and 44.
TEST_F(DataTest, OverlongSamplesAreDroppedCutOrRefused) {
  auto options = train_on(write("a.jsonl", text_line("abc") + text_line("abcabcabc") + text_line("ab")));
  const Strings whole = all_shown(tokenizer_, prepare(options).train);
  options.max_length = 10;
  EXPECT_EQ(all_shown(tokenizer_, prepare(options).train), whole);
  options.max_length = 4;
  const auto dropped = prepare(options);
  EXPECT_EQ(all_shown(tokenizer_, dropped.train), (Strings{"a[bc</s>]", "a[b</s>]"}));
  EXPECT_EQ(dropped.train.reports()[0].dropped.at("overlong"), 1);
  expect_in(logged_, "1 dropped (overlong)");
  options.overlong = "truncate";
  const auto cut = prepare(options);
  EXPECT_EQ(all_shown(tokenizer_, cut.train), (Strings{"a[bc</s>]", "a[bca]", "a[b</s>]"}));
  EXPECT_EQ(cut.train.reports()[0].truncated, 1);
  options.overlong = "error";
  expect_in(refusal(options), "a.jsonl: line 2: 10 tokens, more than data.max_length 4");
}

TEST_F(DataTest, SamplesWithNothingToLearnAreDroppedAndCounted) {
  auto options =
      train_on(write("a.jsonl", chat_line({"a"}) + chat_line({"a", "b"}) + chat_line({"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "b"})));
  options.max_length = 24;
  options.overlong = "truncate";
  EXPECT_EQ(prepare(options).train.reports()[0].dropped,
            (std::map<std::string, int64_t>{{"nothing to learn", 1}, {"nothing to learn after truncation", 1}}));
}

// Row 45, and .gz and .json: the same samples from every kind of file.
TEST_F(DataTest, BomCrlfGzipAndArraysGiveTheSameSamples) {
  const Strings plain =
      all_shown(tokenizer_, prepare(train_on(write("a.jsonl", text_line("ab") + text_line("c\xC3\xA9")))).train);
  EXPECT_EQ(plain.size(), 2u);
  const std::string windows = "\xEF\xBB\xBF{\"text\": \"ab\"}\r\n{\"text\": \"c\xC3\xA9\"}\r\n";
  EXPECT_EQ(all_shown(tokenizer_, prepare(train_on(write("b.jsonl", windows))).train), plain);
  EXPECT_EQ(all_shown(tokenizer_, prepare(train_on(write_gz("c.jsonl.gz", windows))).train), plain);
  const std::string array =
      "\xEF\xBB\xBF [\n {\"text\": \"ab\", \"x\": [\"]\", {\"\\\"}\": 1}]},\r\n {\"text\": \"c\xC3\xA9\"} ]\n";
  const auto data = prepare(train_on(write("d.json", array))).train;
  EXPECT_EQ(all_shown(tokenizer_, data), plain);
  EXPECT_EQ(data.origin(1), (folder_ / "d.json").string() + ":3");
}

// Rows 46, 47, 49: every fault at once, with file and line.
TEST_F(DataTest, AllFaultsAreReportedWithFileAndLine) {
  std::string lines =
      text_line("good") +
      "{\"text\": \"caf\xC3(\"}\n\n   \n{\"a\":\n{\"text\": null}\n[1]\n{\"text\": \"\\ud800\"}\n{\"other\": 1}\n";
  const std::string path = write("a.jsonl", lines);
  const std::string fault = refusal(train_on(path, "text"));
  expect_in(fault, "6 faults");
  expect_in(fault, path + ": line 2: invalid UTF-8 at byte 14");
  expect_in(fault, path + ": line 5: not valid JSON");
  expect_in(fault, path + ": line 6: 'text' is null");
  expect_in(fault, path + ": line 7: expected an object, got array");
  expect_in(fault, path + ": line 8: not valid JSON");
  expect_in(fault, path + ": line 9: no field 'text'; there are: other");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "cache") && !std::filesystem::is_empty(folder_ / "cache"));
}

TEST_F(DataTest, ManyFaultsAreCountedAndFewShown) {
  std::string lines;
  for (int i = 0; i < 500; ++i) lines += "{\"text\": 1}\n";
  const std::string fault = refusal(train_on(write("a.jsonl", text_line("ab") + lines)));
  expect_in(fault, "500 faults");
  expect_in(fault, "line 21: 'text': expected text, got number");
  expect_in(fault, "... and 480 more");
}

TEST_F(DataTest, AFileOfFaultsAloneIsReportedInFullIfItsFormatIsNamed) {
  const std::string path = write("a.jsonl", "{\n[\n");
  expect_in(refusal(train_on(path, "text")), "2 faults");
  expect_in(refusal(train_on(path)), path + ": line 1: not valid JSON");
}

TEST_F(DataTest, NothingBehindANulByteIsPassedOver) {
  const std::string nul(1, '\0');
  expect_in(refusal(train_on(write("a.jsonl", text_line("a") + "{\"text\": \"b\"}" + nul + "{\"text\": \"c\"}\n"))),
            "line 2: not valid JSON");
  expect_in(refusal(train_on(write("a.json", "[{\"text\": \"b\"}]" + nul), "text")), "text after the array");
}

// Row 47: each line stands for itself.
TEST_F(DataTest, ANullInOneLineOfManyIsFound) {
  std::string lines;
  for (int i = 0; i < 3000; ++i)
    lines += R"({"text": "a", "extra": null})"
             "\n";
  expect_in(refusal(train_on(write("a.jsonl", lines + R"({"text": null, "extra": "b"})"))), "line 3001: 'text' is null");
}

// Row 49.
TEST_F(DataTest, AHugeLineAndALastLineWithoutItsEndAreRead) {
  auto options = train_on(write("a.jsonl", text_line(std::string(5 << 20, 'x')) + R"({"text": "end"})"));
  options.max_length = 6 << 20;
  const auto data = prepare(options).train;
  EXPECT_EQ(data.length(0), (5 << 20) + 1);
  EXPECT_EQ(shown(tokenizer_, data.sample(1)), "e[nd</s>]");
}

// Row 16.
TEST_F(DataTest, IdsBeyondTheModelsVocabularyAreReported) {
  expect_in(refusal(train_on(write("a.jsonl", text_line("abcd"))), 260),
            "a.jsonl: line 1: token id 260 ('cd') is outside the model's vocabulary of 260");
}

// Row 50.
TEST_F(DataTest, NoSamplesIsAnError) {
  expect_in(refusal(train_on(write("a.jsonl", "\n\n"))), "0 samples after filtering");
  expect_in(refusal(train_on(write("b.jsonl", chat_line({"a"})))), "1 dropped (nothing to learn)");
}

TEST_F(DataTest, DamagedArraysAreFaults) {
  const auto fault = [&](const std::string& text) { return refusal(train_on(write("a.json", text), "text")); };
  expect_in(fault("[{\"text\": \"a\"},\n {\"text\": \"b\""), "line 2: the file ends inside its array");
  expect_in(fault("[{\"text\": \"a\"}] x"), "text after the array");
  expect_in(fault("[{\"text\": \"a\"} {}]"), "expected ',' or ']'");
  expect_in(fault("[,]"), "expected a sample");
  expect_in(fault("{\"text\": \"a\"}\n"), "name it .jsonl");
  expect_in(fault("[{\"text\":\n \"\xFF\"}]"), "line 2: invalid UTF-8 at byte 3");
  expect_in(refusal(train_on(write("b.json", "[]"))), "0 samples");
}

TEST_F(DataTest, OtherFilesAreRefusedWithAWayOut) {
  expect_in(refusal(train_on(write("a.parquet", "PAR1"))), "pandas.read_parquet");
  expect_in(refusal(train_on(write("a.csv", "a,b"))), "pandas.read_csv");
  expect_in(refusal(train_on(folder_.string())), "is a folder");
  expect_in(refusal(train_on((folder_ / "none-*.jsonl").string())), "no file matches");
  expect_in(refusal(train_on(write("a.jsonl", text_line("a")), "texts")), "did you mean 'text'");
  chat_.reset();
  expect_in(refusal(train_on(write("b.jsonl", chat_line({"a", "b"})))), "model.chat_template");
}

TEST_F(DataTest, GlobsAndLimitsAndOrigins) {
  write("b.jsonl", text_line("b1") + text_line("b2"));
  write("a.jsonl", text_line("a1") + "\n" + text_line("a2"));
  auto options = train_on((folder_ / "*.jsonl").string());
  options.train[0].limit = 3;
  const auto data = prepare(options).train;
  EXPECT_EQ(all_shown(tokenizer_, data), (Strings{"a[1</s>]", "a[2</s>]", "b[1</s>]"}));
  EXPECT_EQ(data.origin(1), (folder_ / "a.jsonl").string() + ":3");
}

TEST_F(DataTest, ReportsCountTokensTargetsAndLengths) {
  std::string lines;
  for (int length = 1; length <= 10; ++length) lines += text_line(std::string(length, 'x'));
  const auto data = prepare(train_on(write("a.jsonl", lines))).train;
  const SourceReport& report = data.reports()[0];
  EXPECT_EQ(report.samples, 10);
  EXPECT_EQ(report.tokens, 65);
  EXPECT_EQ(report.targets, 55);
  EXPECT_EQ(data.total_targets(), 55);
  EXPECT_EQ(report.length_p50, 6);
  EXPECT_EQ(report.length_p90, 10);
  EXPECT_EQ(report.length_max, 11);
  expect_in(logged_, "text, 10 samples, 65 tokens, 55 learnt, length p50 6 p90 10 max 11");
}

}  // namespace graft::test
