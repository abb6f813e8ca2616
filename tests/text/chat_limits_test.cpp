#include <gtest/gtest.h>

#include <atomic>
#include <ctime>
#include <thread>

#include "chat_support.h"

using namespace graft;
using namespace graft::chat_tests;

TEST(ChatLimits, EndsHostileTemplatesInTimeAndMemory) {
  const auto repeated = [](const std::string& part, size_t times) {
    std::string out;
    while (times-- > 0) out += part;
    return out;
  };
  const Strings hostile = {
      "{{ " + repeated("(", 200000) + "1" + repeated(")", 200000) + " }}",
      "{{ " + repeated("[", 100000) + " }}",
      "{{ " + repeated("not ", 100000) + "1 }}",
      "{{ " + repeated("- ", 100000) + "1 }}",
      "{{ 1" + repeated("+1", 100000) + " }}",
      "{{ a" + repeated(".a", 4000) + " }}",
      "{{ f" + repeated("()", 100000) + " }}",
      repeated("{% if 1 %}", 50000),
      "{% if 1 %}" + repeated("{% elif 1 %}", 20000) + "{% endif %}",
      repeated("\r\n", 400000) + "{{",
      "{% for i in range(10**9) %}{% endfor %}",
      "{% for i in range(1000000000) %}{% endfor %}",
      "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
      "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s.replace('x', 'xxxxxxxx') %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s == ns.s[:] }}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(9999) %}{% set ns.s = [ns.s] %}{% endfor %}",
      "{% set ns = namespace() %}{% set ns.s = ns %}",
      "{% set ns = namespace() %}{% set ns.s = [ns.get, {'a': ns}] %}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% macro m() %}{% set ns.f = caller %}{% endmacro %}{% set ns = namespace() %}{% call m() %}x{% endcall %}",
      "{{ 'a' * 1000000000000 }}",
      "{{ [1] * 1000000000000 }}",
      "{{ 'a' | indent(1000000000) }}",
      "{{ [1] | tojson(indent=1000000000) }}",
      "{{ ('a' * 100000) | list | join('b' * 100000) }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ 1 % 0 }}",
      "{{ 1 is divisibleby 0 }}",
      "{{ 99999999999999999999 }}",
      std::string(600000, 'x'),
  };
  for (const std::string& source : hostile) {
    const std::clock_t start = std::clock();  // of the processor: other programs may slow this one
    EXPECT_NE(error_of([&] { rendered(source); }), "") << source.substr(0, 90);
    EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 2.0) << source.substr(0, 90);
  }
}

TEST(ChatLimits, RendersLongConversationsAndOnSeveralThreads) {
  Json messages = Json::array();
  for (int i = 0; i < 400; ++i) messages.push_back(message(i % 2 ? "assistant" : "user", "Some words, more or less."));
  const ChatTemplate chat = made(chatml);
  const std::string expected = chat.text({messages, nullptr});
  EXPECT_EQ(chat.render({messages, nullptr}).assistant.size(), 200u);
  std::vector<std::thread> threads;
  std::atomic<int> equal = 0;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { equal += chat.text({messages, nullptr}) == expected; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(equal, 4);
  EXPECT_EQ(made(chatml).text(said(std::string(4 << 20, 'x'))).size(), (4u << 20) + 28);
}
