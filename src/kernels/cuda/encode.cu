// encode_cpu.cpp's text for a GPU: one thread a byte of codes.
#include "codes.cuh"

namespace graft::kernels {
namespace {

template <class C, class T>
__device__ uint8_t code_of(const T* x, int64_t i, const Constants& constants) {
  const int64_t g = i / constants.group;
  const float scale = constants.scale[g];
  const GroupScale group{scale, C::inverse(scale), constants.zero ? constants.zero[g] : 0};
  if constexpr (std::is_same_v<C, Dynamic8>)
    return encode_dynamic(constants.map, load(x[i]) * group.inverse);
  else
    return C::encode(load(x[i]), group);
}

template <class C, class T>
__global__ void encode_kernel(const T* x, int64_t count, Constants constants, uint8_t* codes) {
  const int64_t bytes = C::bits == 4 ? (count + 1) / 2 : count;
  for (int64_t b = blockIdx.x * int64_t{threads} + threadIdx.x; b < bytes; b += int64_t{gridDim.x} * threads) {
    if constexpr (C::bits == 8) {
      codes[b] = code_of<C>(x, b, constants);
    } else {
      uint8_t low;
      if (2 * b + 1 < count) {
        low = code_of<C>(x, 2 * b + 1, constants);
      } else {   // the code of zero pads
        const int64_t g = 2 * b / constants.group;
        low = C::encode(0.0f, {constants.scale[g], C::inverse(constants.scale[g]), constants.zero ? constants.zero[g] : 0});
      }
      codes[b] = static_cast<uint8_t>(code_of<C>(x, 2 * b, constants) << 4 | low);
    }
  }
}

}  // namespace

void encode_cuda(Codec codec, const void* x, Real type, int64_t count, const Constants& constants, uint8_t* codes, void* stream) {
  if (count == 0) return;
  with_codec(codec, [&](auto c) {
    with_cuda_real(type, [&](auto* t) {
      using T = std::remove_pointer_t<decltype(t)>;
      encode_kernel<decltype(c), T><<<blocks_for(count), threads, 0, static_cast<cudaStream_t>(stream)>>>(static_cast<const T*>(x), count,
                                                                                                         constants, codes);
    });
  });
  launched("quantise kernel");
}

}  // namespace graft::kernels
