// Thread indices, block barriers and shared memory. The functions are `const` where their value never changes for one thread,
// so that the compiler calls them once per kernel; operands travel by value, so that a kernel's registers stay registers.
#pragma once
#include "emulated_kernel.h"

EMULATOR_API __attribute__((const)) unsigned emulated_thread_index(int axis);
EMULATOR_API __attribute__((const)) unsigned emulated_block_index(int axis);
EMULATOR_API __attribute__((const)) unsigned emulated_block_size(int axis);
EMULATOR_API __attribute__((const)) unsigned emulated_grid_size(int axis);

#define threadIdx (uint3{emulated_thread_index(0), emulated_thread_index(1), emulated_thread_index(2)})
#define blockIdx (uint3{emulated_block_index(0), emulated_block_index(1), emulated_block_index(2)})
#define blockDim (uint3{emulated_block_size(0), emulated_block_size(1), emulated_block_size(2)})
#define gridDim (uint3{emulated_grid_size(0), emulated_grid_size(1), emulated_grid_size(2)})
#define warpSize 32

// Waits for all threads of the block that still run; gives how many of them voted true.
EMULATOR_API unsigned emulated_barrier(bool vote, const char* file, int line);

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  emulated_barrier(false, file, line);
}
inline int __syncthreads_count(int vote, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return int(emulated_barrier(vote != 0, file, line));
}
inline int __syncthreads_or(int vote, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return emulated_barrier(vote != 0, file, line) != 0;
}
inline int __syncthreads_and(int vote, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return emulated_barrier(vote == 0, file, line) == 0;
}

inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() {}

// Reserves room in every block's static shared memory, once, as the library loads; gives its place.
EMULATOR_API unsigned emulated_shared_reserve(unsigned bytes);
// The running block's array at that place, filled with 0xFF on the block's first use of it.
EMULATOR_API void* emulated_shared_at(unsigned place, unsigned bytes);
EMULATOR_API __attribute__((const)) void* emulated_dynamic_shared();

// One array of static shared memory; the tag is a type of its own for each SHARED in the source.
template <class Array, class Tag>
struct EmulatedShared {
  static inline const unsigned place = emulated_shared_reserve(sizeof(Array));
  __attribute__((const, noinline, no_sanitize("thread"))) static void* at() { return emulated_shared_at(place, sizeof(Array)); }
};
