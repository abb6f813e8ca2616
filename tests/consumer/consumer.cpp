// Another project that uses graft as a library: loads a model, switches two adapters, generates; a stop token and an exception too.
#include <graft/graft.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    graft::Model model = graft::Model::load(argv[1], "cpu", "fp32");
    model.add_adapter("one", argv[2]);
    model.add_adapter("two", argv[3]);
    graft::Sampling sampling;
    sampling.max_new_tokens = 8;
    for (const char* name : {"", "one", "two", "one"}) {
      model.use_adapter(name);
      std::printf("[%s] %s\n", name, model.chat({{"user", "What is a cow?"}}, sampling).c_str());
    }
    std::stop_source stop;
    stop.request_stop();
    try {
      model.complete("a", sampling, {}, stop.get_token());
      return 1;
    } catch (const graft::Stopped&) {
    }
    try {
      model.use_adapter("three");
      return 1;
    } catch (const graft::RequestError& e) {
      std::printf("refused: %s\n", e.what());
    }
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
