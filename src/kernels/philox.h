#pragma once
// Philox4x32-10 (Salmon et al. 2011), the same text on the CPU and the GPU.
#include <cstdint>

#ifdef __CUDACC__
#define GRAFT_BOTH __host__ __device__ __forceinline__
#else
#define GRAFT_BOTH inline
#endif

namespace graft::kernels {

struct Philox4 {
  uint32_t word[4];
};

GRAFT_BOTH Philox4 philox(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0, n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1), c3 = static_cast<uint32_t>(p0), c0 = n0, c2 = n2;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// The four random numbers of columns 4 * block .. 4 * block + 3 of a token.
GRAFT_BOTH Philox4 dropout_philox(uint64_t seed, uint32_t site, uint32_t step, int64_t segment, int64_t position, int64_t block) {
  return philox(seed ^ (uint64_t{site} << 32 | step), static_cast<uint32_t>(segment), static_cast<uint32_t>(segment >> 32),
                static_cast<uint32_t>(position), static_cast<uint32_t>(block));
}

/// Of a dropout's key.
template <class Key>
GRAFT_BOTH uint32_t step_of(const Key& key) { return key.step_at ? static_cast<uint32_t>(*key.step_at) : key.step; }

/// Kept if the random number is at least p * 2^32.
GRAFT_BOTH uint32_t dropout_threshold(float p) { return static_cast<uint32_t>(static_cast<double>(p) * 4294967296.0); }

}  // namespace graft::kernels
