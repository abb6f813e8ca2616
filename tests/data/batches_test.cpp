#include "graft/data/batches.h"

#include <algorithm>
#include <set>

#include "data/support.h"

namespace graft::test {

namespace {

class BatchesTest : public DataTest {
 protected:
  // Samples of varied length: "x", "xx", ...
  Dataset dataset(int count, double repeat = 1, int second = 0) {
    const auto lines = [](int samples) {
      std::string text;
      for (int i = 0; i < samples; ++i) text += fmt::format("{{\"text\": \"{}{}\"}}\n", i, std::string(i * 37 % 53, 'x'));
      return text;
    };
    auto options = train_on(write("a.jsonl", lines(count)));
    options.train[0].repeat = repeat;
    if (second > 0) options.train.push_back({write("b.jsonl", lines(second)), "auto", {}, {}, 1});
    return prepare(options).train;
  }
};

std::vector<int64_t> samples_of(const std::vector<HostBatch>& step) {
  std::vector<int64_t> samples;
  for (const auto& batch : step) samples.insert(samples.end(), batch.samples.begin(), batch.samples.end());
  return samples;
}

std::vector<int64_t> epoch_of(Batches& batches) {
  std::vector<int64_t> samples;
  for (int64_t i = 0; i < batches.steps_per_epoch(); ++i)
    std::ranges::copy(samples_of(batches.next()), std::back_inserter(samples));
  return samples;
}

}  // namespace

TEST_F(BatchesTest, EachSampleOnceAnEpochInAnotherOrderEachTime) {
  const Dataset data = dataset(1003);
  Batches batches(data, {.micro_batch_size = 4, .gradient_accumulation_steps = 2, .seed = 1});
  EXPECT_EQ(batches.steps_per_epoch(), 126);
  auto first = epoch_of(batches);
  EXPECT_EQ(batches.cursor(), (DataCursor{1, 0}));
  auto second = epoch_of(batches);
  EXPECT_NE(first, second);
  for (auto* order : {&first, &second}) {
    std::ranges::sort(*order);
    for (int64_t i = 0; i < 1003; ++i) ASSERT_EQ((*order)[i], i);
    ASSERT_EQ(order->size(), 1003u);
  }
}

TEST_F(BatchesTest, PackedRowsHoldEachSampleOnceAndAreWellFilled) {
  const Dataset data = dataset(300, 1.5);
  const BatchOptions options{.micro_batch_size = 2, .gradient_accumulation_steps = 3, .seed = 5, .row_length = 128, .slots = 2};
  Batches batches(data, options);
  EXPECT_EQ(batches.samples_per_epoch(), 450);
  int64_t tokens = 0, expected_segment = 0;
  std::vector<int64_t> first;
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::vector<int64_t> seen;
    for (int64_t i = 0; i < batches.steps_per_epoch(); ++i) {
      Batches resumed(data, options);
      resumed.seek(batches.cursor());
      const auto step = batches.next(), again = resumed.next();
      ASSERT_EQ(step.size(), again.size());
      for (size_t b = 0; b < step.size(); ++b) {
        const HostBatch& batch = step[b];
        EXPECT_EQ(batch.ids, again[b].ids);
        EXPECT_EQ(batch.segments, again[b].segments);
        EXPECT_TRUE(batch.packed);
        std::vector<int64_t> here;
        for (int64_t at = 0; at < batch.rows * batch.columns; ++at) {
          const bool row_begins = at % batch.columns == 0;
          if (batch.segments[at] < 0) continue;
          if (row_begins || batch.segments[at] != batch.segments[at - 1]) {
            here.push_back(batch.segments[at]);
            EXPECT_EQ(batch.positions[at], 0);
          }
          const SampleView sample = data.sample(batch.samples[here.size() - 1]);
          const auto t = static_cast<size_t>(batch.positions[at]);
          EXPECT_EQ(batch.ids[at], sample.ids[t]);
          EXPECT_EQ(batch.targets[at], t + 1 < sample.ids.size() && sample.learn[t + 1] ? sample.ids[t + 1] : -100);
        }
        for (const int64_t segment : here) EXPECT_EQ(segment, expected_segment++);
        for (int64_t row = 0; row < batch.rows; ++row) {
          const auto* segments = batch.segments.data() + row * batch.columns;
          const std::set<int64_t> samples(segments, segments + batch.columns);
          EXPECT_LE(std::count_if(segments, segments + batch.columns, [](int64_t s) { return s >= 0; }) + 2 * std::ssize(samples) - 2 * samples.contains(-1), 128);
        }
        tokens += batch.token_count;
      }
      std::ranges::copy(samples_of(step), std::back_inserter(seen));
    }
    EXPECT_EQ(seen.size(), 450u);
    EXPECT_NE(first, seen);
    first = seen;
    std::ranges::sort(seen);
    for (int64_t sample = 0; sample < 300; ++sample) EXPECT_GE(std::ranges::count(seen, sample), 1);
  }
  const double filled = static_cast<double>(tokens / 2 + 450 * 2) / static_cast<double>(batches.rows_per_epoch() * 128);
  EXPECT_GT(filled, 0.95);
}

