// What graft's readers make of a file, for the oracle script (io_oracle.py) to compare with other readers.
//   io_dump gguf FILE OUT          a line a key and tensor; the tensors' values in fp32, one after the other, to OUT
//   io_dump safetensors FILE OUT   a line a metadata entry and tensor; the tensors' bytes to OUT
//   io_dump rewrite FILE OUT       the safetensors file written again by SafetensorsWriter
//   io_dump time FILE              seconds to dequantise every tensor of a GGUF file once
#include <chrono>
#include <fstream>
#include <iostream>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/io/gguf.h"
#include "graft/io/safetensors.h"

using namespace graft;

namespace {

Json json_of(const GgufValue& value) {
  return std::visit(
      [](const auto& v) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, GgufArray>)
          return v.strings.empty() ? (v.reals.empty() ? Json(v.integers) : Json(v.reals)) : Json(v.strings);
        else
          return v;
      },
      value);
}

size_t elements(const std::vector<int64_t>& shape) {
  size_t count = 1;
  for (const int64_t dim : shape) count *= static_cast<size_t>(dim);
  return count;
}

void dump_gguf(const char* path, const char* out_path) {
  const GgufFile file(path);
  std::ofstream out(out_path, std::ios::binary);
  for (const auto& [key, value] : file.keys()) std::cout << to_line({{"key", key}, {"value", json_of(value)}}) << "\n";
  for (const auto& name : file.tensor_names()) {
    const GgufTensor& tensor = file.tensor(name);
    std::cout << to_line({{"tensor", name}, {"type", ggml_type_name(tensor.type)}, {"shape", tensor.shape}}) << "\n";
    std::vector<float> values(elements(tensor.shape));
    dequantize(tensor, 0, values);
    out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  }
}

void time_gguf(const char* path) {
  const GgufFile file(path);
  std::vector<float> values(size_t{1} << 16);  // what a loader's row buffer may be
  double seconds = 0;
  size_t bytes = 0, total = 0;
  for (int pass = 0; pass < 2; ++pass) {  // the first brings the pages in
    const auto start = std::chrono::steady_clock::now();
    bytes = total = 0;
    for (const auto& name : file.tensor_names()) {
      const GgufTensor& tensor = file.tensor(name);
      const size_t count = elements(tensor.shape);
      for (size_t at = 0; at < count; at += values.size())
        dequantize(tensor, at, std::span(values).first(std::min(values.size(), count - at)));
      bytes += tensor.bytes.size();
      total += count;
    }
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  std::cout << fmt::format("{:.1f} MB, {:.1f} M values, {:.3f} s\n", bytes * 1e-6, total * 1e-6, seconds);
}

void dump_safetensors(const char* path, const char* out_path) {
  const SafetensorsFile file(path);
  std::ofstream out(out_path, std::ios::binary);
  for (const auto& [key, value] : file.metadata()) std::cout << to_line({{"key", key}, {"value", value}}) << "\n";
  for (const auto& name : file.names()) {
    const TensorView& tensor = file.tensor(name);
    std::cout << to_line({{"tensor", name}, {"type", dtype_name(tensor.dtype)}, {"shape", tensor.shape}}) << "\n";
    out.write(reinterpret_cast<const char*>(tensor.bytes.data()), static_cast<std::streamsize>(tensor.bytes.size()));
  }
}

void rewrite(const char* path, const char* out_path) {
  const SafetensorsFile file(path);
  std::vector<SafetensorsWriter::Entry> entries;
  for (const auto& name : file.names()) entries.push_back({name, file.tensor(name).dtype, file.tensor(name).shape});
  SafetensorsWriter out(out_path, entries, file.metadata());
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) out.write(entry->name, file.tensor(entry->name).bytes);
  out.finish();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  try {
    if (verb == "gguf" && argc == 4)
      dump_gguf(argv[2], argv[3]);
    else if (verb == "time" && argc == 3)
      time_gguf(argv[2]);
    else if (verb == "safetensors" && argc == 4)
      dump_safetensors(argv[2], argv[3]);
    else if (verb == "rewrite" && argc == 4)
      rewrite(argv[2], argv[3]);
    else
      return std::cerr << "io_dump gguf|safetensors|rewrite FILE OUT, or io_dump time FILE\n", 2;
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
