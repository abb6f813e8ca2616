// Speed of storage formats at the layer shapes of Llama-3.1-8B.
//   quantize_speed DEVICE
// Prints JSON lines: dequantising a layer (fused rows) against a copy, one row's product against dequantise + product.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <chrono>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/core/runtime.h"
#include "graft/quant/quantized_weight.h"

using namespace graft;

namespace {

struct Shape {
  const char* name;
  std::vector<int64_t> rows;   // of matrices that one launch fills
  int64_t columns;
};
const std::vector<Shape> shapes = {{"q,k,v", {4096, 1024, 1024}, 4096}, {"o", {4096}, 4096}, {"gate,up", {14336, 14336}, 4096}, {"down", {4096}, 14336}};

/// Seconds a call, the median of five runs of enough calls to be timed well.
template <class F>
double seconds_of(at::Device device, F&& f) {
  const auto run = [&](int64_t calls) {
    synchronize(device);
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < calls; ++i) f(i);
    synchronize(device);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / static_cast<double>(calls);
  };
  const double once = run(3);
  const int64_t calls = std::max<int64_t>(4, static_cast<int64_t>(0.1 / once));
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) times.push_back(run(calls));
  std::sort(times.begin(), times.end());
  return times[2];
}

Scheme scheme_of_name(const std::string& format, bool doubly) {
  QuantizationOptions options;
  options.format = format, options.double_quantization = doubly;
  return *scheme_of(options);
}

double copy_bandwidth(at::Device device) {
  const int64_t count = device.is_cuda() ? int64_t{1} << 29 : int64_t{1} << 27;   // bytes
  const Tensor from = at::ones({count}, at::TensorOptions(at::kByte).device(device)), to = at::empty_like(from);
  return 2 * static_cast<double>(count) / seconds_of(device, [&](int64_t) { Tensor(to).copy_(from); });
}

int64_t total(const std::vector<int64_t>& rows) {
  int64_t sum = 0;
  for (const int64_t r : rows) sum += r;
  return sum;
}

/// Layers enough that their codes are not all in a cache.
std::vector<std::vector<QuantizedTensor>> make_layers(const Shape& shape, const Scheme& scheme, at::Device device) {
  std::vector<std::vector<QuantizedTensor>> layers(device.is_cuda() ? 8 : 2);
  for (auto& layer : layers)
    for (const int64_t rows : shape.rows)
      layer.push_back(quantize(at::randn({rows, shape.columns}, at::TensorOptions(at::kBFloat16).device(device)), scheme, shape.name));
  return layers;
}

void measure(const Shape& shape, const std::string& format, bool doubly, at::Device device, double bandwidth) {
  const auto layers = make_layers(shape, scheme_of_name(format, doubly), device);
  const Tensor scratch = at::empty({total(shape.rows), shape.columns}, at::TensorOptions(at::kBFloat16).device(device));
  std::vector<Tensor> places;
  int64_t begin = 0, bytes = static_cast<int64_t>(scratch.nbytes());
  for (const auto& q : layers[0]) {
    places.push_back(scratch.slice(0, begin, begin + q.shape[0]));
    begin += q.shape[0], bytes += q.bytes();
  }
  const auto decode = [&](int64_t i) {
    std::vector<const QuantizedTensor*> list;
    for (const auto& q : layers[static_cast<size_t>(i) % layers.size()]) list.push_back(&q);
    dequantize_into(list, places);
  };
  const double seconds = seconds_of(device, decode);
  Json line = {{"shape", shape.name}, {"format", format}, {"double", doubly}, {"dequantise_us", 1e6 * seconds}, {"bytes", bytes},
               {"of_copy", static_cast<double>(bytes) / seconds / bandwidth}};
  const Tensor x = at::randn({1, shape.columns}, scratch.options());
  if (has_matvec(layers[0][0], x)) {
    const double row = seconds_of(device, [&](int64_t i) {
      for (const auto& q : layers[static_cast<size_t>(i) % layers.size()]) matvec(q, x);
    });
    const double dense = seconds_of(device, [&](int64_t i) { decode(i), at::linear(x, scratch); });
    decode(0);
    std::vector<Tensor> parts;
    for (const auto& q : layers[0]) parts.push_back(matvec(q, x.to(at::kFloat)));
    const Tensor exact = at::linear(x.to(at::kDouble), scratch.to(at::kDouble));   // a wrong product must not look fast
    line["one_row_error"] = ((at::cat(parts, 1).to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
    line["one_row_us"] = 1e6 * row, line["dequantise_and_product_us"] = 1e6 * dense, line["one_row_speedup"] = dense / row;
  }
  fmt::print("{}\n", to_line(line));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return fmt::print(stderr, "usage: quantize_speed DEVICE\n"), 2;
  try {
    at::NoGradGuard no_grad;
    const at::Device device = device_from_name(argv[1]);
    const double bandwidth = copy_bandwidth(device);
    fmt::print("{}\n", to_line({{"device", device.str()}, {"copy_gb_per_s", bandwidth / 1e9}}));
    for (const auto& [format, doubly] : {std::pair{"nf4", true}, {"nf4", false}, {"fp4", false}, {"int4_affine", false}, {"int8_absmax", false}, {"int8_zero_point", false}, {"fp8", false}})
      for (const Shape& shape : shapes) measure(shape, format, doubly, device, bandwidth);
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "quantize_speed: {}\n", e.what());
    return 1;
  }
}
