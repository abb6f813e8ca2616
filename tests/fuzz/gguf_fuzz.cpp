// Any bytes: GgufFile reads them or refuses them; what it accepts can be dequantised, and its tokenizer encodes or is refused.
#include <cstdint>
#include <vector>

#include "graft/core/error.h"
#include "graft/io/gguf.h"
#include "graft/text/tokenizer.h"
#include "scratch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static graft::ScratchFile scratch;
  scratch.fill(data, size);
  try {
    const graft::GgufFile file(scratch.path());
    for (const auto& [key, value] : file.keys()) {
      try {
        file.integer(key);
      } catch (const graft::RequestError&) {
      }
    }
    try {
      (void)graft::Tokenizer::from_gguf(file).encode(" Hello <|s|> w\u00f6rld! \u4e2d");
    } catch (const graft::RequestError&) {
    }
    for (const auto& name : file.tensor_names()) {
      const graft::GgufTensor& tensor = file.tensor(name);
      std::vector<float> values(graft::ggml_block_size(tensor.type));
      size_t elements = 1;
      for (const int64_t dim : tensor.shape) elements *= static_cast<size_t>(dim);
      if (elements == 0) continue;
      try {
        graft::dequantize(tensor, 0, values);
        graft::dequantize(tensor, elements - values.size(), values);  // the last block is all there
      } catch (const graft::RequestError&) {                          // a type that graft does not read
      }
    }
  } catch (const graft::RequestError&) {
  }
  return 0;
}