TEST_F(BatchesTest, ASampleThatFillsARowLiesAlone) {
  const Dataset data = dataset(20);
  int64_t longest = 0;
  for (int64_t i = 0; i < data.size(); ++i) longest = std::max(longest, data.length(i));
  Batches exact(data, {.micro_batch_size = 1, .gradient_accumulation_steps = 1, .row_length = longest});
  EXPECT_LT(exact.rows_per_epoch(), 20);
  EXPECT_THROW(Batches(data, {.row_length = longest - 1}), Error);
}

// Row 50.
TEST_F(BatchesTest, FewerSamplesThanABatchAreOneStep) {
  Batches batches(dataset(3), {.micro_batch_size = 8, .gradient_accumulation_steps = 4});
  EXPECT_EQ(batches.steps_per_epoch(), 1);
  const auto step = batches.next();
  ASSERT_EQ(step.size(), 1u);
  EXPECT_EQ(step[0].rows, 3);
  EXPECT_EQ(batches.cursor(), (DataCursor{1, 0}));
}

TEST_F(BatchesTest, SeekGivesWhatTheStraightRunGives) {
  const Dataset data = dataset(101, 1.5);
  const BatchOptions options{.micro_batch_size = 3, .gradient_accumulation_steps = 2, .seed = 7};
  Batches straight(data, options);
  for (int step = 0; step < 60; ++step) {
    Batches resumed(data, options);
    resumed.seek(straight.cursor());
    const auto expected = straight.next(), got = resumed.next();
    ASSERT_EQ(expected.size(), got.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(expected[i].ids, got[i].ids);
      EXPECT_EQ(expected[i].segments, got[i].segments);
      EXPECT_EQ(expected[i].targets, got[i].targets);
    }
    EXPECT_EQ(straight.cursor(), resumed.cursor());
  }
  EXPECT_THROW(straight.seek({0, straight.steps_per_epoch()}), RequestError);
}

TEST_F(BatchesTest, SegmentsAreUniqueOverEpochs) {
  Batches batches(dataset(10), {.micro_batch_size = 2, .gradient_accumulation_steps = 2});
  std::set<int64_t> segments;
  for (int i = 0; i < 9; ++i)
    for (const auto& batch : batches.next())
      for (int64_t row = 0; row < batch.rows; ++row) segments.insert(batch.segments[row * batch.columns]);
  EXPECT_EQ(segments.size(), 30u);
  EXPECT_EQ(*segments.begin(), 0);
  EXPECT_EQ(*segments.rbegin(), 29);
}

