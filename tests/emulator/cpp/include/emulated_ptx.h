// The host side of kernels/ptx.cuh: the same names, with the fragment layouts of the PTX ISA.
#pragma once
#include "emulated_kernel.h"
#include "emulated_threads.h"

#define SHARED(T, name, ...)                     \
  using name##_shared_array = T __VA_ARGS__;     \
  struct name##_shared_tag {};                   \
  name##_shared_array& name =                    \
      *static_cast<name##_shared_array*>(EmulatedShared<name##_shared_array, name##_shared_tag>::at())
#define DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(emulated_dynamic_shared())

typedef uint32_t EmulatedWords __attribute__((vector_size(16)));
typedef float EmulatedFloats __attribute__((vector_size(16)));

EMULATOR_API EmulatedWords emulated_ldmatrix_x4(const void* row, bool transposed);
EMULATOR_API EmulatedFloats emulated_mma_bf16(EmulatedFloats c, EmulatedWords a, uint32_t b0, uint32_t b1);
EMULATOR_API EmulatedFloats emulated_mma_f16(EmulatedFloats c, EmulatedWords a, uint32_t b0, uint32_t b1);
// The destination is poisoned now and filled at the wait.
EMULATOR_API void emulated_cp_async16(void* shared, const void* global, int bytes);
EMULATOR_API void emulated_cp_async_commit();
EMULATOR_API void emulated_cp_async_wait(int groups);

__forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* shared) {
  const EmulatedWords words = emulated_ldmatrix_x4(shared, false);
  for (int i = 0; i < 4; i++) r[i] = words[i];
}
__forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void* shared) {
  const EmulatedWords words = emulated_ldmatrix_x4(shared, true);
  for (int i = 0; i < 4; i++) r[i] = words[i];
}

template <typename T>
__forceinline__ void mma_16816(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  static_assert(std::is_same_v<T, __nv_bfloat16> || std::is_same_v<T, __half>);
  const EmulatedFloats sum{c[0], c[1], c[2], c[3]};
  const EmulatedWords left{a[0], a[1], a[2], a[3]};
  EmulatedFloats result;
  if constexpr (std::is_same_v<T, __half>) result = emulated_mma_f16(sum, left, b0, b1);
  else result = emulated_mma_bf16(sum, left, b0, b1);
  for (int i = 0; i < 4; i++) c[i] = result[i];
}

__forceinline__ void cp_async16(void* shared, const void* global, int bytes = 16) { emulated_cp_async16(shared, global, bytes); }
__forceinline__ void cp_async_commit() { emulated_cp_async_commit(); }
template <int N>
__forceinline__ void cp_async_wait() { emulated_cp_async_wait(N); }
