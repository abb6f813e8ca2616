// Quantises every tensor of a safetensors file as its name says, for the oracles: quant_dump IN OUT DEVICE
// A name is FORMAT/GRANULARITY/BLOCK/DOUBLE/CLIP/anything: nf4/block/64/1/none/0. Of each come NAME.codes, .scale or (.scale_codes,
// .nested_scale, .offset), .zero and .values (dequantised to the tensor's own type).
#include <fmt/format.h>

#include <sstream>

#include <ATen/ATen.h>

#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/io/tensors.h"
#include "graft/quant/quantized_tensor.h"

using namespace graft;

namespace {

Scheme scheme_named(const std::string& name) {
  std::istringstream in(name);
  std::vector<std::string> parts;
  for (std::string part; std::getline(in, part, '/');) parts.push_back(part);
  require(parts.size() >= 5, "{}: not FORMAT/GRANULARITY/BLOCK/DOUBLE/CLIP/...", name);
  QuantizationOptions options;
  options.format = parts[0], options.granularity = parts[1], options.block_size = std::atoi(parts[2].c_str());
  options.double_quantization = parts[3] == "1", options.clip = parts[4];
  return *scheme_of(options);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return fmt::print(stderr, "usage: quant_dump IN OUT DEVICE\n"), 2;
  try {
    const at::Device device = device_from_name(argv[3]);
    TensorMap out;
    for (const auto& [name, x] : load_tensors(argv[1])) {
      const QuantizedTensor q = quantize(x.to(device), scheme_named(name), name);
      const auto put = [&](const char* part, const Tensor& value) {
        if (value.defined()) out[name + "." + part] = value.cpu();
      };
      put("codes", q.codes), put("scale", q.scale), put("scale_codes", q.scale_codes), put("nested_scale", q.nested_scale), put("zero", q.zero);
      put("values", dequantize(q, x.scalar_type()));
      if (q.scale_codes.defined()) put("offset", at::full({}, q.offset, at::kFloat));
    }
    save_tensors(argv[2], out);
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "quant_dump: {}\n", e.what());
    return 1;
  }
}
