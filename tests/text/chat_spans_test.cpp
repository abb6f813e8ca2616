#include <gtest/gtest.h>

#include "chat_support.h"

using namespace graft;
using namespace graft::chat_tests;

TEST(ChatSpans, FindsTheAnswersOfOneTwoAndThreeTurns) {  // field report 37
  Json messages = Json::array();
  Strings expected;
  for (const char* answer : {"one", "two", "three"}) {
    messages.push_back(message("user", "Go on."));
    messages.push_back(message("assistant", answer));
    expected.push_back(std::string(answer) + "<|im_end|>");
    EXPECT_EQ(answers(chatml, messages), expected);
  }
  messages.push_back(message("user", "Go on."));
  EXPECT_EQ(answers(chatml, messages, true), expected);
}

TEST(ChatSpans, TellsAnAnswerFromAnEqualQuestion) {  // field report 38
  const Rendered out = made(chatml).render({{message("user", "Hi"), message("assistant", "Hi")}, nullptr});
  ASSERT_EQ(out.assistant.size(), 1u);
  EXPECT_EQ(out.assistant[0].begin, out.text.rfind("Hi<|im_end|>"));
}

TEST(ChatSpans, LearnsOnlyTheEndOfAnEmptyAnswer) {  // field report 40
  EXPECT_EQ(answers(chatml, {message("user", "Hi"), message("assistant", "")}), Strings{"<|im_end|>"});
}

TEST(ChatSpans, IncludesAnEosThatFollowsTheTurn) {
  const std::string source =
      "{% for m in messages %}{{ '[' + m.role + ']' + m.content }}{% if m.role == 'assistant' %}{{ '\\n' + eos_token + ' ' }}{% "
      "endif %}"
      "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
  EXPECT_EQ(answers(source, {message("user", "a"), message("assistant", "b"), message("user", "c"), message("assistant", "d")}),
            (Strings{"b\n</s>", "d\n</s>"}));
}

TEST(ChatSpans, AnchorsAnswersWhereLaterTurnsChangeEarlierOnes) {
  // Thoughts are kept in the last answer only, and the prompt opens them.
  const std::string source =
      "{% for m in messages %}<|{{ m.role }}|>{% if m.reasoning_content and loop.last %}<think>{{ m.reasoning_content "
      "}}</think>{% endif %}"
      "{{ m.content | trim }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|><think>{% endif %}";
  const auto thought = [](const char* content, const char* thoughts) {
    Json m = message("assistant", content);
    m["reasoning_content"] = thoughts;
    return m;
  };
  const Json messages = {message("user", "2+2?"), thought(" 4 ", "Two and two."), message("user", "3+3?"),
                         thought("6", "Threes.")};
  EXPECT_EQ(answers(source, messages), (Strings{"4<|end|>", "Threes.</think>6<|end|>"}));
}

TEST(ChatSpans, UsesGenerationTags) {
  const std::string source =
      "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}<e>{% endgeneration %}{% else %}"
      "U:{{ m.content }}{% endif %}{{ '\\n' }}{% endfor %}";
  EXPECT_EQ(answers(source, {message("user", "a"), message("assistant", "b"), message("user", "a"), message("assistant", "")}),
            (Strings{"b<e>", "<e>"}));
}

TEST(ChatSpans, NamesAMessageThatHasNoPlace) {
  const std::string source = "{% for m in messages %}{% if m.content %}{{ m.role + m.content }};{% endif %}{% endfor %}";
  EXPECT_TRUE(contains(error_of([&] {
                         answers(source, {message("user", "a"), message("assistant", "")});
                       }),
                       "message 1 (assistant)"));
}
