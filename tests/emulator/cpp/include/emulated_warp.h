// Operations of a warp: each lane posts its operand, the last to arrive computes for all.
#pragma once
#include "emulated_kernel.h"
#include <cstdint>
#include <cstring>

EMULATOR_API void emulated_syncwarp(unsigned mask);
// The value that lane `source` posted; all bits set if that lane takes no part.
EMULATOR_API uint64_t emulated_shuffle(unsigned mask, uint64_t value, unsigned source);
EMULATOR_API unsigned emulated_ballot(unsigned mask, bool vote);
EMULATOR_API unsigned emulated_active();
EMULATOR_API __attribute__((const)) unsigned emulated_lane();

inline void __syncwarp(unsigned mask = 0xffffffffu) { emulated_syncwarp(mask); }

template <class T>
inline T emulated_shuffle_of(unsigned mask, T value, unsigned source) {
  static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof(T));
  bits = emulated_shuffle(mask, bits, source);
  memcpy(&value, &bits, sizeof(T));
  return value;
}
template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  return emulated_shuffle_of(mask, value, emulated_lane() / width * width + unsigned(source) % width);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  unsigned lane = emulated_lane(), source = lane ^ lanes;
  return emulated_shuffle_of(mask, value, source / width > lane / width ? lane : source);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  unsigned lane = emulated_lane(), source = lane + delta;
  return emulated_shuffle_of(mask, value, source / width != lane / width ? lane : source);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  unsigned lane = emulated_lane();
  return emulated_shuffle_of(mask, value, lane % width < delta ? lane : lane - delta);
}

inline unsigned __ballot_sync(unsigned mask, int vote) { return emulated_ballot(mask, vote != 0); }
inline int __any_sync(unsigned mask, int vote) { return emulated_ballot(mask, vote != 0) != 0; }
inline int __all_sync(unsigned mask, int vote) { return emulated_ballot(mask, vote == 0) == 0; }
inline unsigned __activemask() { return emulated_active(); }

#define EMULATED_REDUCTION(name, type, combined)                                \
  inline type name(unsigned mask, type value) {                                 \
    type total = value;                                                         \
    unsigned lane = emulated_lane();                                            \
    for (unsigned i = 0; i < 32; i++) {                                         \
      type other = emulated_shuffle_of(mask, value, i);                         \
      if ((mask >> i & 1) && i != lane) total = combined;                       \
    }                                                                           \
    return total;                                                               \
  }
EMULATED_REDUCTION(__reduce_add_sync, unsigned, total + other)
EMULATED_REDUCTION(__reduce_add_sync, int, total + other)
EMULATED_REDUCTION(__reduce_max_sync, unsigned, total > other ? total : other)
EMULATED_REDUCTION(__reduce_max_sync, int, total > other ? total : other)
EMULATED_REDUCTION(__reduce_min_sync, unsigned, total < other ? total : other)
EMULATED_REDUCTION(__reduce_min_sync, int, total < other ? total : other)
EMULATED_REDUCTION(__reduce_and_sync, unsigned, total & other)
EMULATED_REDUCTION(__reduce_or_sync, unsigned, total | other)
#undef EMULATED_REDUCTION
