// A conversation without its terminal.
#include "../recipes/chat.h"

#include "graft/core/error.h"
#include "support/models.h"

namespace graft::testing {
namespace {

class ChatTest : public ::testing::Test {
 protected:
  ChatTest() : chat_(open_speaker(tiny(), "cpu", "fp32", {}, {}), five_tokens(), "") {
    const std::filesystem::path trained = golden("training");   // of 100 steps; its config lies beside the first values
    std::filesystem::copy(trained / "init/adapter_config.json", folder_ / "adapter_config.json");
    std::filesystem::copy(trained / "adapter_model.safetensors", folder_ / "adapter_model.safetensors");
  }
  static Target tiny() {
    Target target;
    target.model.path = golden("tiny_chat").string();
    return target;
  }
  static GenerateOptions five_tokens() {
    GenerateOptions options;
    options.max_new_tokens = 5;
    return options;
  }
  std::string ask(const std::string& text) {
    std::string said;
    EXPECT_TRUE(chat_.say(text, [&](const std::string& piece) { said += piece; }, {}));
    return said;
  }

  TemporaryFolder folder_;
  Chat chat_;
};

TEST_F(ChatTest, RemembersAndForgets) {
  const std::string said = ask("What is a nut?");
  ASSERT_EQ(chat_.messages().size(), 2u);
  EXPECT_EQ(chat_.messages()[0].at("content"), "What is a nut?");
  EXPECT_EQ(chat_.messages()[1].at("content"), said);
  chat_.command("/system  Be brief. ");
  ASSERT_EQ(chat_.messages().size(), 1u);
  EXPECT_EQ(chat_.messages()[0].at("content"), "Be brief.");
  ask("What is a nut?");
  chat_.command("/reset");
  EXPECT_EQ(chat_.messages().size(), 1u);   // the system message stays
  chat_.command("/system");
  EXPECT_TRUE(chat_.messages().empty());
  EXPECT_EQ(ask("What is a nut?"), said);
}

TEST_F(ChatTest, SwitchesAmongAdapters) {
  const std::string name = folder_.path().string(), base = ask("What is a nut?");
  EXPECT_NE(chat_.command("/adapter " + name).find("* " + name), std::string::npos);
  chat_.command("/reset");
  const std::string trained = ask("What is a nut?");
  EXPECT_NE(trained, base);
  EXPECT_NE(chat_.command("/adapter none").find("* none"), std::string::npos);
  chat_.command("/reset");
  EXPECT_EQ(ask("What is a nut?"), base);
  chat_.command("/adapter " + name), chat_.command("/reset");   // known by now
  EXPECT_EQ(ask("What is a nut?"), trained);
  for (const char* wrong : {"/adapter nowhere", "/adapter /tmp", "/what"}) EXPECT_THROW(chat_.command(wrong), RequestError) << wrong;
  EXPECT_EQ(chat_.adapter(), name);
  EXPECT_EQ(chat_.messages().size(), 2u);
}

TEST_F(ChatTest, AStoppedAnswerStaysAsFarAsItCame) {
  std::stop_source stop;
  std::string said;
  const auto stop_at_once = [&](const std::string& piece) { said += piece, stop.request_stop(); };
  EXPECT_FALSE(chat_.say("What is a nut?", stop_at_once, stop.get_token()));
  ASSERT_EQ(chat_.messages().size(), 2u);
  EXPECT_EQ(chat_.messages()[1].at("content"), said);
}

TEST_F(ChatTest, AConversationThatGrowsTooLongIsRefusedWithoutLoss) {
  EXPECT_THROW(for (int turn = 0; turn < 40; ++turn) ask("What is a nut?"), RequestError);   // the model has 256 positions
  const size_t turns = chat_.messages().size();
  EXPECT_THROW(ask("What is a nut?"), RequestError);
  EXPECT_EQ(chat_.messages().size(), turns);
  chat_.command("/reset");
  ask("What is a nut?");
}

}  // namespace
}  // namespace graft::testing
