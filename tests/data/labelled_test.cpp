// Labelled data: which task it makes, its ids, types and labels, and where a batch has the targets.
#include <bit>

#include "graft/data/batches.h"
#include "graft/data/labels.h"
#include "support.h"

namespace graft::test {
namespace {

using Names = std::vector<std::string>;
using Ids = std::vector<int32_t>;

class LabelledTest : public DataTest {
 protected:
  LabelledTest() { tokenizer_ = byte_tokenizer(Adds::bos_and_eos), chat_.reset(); }

  Task task_of(const std::string& lines, const Names& known = {}) { return task_of_data(train_on(write("labels.jsonl", lines)), std::nullopt, known); }
  static Task classes(const Names& labels, Pooling pooling = Pooling::cls) { return {TaskKind::sequence_classification, labels, pooling, 0}; }
  Dataset dataset(const std::string& lines, const Task& task, int max_length = 64, const std::string& overlong = "truncate") {
    DataOptions options = train_on(write("data.jsonl", lines));
    options.max_length = max_length, options.overlong = overlong;
    return prepare(options, vocab, task).train;
  }
};

Ids ids_of(const SampleView& sample) { return {sample.ids.begin(), sample.ids.end()}; }
Ids labels_of(const SampleView& sample) { return {sample.labels.begin(), sample.labels.end()}; }
std::vector<int> types_of(const SampleView& sample) { return {sample.types.begin(), sample.types.end()}; }

TEST_F(LabelledTest, TheDataSaysTheTask) {
  EXPECT_EQ(task_of(R"({"text": "a", "label": "yes"})" "\n" R"({"text": "b", "label": "no"})").labels, (Names{"no", "yes"}));
  EXPECT_EQ(task_of(R"({"text": "a", "label": 10})" "\n" R"({"text": "b", "label": 2})" "\n" R"({"text": "b", "label": -1})").labels, (Names{"-1", "2", "10"}));
  EXPECT_EQ(task_of(R"({"text": "a", "label": 1.0})" "\n" R"({"text": "b", "label": 0.0})").labels, (Names{"0", "1"}));
  EXPECT_EQ(task_of(R"({"text": "a", "label": true})" "\n" R"({"text": "b", "label": false})").labels, (Names{"false", "true"}));
  EXPECT_EQ(task_of(R"({"text": "a", "label": 1.5})" "\n" R"({"text": "b", "label": 2})").kind, TaskKind::regression);
  const Task tags = task_of(R"({"tokens": ["a", "b"], "tags": ["O", "B"]})");
  EXPECT_EQ(tags.kind, TaskKind::token_classification);
  EXPECT_EQ(tags.labels, (Names{"B", "O"}));
  EXPECT_EQ(task_of(R"({"text": "a"})").kind, TaskKind::causal_lm);
}

TEST_F(LabelledTest, KnownLabelsKeepTheirOrderIfTheyAreTheDatas) {
  const std::string words = R"({"text": "a", "label": "yes"})" "\n" R"({"text": "b", "label": "no"})";
  EXPECT_EQ(task_of(words, {"yes", "no", "maybe"}).labels, (Names{"yes", "no", "maybe"}));
  EXPECT_EQ(task_of(words, {"yes", "maybe"}).labels, (Names{"no", "yes"}));
  // Numbers are places among names that are none themselves.
  EXPECT_EQ(task_of(R"({"text": "a", "label": 1})" "\n" R"({"text": "b", "label": 0})", {"bad", "good"}).labels, (Names{"bad", "good"}));
  EXPECT_EQ(find_label(1, {"bad", "good"}), 1);
  EXPECT_EQ(find_label(1, {"1", "0"}), 0);
  EXPECT_EQ(find_label(2, {"bad", "good"}), std::nullopt);
}

TEST_F(LabelledTest, APairHasTypesAndTheLongerTextLosesFirst) {
  const std::string line = R"({"text": "abefgh", "text_pair": "xyz", "label": "yes"})";
  const Task task = classes({"no", "yes"});
  const Dataset whole = dataset(line, task);
  const SampleView sample = whole.sample(0);
  EXPECT_EQ(ids_of(sample), (Ids{bos, 'a', 'b', 'e', 'f', 'g', 'h', eos, 'x', 'y', 'z', eos}));
  EXPECT_EQ(types_of(sample), (std::vector<int>{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(labels_of(sample), Ids{1});
  EXPECT_TRUE(sample.learn.empty());
  const Dataset cut = dataset(line, task, 9);
  EXPECT_EQ(ids_of(cut.sample(0)), (Ids{bos, 'a', 'b', 'e', eos, 'x', 'y', 'z', eos}));
  EXPECT_EQ(cut.reports()[0].truncated, 1);
  EXPECT_EQ(ids_of(dataset(line, task, 5).sample(0)), (Ids{bos, 'a', eos, 'x', eos}));
  EXPECT_EQ(dataset(line + "\n" R"({"text": "a", "label": "no"})", task, 9, "drop").size(), 1);
}

TEST_F(LabelledTest, AWordsFirstTokenCarriesItsLabel) {
  const Task task{TaskKind::token_classification, {"B", "O"}, Pooling::cls, 0};
  const std::string line = R"({"tokens": ["xy", "cd", "z"], "tags": ["O", "B", "O"]})";
  const Dataset data = dataset(line, task);
  EXPECT_EQ(ids_of(data.sample(0)), (Ids{bos, 'x', 'y', ' ', cd, ' ', 'z', eos}));
  EXPECT_EQ(labels_of(data.sample(0)), (Ids{-100, 1, -100, -100, 0, -100, 1, -100}));
  EXPECT_EQ(data.target_count(0), 3);
  const Dataset cut = dataset(line, task, 6);
  EXPECT_EQ(ids_of(cut.sample(0)), (Ids{bos, 'x', 'y', ' ', cd, eos}));
  EXPECT_EQ(labels_of(cut.sample(0)), (Ids{-100, 1, -100, -100, 0, -100}));
  const int64_t both[] = {0};
  const HostBatch batch = make_batch(data, both, 0);
  EXPECT_EQ(batch.targets, (std::vector<int64_t>{-100, 1, -100, -100, 0, -100, 1, -100}));   // where the labels are: nothing is shifted
}

TEST_F(LabelledTest, ABatchHasALabelWhereItsTaskPools) {
  const std::string lines = R"({"text": "ab", "label": "no"})" "\n" R"({"text": "e", "text_pair": "x", "label": "yes"})";
  const int64_t both[] = {0, 1};
  const HostBatch first = make_batch(dataset(lines, classes({"no", "yes"})), both, 3);
  EXPECT_EQ(first.columns, 5);
  EXPECT_EQ(first.targets, (std::vector<int64_t>{0, -100, -100, -100, -100, 1, -100, -100, -100, -100}));
  EXPECT_EQ(first.types, (std::vector<int64_t>{0, 0, 0, 0, 0, 0, 0, 0, 1, 1}));
  EXPECT_EQ(first.target_count, 2);
  EXPECT_EQ(first.pooling, Pooling::cls);
  const HostBatch last = make_batch(dataset(lines, classes({"no", "yes"}, Pooling::last)), both, 3);
  EXPECT_EQ(last.targets, (std::vector<int64_t>{-100, -100, -100, 0, -100, -100, -100, -100, -100, 1}));
  const int64_t single[] = {0};
  EXPECT_TRUE(make_batch(dataset(lines, classes({"no", "yes"})), single, 0).types.empty());
}

TEST_F(LabelledTest, ARegressionsNumbersComeThroughTheCacheExactly) {
  const Task task{TaskKind::regression, {}, Pooling::cls, 0};
  const std::string lines = R"({"text": "ab", "label": 2.75})" "\n" R"({"text": "e", "label": -1})";
  const int64_t both[] = {0, 1};
  for (int pass = 0; pass < 2; ++pass) {
    const HostBatch batch = make_batch(dataset(lines, task), both, 0);
    EXPECT_EQ(batch.values, (std::vector<float>{2.75f, 0, 0, 0, -1, 0, 0, 0}));
    EXPECT_EQ(batch.targets, (std::vector<int64_t>{0, -100, -100, -100, 0, -100, -100, -100}));
  }
  EXPECT_NE(logged_.find("reused"), std::string::npos);
}

TEST_F(LabelledTest, OtherLabelsAreAnotherCache) {
  const std::string lines = R"({"text": "ab", "label": "no"})" "\n" R"({"text": "e", "label": "yes"})";
  EXPECT_EQ(labels_of(dataset(lines, classes({"no", "yes"})).sample(0)), Ids{0});
  EXPECT_EQ(labels_of(dataset(lines, classes({"yes", "no"})).sample(0)), Ids{1});
}

TEST_F(LabelledTest, FaultsAreNamed) {
  const auto refused = [&](const std::string& lines, const Task& task) { return refusal(train_on(write("faulty.jsonl", lines)), vocab, task); };
  const Task task = classes({"no", "yes"});
  const std::string unknown = refused(R"({"text": "a", "label": "no"})" "\n" R"({"text": "a", "label": "maybe"})", task);
  EXPECT_NE(unknown.find("line 2: label 'maybe' is none of the task's: no, yes"), std::string::npos) << unknown;
  EXPECT_NE(refused(R"({"text": "a", "label": ["no"]})", task).find("'label': expected a text, a number"), std::string::npos);
  const Task tags{TaskKind::token_classification, {"B", "O"}, Pooling::cls, 0};
  EXPECT_NE(refused(R"({"tokens": ["a", "b"], "tags": ["O"]})", tags).find("2 words in 'tokens' and 1 labels in 'tags'"), std::string::npos);
  EXPECT_NE(refused(R"({"text": "a", "label": "x"})", {TaskKind::regression, {}, Pooling::cls, 0}).find("a regression's label is a number"), std::string::npos);
  DataOptions wrong = train_on(write("text.jsonl", R"({"text": "a"})"), "text");
  EXPECT_NE(refusal(wrong, vocab, task).find("format text is not for sequence_classification"), std::string::npos);
  DataOptions mixed = train_on(write("one.jsonl", R"({"text": "a", "label": "no"})"));
  mixed.train.push_back({write("two.jsonl", R"({"tokens": ["a"], "tags": ["no"]})"), "auto", {}, {}, 1});
  EXPECT_THROW(task_of_data(mixed, std::nullopt, {}), RequestError);
  EXPECT_THROW(task_of(R"({"text": "a", "label": "no"})"), RequestError);   // one label
}

TEST_F(LabelledTest, PromptsAreTextsWithTheirLabelsWhereTheFileHasThem) {
  const std::string path = write("p.jsonl", R"({"text": "ab", "label": "yes"})" "\n" R"({"text": "e"})");
  const auto prompts = read_prompts(train_on(path).train, train_on(path), tokenizer_, nullptr, classes({"no", "yes"}));
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(prompts[0].prompt, (Ids{bos, 'a', 'b', eos}));
  EXPECT_EQ(prompts[0].reference, "yes");
  EXPECT_EQ(prompts[1].reference, "");
  EXPECT_EQ(prompts[1].labels, Ids{0});
  // A language model takes the same file for plain text.
  EXPECT_EQ(read_prompts(train_on(path).train, train_on(path), tokenizer_, nullptr)[1].prompt.front(), bos);
}

}  // namespace
}  // namespace graft::test
