// What compiled kernels call: the functions of cpp/include, and the hooks that -fsanitize=thread puts at every access.
#include "emulated_threads.h"
#include "emulated_warp.h"
#include "worker.h"
#include <cstring>

#define HERE __builtin_return_address(0)

typedef uint32_t EmulatedWords __attribute__((vector_size(16)));
typedef float EmulatedFloats __attribute__((vector_size(16)));

unsigned emulated_thread_index(int axis) { return worker->fiber->index[axis]; }
unsigned emulated_block_index(int axis) { return worker->block_index[axis]; }
unsigned emulated_block_size(int axis) { return worker->launch->block[axis]; }
unsigned emulated_grid_size(int axis) { return worker->launch->grid[axis]; }
unsigned emulated_lane() { return worker->fiber->thread & 31; }
unsigned emulated_active() { return worker->active_lanes(); }
void* emulated_shared_at(unsigned place, unsigned bytes) { return worker->static_shared(place, bytes); }
void* emulated_dynamic_shared() { return worker->dynamic_shared(); }
unsigned emulated_barrier(bool vote, const char* file, int line) { return worker->barrier(vote, file, line, HERE); }

void emulated_syncwarp(unsigned mask) { worker->with_warp(Operation::Sync, mask, HERE); }

uint64_t emulated_shuffle(unsigned mask, uint64_t value, unsigned source) {
  Slot& slot = worker->slot();
  slot.shuffle = {value, source};
  worker->with_warp(Operation::Shuffle, mask, HERE);
  return slot.shuffle.value;
}

unsigned emulated_ballot(unsigned mask, bool vote) {
  Slot& slot = worker->slot();
  slot.vote = vote;
  worker->with_warp(Operation::Ballot, mask, HERE);
  return slot.vote;
}

EMULATOR_API EmulatedWords emulated_ldmatrix_x4(const void* row, bool transposed) {
  Slot& slot = worker->slot();
  slot.matrix.row = row;
  worker->with_warp(transposed ? Operation::LoadMatrixTransposed : Operation::LoadMatrix, ~0u, HERE);
  EmulatedWords words;
  memcpy(&words, slot.matrix.words, 16);
  return words;
}

static inline EmulatedFloats mma(Operation type, EmulatedFloats c, EmulatedWords a, uint32_t b0, uint32_t b1, const void* pc) {
  Slot& slot = worker->slot();
  memcpy(slot.mma.a, &a, 16);
  memcpy(slot.mma.c, &c, 16);
  slot.mma.b[0] = b0;
  slot.mma.b[1] = b1;
  worker->with_warp(type, ~0u, pc);
  memcpy(&c, slot.mma.c, 16);
  return c;
}
EMULATOR_API EmulatedFloats emulated_mma_bf16(EmulatedFloats c, EmulatedWords a, uint32_t b0, uint32_t b1) {
  return mma(Operation::MmaBf16, c, a, b0, b1, HERE);
}
EMULATOR_API EmulatedFloats emulated_mma_f16(EmulatedFloats c, EmulatedWords a, uint32_t b0, uint32_t b1) {
  return mma(Operation::MmaF16, c, a, b0, b1, HERE);
}

EMULATOR_API void emulated_cp_async16(void* shared, const void* global, int bytes) { worker->copy_async(shared, global, bytes, HERE); }
EMULATOR_API void emulated_cp_async_commit() { worker->copy_commit(); }
EMULATOR_API void emulated_cp_async_wait(int groups) { worker->copy_wait(unsigned(groups), HERE); }

EMULATOR_API void emulated_atomic_access(const void* address, unsigned bytes) {
  worker->check_aligned(worker->fiber->thread, address, bytes, HERE);
  if (worker->checking) worker->check(address, bytes, Access::Atomic, HERE);
}

// ---- the hooks ----
static inline void access(const void* address, unsigned bytes, Access kind, bool aligned, const void* pc) {
  Worker* here = worker;
  if (!here || !here->checking) return;  // outside a kernel: initialisers of static variables
  if (aligned) here->check_aligned(here->fiber->thread, address, bytes, pc);
  here->check(address, bytes, kind, pc);
}

#define HOOKS(n)                                                                                                 \
  EMULATOR_API void __tsan_read##n(void* p) { access(p, n, Access::Read, true, HERE); }                          \
  EMULATOR_API void __tsan_write##n(void* p) { access(p, n, Access::Write, true, HERE); }                        \
  EMULATOR_API void __tsan_volatile_read##n(void* p) { access(p, n, Access::Read, true, HERE); }                 \
  EMULATOR_API void __tsan_volatile_write##n(void* p) { access(p, n, Access::Write, true, HERE); }               \
  EMULATOR_API void __tsan_unaligned_read##n(void* p) { access(p, n, Access::Read, false, HERE); }               \
  EMULATOR_API void __tsan_unaligned_write##n(void* p) { access(p, n, Access::Write, false, HERE); }             \
  EMULATOR_API void __tsan_unaligned_volatile_read##n(void* p) { access(p, n, Access::Read, false, HERE); }      \
  EMULATOR_API void __tsan_unaligned_volatile_write##n(void* p) { access(p, n, Access::Write, false, HERE); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
EMULATOR_API void __tsan_read_range(void* p, unsigned long n) { access(p, unsigned(n), Access::Read, false, HERE); }
EMULATOR_API void __tsan_write_range(void* p, unsigned long n) { access(p, unsigned(n), Access::Write, false, HERE); }
EMULATOR_API void __tsan_init() {}
EMULATOR_API void __tsan_func_entry(void*) {}
EMULATOR_API void __tsan_func_exit() {}
