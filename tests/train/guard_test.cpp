// What stands out, and what may not be saved.
#include <cmath>

#include "graft/core/error.h"
#include "graft/train/guard.h"
#include "support/models.h"

namespace graft::testing {
namespace {

/// A norm that wanders about 2, as if by chance.
double usual(int64_t step) { return 2 + 0.3 * std::sin(static_cast<double>(step * step)); }

TEST(NormWatch, NamesWhatStandsOutAndNothingElse) {
  NormWatch watch;
  for (int64_t step = 0; step < 20; ++step)
    EXPECT_EQ(watch.add(step == 7 ? 90 : usual(step)), 0) << "too early to say, step " << step;
  watch = {};
  for (int64_t step = 0; step < 300; ++step) ASSERT_LT(std::fabs(watch.add(usual(step))), 3) << step;
  EXPECT_NEAR(watch.mean, 2, 0.1);
  EXPECT_NEAR(std::sqrt(watch.variance), 0.3 / std::sqrt(2), 0.05);
  EXPECT_NEAR(NormWatch(watch).add(4), 2 / std::sqrt(watch.variance), 0.2);
  EXPECT_GT(watch.add(60), spike_z);
  EXPECT_GT(watch.add(60), spike_z);  // the first one does not hide the second
  EXPECT_LT(watch.add(2.2), 3);
}

TEST(NormWatch, ALastingChangeIsSoonUsualAndARippleIsNoSpike) {
  NormWatch watch;
  for (int64_t step = 0; step < 100; ++step) watch.add(usual(step));
  int64_t named = 0;
  for (int64_t step = 0; step < 300; ++step) named += watch.add(3 * usual(step)) > spike_z;
  EXPECT_GT(named, 0);
  EXPECT_LT(named, 30);
  watch = {};
  for (int64_t step = 0; step < 100; ++step) watch.add(1);
  EXPECT_LT(watch.add(1.2), spike_z);
  watch = {};
  for (int64_t step = 0; step < 100; ++step) EXPECT_EQ(watch.add(0), 0);  // nothing is learnt: no division by zero
}

TEST(NormWatch, JudgesAfterAResumeAsItWouldHave) {
  NormWatch watch;
  for (int64_t step = 0; step < 57; ++step) watch.add(usual(step));
  NormWatch again = NormWatch::from_json(parse_json(watch.to_json().dump(), "state"));
  for (int64_t step = 57; step < 90; ++step) ASSERT_EQ(watch.add(usual(step)), again.add(usual(step)));
}

TEST(Guard, OriginsSayAFileOnce) {
  EXPECT_EQ(origins_text({"a.jsonl:3", "a.jsonl:17", "b.jsonl:2", "a.jsonl:4"}, 9), "a.jsonl:3, 17, b.jsonl:2, a.jsonl:4");
  EXPECT_EQ(origins_text({"a.jsonl:3", "a.jsonl:17", "a.jsonl:2"}, 2), "a.jsonl:3, 17 and 1 more");
  EXPECT_EQ(origins_text({"odd", ""}, 2), "odd, ");
}

TEST(Guard, ValuesThatAreNotFiniteAreNamed) {
  TensorMap values{{"a", at::ones({3})}, {"b", at::ones({2, 2})}, {"c", at::ones({4})}};
  EXPECT_NO_THROW(check_finite(values, "the adapter's", 7, "none"));
  EXPECT_NO_THROW(check_finite({}, "the adapter's", 7, "none"));
  for (const double bad : {NAN, INFINITY, -INFINITY}) {
    values["b"][1][0] = bad;
    try {
      check_finite(values, "the adapter's", 7, "runs/x/step-5");
      FAIL() << bad;
    } catch (const Error& e) {
      for (const char* part : {"step 7", "the adapter's b", "runs/x/step-5"})
        EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace graft::testing
