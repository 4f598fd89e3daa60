// One operating-system thread's share of the device: runs one block at a time, each CUDA thread a fiber with its own stack.
#pragma once
#include "emulated_kernel.h"
#include "memory.h"
#include "shadow.h"
#include <cstdint>
#include <vector>

constexpr unsigned MOST_THREADS = 1024, MOST_WARPS = 32, DYNAMIC_BYTES = 227 * 1024;

enum class Order : uint32_t { Priorities = 0, Sequential = 1, Random = 2 };

// Shared with the Rust side, field by field.
struct Options {
  uint64_t seed;
  Order order;
  uint32_t check;
  uint32_t threads;
};
struct Launch {
  const EmulatedKernel* kernel;
  void** arguments;
  uint32_t grid[3], block[3];
  uint32_t dynamic_bytes;
  uint32_t shared_limit;  // static and dynamic together
};
struct Fault {
  uint32_t code;  // a CUresult; 0 for none
  uint32_t block[3], thread[3];
  const void* pc;  // after the call or access that failed, or null
  char what[512];
};

enum class Operation : uint8_t { None, Sync, Shuffle, Ballot, LoadMatrix, LoadMatrixTransposed, MmaBf16, MmaF16 };

struct AsyncCopy {
  void* to;
  const void* from;
  unsigned bytes;
};

// A lane's operand and result.
struct alignas(64) Slot {
  union {
    struct { uint64_t value; unsigned source; } shuffle;
    unsigned vote;
    struct { const void* row; uint32_t words[4]; } matrix;
    struct { uint32_t a[4]; float c[4]; uint32_t b[2]; } mma;
  };
};

struct Fiber {
  void* position;
  unsigned index[3];
  unsigned thread;
  bool done;
  Operation operation;  // what it waits for with its warp
  unsigned mask;
  const void* pc;       // where it waits
  const char* file;
  int line;
  std::vector<AsyncCopy> copies;     // under way, oldest first
  std::vector<unsigned> groups;      // copies of each committed group
  unsigned open_copies;              // of the group not yet committed
};

struct Warp {
  unsigned ready, arrived, at_barrier, exited, present;  // lanes
  unsigned turn;                                         // lane that goes first
  uint32_t epoch;
  Slot slots[32];
};

class Worker {
 public:
  Worker();
  // Runs one block to its end or its first fault; whether it ended.
  bool run_block(const Launch& launch, const Options& options, uint64_t serial, uint64_t block, Fault& fault);
  void begin_launch();

  Fiber* fiber = nullptr;  // the running one
  unsigned block_index[3];
  const Launch* launch = nullptr;
  bool checking = false;
  unsigned char* shared;  // static arrays, then dynamic memory

  void check(const void* address, unsigned bytes, Access access, const void* pc) { check_as(fiber->thread, address, bytes, access, pc); }
  void check_as(unsigned thread, const void* address, unsigned bytes, Access access, const void* pc);
  void check_aligned(unsigned thread, const void* address, unsigned to, const void* pc);
  unsigned barrier(bool vote, const char* file, int line, const void* pc);
  Slot& slot() { return warps[fiber->thread >> 5].slots[fiber->thread & 31]; }
  void with_warp(Operation operation, unsigned mask, const void* pc);
  unsigned active_lanes() const;
  void copy_async(void* to, const void* from, int bytes, const void* pc);
  void copy_commit();
  void copy_wait(unsigned groups, const void* pc);
  void* static_shared(unsigned place, unsigned bytes);
  unsigned char* dynamic_shared() { return shared + static_bytes; }
  [[noreturn]] void fail(unsigned code, unsigned thread, const void* pc, const char* format, ...) __attribute__((format(printf, 5, 6)));
  char* emergency_stack() { return emergency + sizeof emergency; }

 private:
  // scheduler.cpp
  std::vector<Fiber> fibers;
  Warp warps[MOST_WARPS];
  unsigned rank[MOST_WARPS], by_rank[MOST_WARPS];  // warps by priority
  unsigned ready_ranks = 0;
  unsigned count = 0, done = 0, waiting = 0;
  unsigned votes = 0, result = 0;
  const char* barrier_file = nullptr;
  int barrier_line = 0;
  unsigned barrier_first = 0;
  Order order = Order::Priorities;
  uint64_t random_state = 1;
  void* main_position = nullptr;
  char* stacks;
  unsigned guarded = 0;
  Fault* fault = nullptr;
  alignas(16) char emergency[65536];

  static void entry();
  uint64_t random();
  void draw_priorities();
  void make_ready(unsigned warp, unsigned lanes);
  Fiber* pick();
  void next();
  void release_barrier();
  bool try_warp(unsigned warp, unsigned mask);
  void exit_fiber();
  [[noreturn]] void deadlock();

  // check.cpp
  static constexpr unsigned CACHED = 256;
  MemoryRange cache[CACHED] = {};
  uint64_t cache_generation = 0;
  Shadow shadow;
  uint32_t epoch = 1;
  uint64_t block_serial = 0;
  std::vector<uint64_t> static_seen;  // block that last used the static array at each place
  unsigned static_used = 0;
  unsigned static_bytes;

  Stamp stamp(unsigned thread) const { return Stamp::of(epoch, warps[thread >> 5].epoch, thread); }
  void report(const Finding& finding, Access access, unsigned thread, const void* pc);
  void check_requested(unsigned thread, unsigned at, unsigned bytes, Access access, const void* pc);
  void check_shared(unsigned thread, unsigned at, unsigned bytes, Access access, const void* pc);

  // warp_operations.cpp
  void perform(Operation operation, unsigned warp, unsigned lanes);
  friend void load_matrix(Worker&, unsigned, bool);
};

extern thread_local Worker* worker __attribute__((tls_model("initial-exec"), visibility("hidden")));
unsigned static_shared_bytes();
constexpr size_t STACK = 65536;
