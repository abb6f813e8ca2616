#include "graft/data/batches_ahead.h"

#include "../src/data/cache.h"
#include "data/support.h"

namespace graft::test {
namespace {

class BatchesAheadTest : public DataTest {
 protected:
  Dataset dataset(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += fmt::format("{{\"text\": \"{}{}\"}}\n", i, std::string(i * 37 % 53, 'x'));
    return prepare(train_on(write("a.jsonl", text))).train;
  }

  /// `count` samples of four tokens.
  std::shared_ptr<Dataset::Impl> four_tokens_each(int64_t count) {
    const std::vector<int32_t> ids{1, 2, 3, 4};
    std::string bytes(reinterpret_cast<const char*>(ids.data()), 16);
    const auto impl = std::make_shared<Dataset::Impl>(MappedFile(write("samples", bytes + std::string(4, '\1'))));
    entries_.assign(static_cast<size_t>(count), {.length = 4, .targets = 3});
    impl->entries = entries_;
    impl->reports = {{.path = "samples", .samples = count}};
    return impl;
  }

  /// Rows of one sample, cut here: what is lost of the data after it is met in a step.
  static Batches packed(std::shared_ptr<Dataset::Impl> data) {
    BatchOptions options = options_;
    options.row_length = 4;
    return {Dataset(std::move(data)), options};
  }

  std::vector<CacheEntry> entries_;
  static constexpr BatchOptions options_{.micro_batch_size = 3, .gradient_accumulation_steps = 2, .seed = 7};
};

void expect_equal(const std::vector<HostBatch>& a, const std::vector<HostBatch>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].ids, b[i].ids);
    EXPECT_EQ(a[i].targets, b[i].targets);
    EXPECT_EQ(a[i].segments, b[i].segments);
    EXPECT_EQ(a[i].samples, b[i].samples);
  }
}

std::string failure_of(BatchesAhead& batches) try {
  batches.next();
  return "";
} catch (const Error& e) {
  return e.what();
}

}  // namespace

TEST_F(BatchesAheadTest, StepsAndCursorAreThoseOfBatchesAndSeekGoesOn) {
  const Dataset data = dataset(101);
  Batches straight(data, options_);
  BatchesAhead ahead(Batches(data, options_));
  EXPECT_EQ(ahead.steps_per_epoch(), straight.steps_per_epoch());
  for (int step = 0; step < 40; ++step) {
    EXPECT_EQ(ahead.cursor(), straight.cursor());   // of what was taken, though more is made
    if (step % 7 == 3) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (step % 11 == 10) {
      BatchesAhead resumed(Batches(data, options_));
      resumed.next();
      resumed.seek(straight.cursor());
      EXPECT_EQ(resumed.cursor(), straight.cursor());
      Batches expected(data, options_);
      expected.seek(straight.cursor());
      expect_equal(resumed.next(), expected.next());
    }
    expect_equal(ahead.next(), straight.next());
  }
  EXPECT_THROW(ahead.seek({0, straight.steps_per_epoch()}), RequestError);
}

TEST_F(BatchesAheadTest, OnlySoManyAreMadeBeforeTheyAreTaken) {
  const auto impl = four_tokens_each(600);
  BatchesAhead ahead(packed(impl), 2);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  impl->entries = {};   // whatever is made from here on fails
  int taken = 0;
  try {
    for (;; ++taken) ahead.next();
  } catch (const Error&) {
  }
  EXPECT_LE(taken, 3);   // two lie ready, one is in hand
}

TEST_F(BatchesAheadTest, AFailureComesWhereItsStepWouldAsItIs) {
  const auto impl = four_tokens_each(60);
  Batches straight = packed(impl);
  impl->entries = impl->entries.first(59);
  BatchesAhead ahead{Batches(straight)};
  for (DataCursor before;; before = straight.cursor()) try {
      const auto expected = straight.next();
      expect_equal(ahead.next(), expected);
    } catch (const Error& failure) {
      EXPECT_GT(before.step_in_epoch, 0);
      EXPECT_EQ(ahead.cursor(), before);
      for (int again = 0; again < 2; ++again) EXPECT_EQ(failure_of(ahead), failure.what());
      break;
    }
}

}  // namespace graft::test
