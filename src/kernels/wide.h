#pragma once
// Code for wider instructions is chosen at run time (sanitizers cannot run the resolvers that this needs).
#if defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && defined(__x86_64__)
#define GRAFT_WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GRAFT_WIDE
#endif
#define GRAFT_INLINE inline __attribute__((always_inline))