TEST_F(BatchesTest, GroupingByLengthSavesPadding) {
  const Dataset data = dataset(2000);
  Batches batches(data, {.micro_batch_size = 8, .gradient_accumulation_steps = 2, .seed = 3});
  int64_t cells = 0, tokens = 0;
  std::vector<int64_t> longest;
  for (int64_t i = 0; i < batches.steps_per_epoch(); ++i) {
    for (const auto& batch : batches.next()) {
      cells += batch.rows * batch.columns;
      tokens += batch.token_count;
      longest.push_back(batch.columns);
    }
  }
  EXPECT_LT(static_cast<double>(cells), 1.05 * static_cast<double>(tokens));
  EXPECT_FALSE(std::ranges::is_sorted(longest));
}

TEST_F(BatchesTest, RepeatIsKeptInEachEpochAndEvenOverEpochs) {
  Batches batches(dataset(10, 2.5, 4), {.micro_batch_size = 4, .gradient_accumulation_steps = 1});
  EXPECT_EQ(batches.samples_per_epoch(), 29);
  std::vector<int> total(14, 0);
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::vector<int> seen(14, 0);
    for (const int64_t sample : epoch_of(batches)) ++seen[sample];
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(seen[i] == 2 || seen[i] == 3);
    for (int i = 10; i < 14; ++i) EXPECT_EQ(seen[i], 1);
    for (int i = 0; i < 14; ++i) total[i] += seen[i];
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(total[i], 5);
}

TEST_F(BatchesTest, TheOrderIsAFixedFunctionOfTheSeed) {
  const Dataset data = dataset(8);
  Batches batches(data, {.micro_batch_size = 2, .gradient_accumulation_steps = 1, .seed = 42});
  EXPECT_EQ(epoch_of(batches), (std::vector<int64_t>{6, 2, 0, 3, 5, 1, 4, 7}));
  Batches plain(data, {.micro_batch_size = 8, .gradient_accumulation_steps = 1, .seed = 42, .shuffle = false});
  auto order = epoch_of(plain);
  EXPECT_EQ(order, epoch_of(plain));
}

// Row 53: labels are the learnt tokens other than a sample's first; none crosses into padding or another row.
TEST_F(BatchesTest, TargetsAreTheNextLearntTokens) {
  const auto path = write("c.jsonl", R"({"prompt": "a", "completion": "b"})"
                                     "\n"
                                     R"({"prompt": "", "completion": "xyz"})"
                                     "\n");
  const Dataset data = prepare(train_on(path)).train;
  const std::vector<int64_t> rows{0, 1};
  const HostBatch batch = make_batch(data, rows, 40);
  EXPECT_EQ(batch.rows, 2);
  EXPECT_EQ(batch.columns, 4);
  EXPECT_EQ(batch.ids, (std::vector<int64_t>{'a', 'b', eos, 0, 'x', 'y', 'z', eos}));
  EXPECT_EQ(batch.targets, (std::vector<int64_t>{'b', eos, -100, -100, 'y', 'z', eos, -100}));
  EXPECT_EQ(batch.positions, (std::vector<int64_t>{0, 1, 2, 3, 0, 1, 2, 3}));
  EXPECT_EQ(batch.segments, (std::vector<int64_t>{40, 40, 40, -1, 41, 41, 41, 41}));
  EXPECT_EQ(batch.target_count, 5);
  EXPECT_EQ(batch.target_count, data.total_targets());
  EXPECT_EQ(batch.token_count, 7);
}

/// A prompt and an answer a line.
class SharedBeginningTest : public BatchesTest {
 protected:
  Dataset prompts(const std::vector<std::pair<std::string, std::string>>& samples, const std::string& name = "prompts") {
    std::string text;
    for (const auto& [prompt, completion] : samples) text += Json{{"prompt", prompt}, {"completion", completion}}.dump() + "\n";
    return prepare(train_on(write(name + ".jsonl", text))).train;
  }
};

