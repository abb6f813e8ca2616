#include <gtest/gtest.h>

#include "graft/core/error.h"
#include "graft/core/hash.h"
#include "graft/core/json.h"
#include "graft/core/table.h"

namespace graft {
namespace {

TEST(ErrorList, ReportsAllAtOnce) {
  ErrorList errors;
  errors.raise("nothing wrong");
  errors.add("first {}", 1);
  errors.guard([] { refuse("second"); });
  try {
    errors.raise("title:");
    FAIL();
  } catch (const RequestError& e) {
    EXPECT_STREQ(e.what(), "title:\n  first 1\n  second");
  }
}

TEST(Table, SuggestsOnlyWhatIsNear) {
  const std::vector<std::string> names{"rank", "alpha", "dropout"};
  EXPECT_EQ(nearest("rnak", names), "rank");
  EXPECT_EQ(nearest("alhpa", names), "alpha");
  EXPECT_EQ(nearest("ra", names), "rank");        // two letters short: as far as names of its length may be
  EXPECT_EQ(nearest("alphaaa", names), "alpha");  // ... and two more
  EXPECT_EQ(nearest(std::string(1 << 20, 'a'), names), "");
  EXPECT_EQ(nearest("learning_rate", names), "");
}

TEST(Json, LimitsDepthAndNamesTheFile) {
  EXPECT_EQ(parse_json(R"({"b": 1, "a": 2})", "x").begin().key(), "b");   // order kept
  EXPECT_THROW(parse_json(std::string_view("{}\0 more", 8), "x"), RequestError);   // nothing behind a NUL is passed over
  EXPECT_EQ(parse_json("\xEF\xBB\xBF[1]", "x"), Json({1}));
  EXPECT_THROW(parse_json("\xEF\xBB\xBF\xEF\xBB\xBF[1]", "x"), RequestError);   // the same file, read as records, is refused too
  EXPECT_THROW(parse_json(std::string(200'000, '['), "x"), RequestError);
  try {
    parse_json("{\"a\":", "data.json");
    FAIL();
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("data.json"), std::string::npos);
  }
}

TEST(Hash, IsStableAcrossReleases) {
  EXPECT_EQ(Hash().add("graft").hex(), Hash().add("gra").add("ft").hex());
  EXPECT_EQ(hash_of("graft"), 0x91989b348402fe30ULL);
  EXPECT_NE(hash_of("a"), hash_of("b"));
}

}  // namespace
}  // namespace graft
