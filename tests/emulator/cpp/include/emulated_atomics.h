// Atomic operations. Several blocks run at once, so these are atomic on the host too; in shared memory an atomic conflicts with
// plain accesses of other threads, not with their atomics.
#pragma once
#include "emulated_kernel.h"
#include <cstring>
#include <type_traits>

// Checks an atomic access of `bytes` bytes.
EMULATOR_API void emulated_atomic_access(const void* address, unsigned bytes);

// Replaces *address by change(*address); gives the old value. T is of 4 or 8 bytes.
template <class T, class Change>
__attribute__((no_sanitize("thread"))) inline T emulated_atomic(T* address, Change change) {
  using Bits = std::conditional_t<sizeof(T) == 8, unsigned long long, unsigned>;
  static_assert(sizeof(T) == sizeof(Bits));
  emulated_atomic_access(address, sizeof(T));
  Bits* bits = reinterpret_cast<Bits*>(address);
  Bits seen = __atomic_load_n(bits, __ATOMIC_RELAXED);
  for (;;) {
    T old, fresh;
    memcpy(&old, &seen, sizeof(T));
    fresh = change(old);
    Bits wanted;
    memcpy(&wanted, &fresh, sizeof(T));
    if (__atomic_compare_exchange_n(bits, &seen, wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) return old;
  }
}

#define EMULATED_ATOMIC(name, type, result) \
  inline type name(type* address, type value) { return emulated_atomic(address, [value](type old) -> type { return result; }); }
#define EMULATED_ATOMIC_INTEGERS(name, result) \
  EMULATED_ATOMIC(name, int, result) EMULATED_ATOMIC(name, unsigned, result) EMULATED_ATOMIC(name, unsigned long long, result)
EMULATED_ATOMIC_INTEGERS(atomicAdd, old + value)
EMULATED_ATOMIC(atomicAdd, float, old + value)
EMULATED_ATOMIC(atomicAdd, double, old + value)
EMULATED_ATOMIC(atomicSub, int, old - value)
EMULATED_ATOMIC(atomicSub, unsigned, old - value)
EMULATED_ATOMIC_INTEGERS(atomicExch, value)
EMULATED_ATOMIC(atomicExch, float, value)
EMULATED_ATOMIC_INTEGERS(atomicMax, old > value ? old : value)
EMULATED_ATOMIC_INTEGERS(atomicMin, old < value ? old : value)
EMULATED_ATOMIC_INTEGERS(atomicAnd, old & value)
EMULATED_ATOMIC_INTEGERS(atomicOr, old | value)
EMULATED_ATOMIC_INTEGERS(atomicXor, old ^ value)
#undef EMULATED_ATOMIC_INTEGERS
#undef EMULATED_ATOMIC

template <class T>
inline T atomicCAS(T* address, T expected, T value) {
  return emulated_atomic(address, [=](T old) -> T { return old == expected ? value : old; });
}