TEST_F(SharedBeginningTest, EndsWhereSamplesDifferOrLearn) {
  const std::string words = "say it again: ";
  const auto differ = prompts({{words + "one", "1"}, {words + "two", "2"}, {words + "three", "3"}});
  EXPECT_EQ(shared_beginning(differ, 8), std::ssize(words));
  EXPECT_EQ(shared_beginning(differ, 1), 0);
  // The prompt's last token predicts what each answer begins with.
  EXPECT_EQ(shared_beginning(prompts({{words, "1"}, {words, "2"}}, "answers"), 8), std::ssize(words) - 1);
  EXPECT_EQ(shared_beginning(prompts({{words, "1"}, {words, "1"}}, "twins"), 8), std::ssize(words) - 1);
  EXPECT_EQ(shared_beginning(prompts({{words + "one", "1"}, {words + "two", "2"}, {"or not", "3"}}, "another"), 8), 0);
  EXPECT_EQ(shared_beginning(prompts({{"", words + "one"}, {"", words + "two"}}, "learnt"), 8), 0);
  // Not worth a row of its own: short, or a small part of what follows.
  EXPECT_EQ(shared_beginning(prompts({{"short: one", "1"}, {"short: two", "2"}}, "short"), 8), 0);
  const std::string much = " " + std::string(200, 'x');
  EXPECT_EQ(shared_beginning(prompts({{words + "one" + much, "1"}, {words + "two" + much, "2"}}, "long"), 8), 0);
}

TEST_F(SharedBeginningTest, LiesInAMicroBatchOnce) {
  const std::string words = "say it again: ";
  const Dataset data = prompts({{words + "one", "1"}, {words + "two", "22"}, {words + "three", "333"}});
  const int64_t shared = shared_beginning(data, 3);
  Batches batches(data, {.micro_batch_size = 3, .gradient_accumulation_steps = 1, .shuffle = false, .shared = shared});
  const HostBatch batch = batches.next().front();
  const HostBatch apart = make_batch(data, batch.samples, 0);
  EXPECT_EQ(batch.shared, shared);
  EXPECT_EQ(batch.rows, 1);
  EXPECT_EQ(batch.columns, apart.token_count - 2 * shared);
  EXPECT_EQ(batch.token_count, apart.token_count);
  EXPECT_EQ(batch.target_count, apart.target_count);
  size_t at = 0;
  for (; at < static_cast<size_t>(shared); ++at) {
    EXPECT_EQ(batch.ids[at], words[at]);
    EXPECT_EQ(batch.positions[at], static_cast<int64_t>(at));
    EXPECT_EQ(batch.segments[at], shared_segment);
    EXPECT_EQ(batch.targets[at], -100);
  }
  for (int64_t row = 0; row < apart.rows; ++row)
    for (int64_t t = shared; t < data.length(batch.samples[static_cast<size_t>(row)]); ++t, ++at) {
      const auto from = static_cast<size_t>(row * apart.columns + t);
      EXPECT_EQ(batch.ids[at], apart.ids[from]) << at;
      EXPECT_EQ(batch.positions[at], t) << at;
      EXPECT_EQ(batch.segments[at], row) << at;
      EXPECT_EQ(batch.targets[at], apart.targets[from]) << at;
    }
  EXPECT_EQ(at, batch.ids.size());
}

TEST_F(BatchesTest, EvaluationSeesEachSampleOnceInOrderOfLength) {
  const Dataset data = dataset(103);
  std::vector<int64_t> lengths;
  std::set<int64_t> seen;
  for (const auto& rows : evaluation_batches(data, 8)) {
    EXPECT_LE(rows.size(), 8u);
    for (const int64_t sample : rows) {
      seen.insert(sample);
      lengths.push_back(data.length(sample));
    }
  }
  EXPECT_EQ(seen.size(), 103u);
  EXPECT_EQ(lengths.size(), 103u);
  EXPECT_TRUE(std::ranges::is_sorted(lengths));
}

}  // namespace graft::test
