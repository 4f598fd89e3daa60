// Which thread of the block runs next. Threads change only at barriers, warp operations and exits; the orders differ in which
// warp goes first: by priorities drawn anew at each barrier (finds most), by number, or at random.
#include "switch.h"
#include "worker.h"
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <sys/mman.h>

thread_local Worker* worker;

namespace {
constexpr unsigned SLOTS_APART = 128, COLOURS = 32;  // stacks start at different cache sets

// The first set bit at or cyclically after `turn`.
unsigned bit_from(unsigned bits, unsigned turn) {
  turn &= 31;
  return (__builtin_ctz(bits >> turn | bits << (-turn & 31)) + turn) & 31;
}

const char* base_name(const char* path) {
  const char* slash = path ? strrchr(path, '/') : nullptr;
  return slash ? slash + 1 : path ? path : "?";
}

const char* operation_name(Operation operation) {
  switch (operation) {
    case Operation::None: return "nothing";
    case Operation::Sync: return "__syncwarp";
    case Operation::Shuffle: return "a shuffle";
    case Operation::Ballot: return "a vote";
    case Operation::LoadMatrix:
    case Operation::LoadMatrixTransposed: return "ldmatrix";
    case Operation::MmaBf16:
    case Operation::MmaF16: return "mma";
  }
  return "?";
}
}  // namespace

Worker::Worker() : fibers(MOST_THREADS), shadow(static_shared_bytes() + DYNAMIC_BYTES), static_bytes(static_shared_bytes()) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  stacks = static_cast<char*>(mmap(nullptr, MOST_THREADS * STACK, PROT_READ | PROT_WRITE, flags, -1, 0));
  shared = static_cast<unsigned char*>(mmap(nullptr, static_bytes + DYNAMIC_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0));
  static_seen.resize(static_bytes / 128 + 1);
}

uint64_t Worker::random() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state >> 32;
}

void Worker::draw_priorities() {
  for (unsigned i = 0; i < MOST_WARPS; i++) by_rank[i] = i;
  if (order == Order::Priorities)
    for (unsigned i = MOST_WARPS - 1; i; i--) std::swap(by_rank[i], by_rank[random() % (i + 1)]);
  ready_ranks = 0;
  for (unsigned i = 0; i < MOST_WARPS; i++) {
    rank[by_rank[i]] = i;
    if (warps[by_rank[i]].ready) ready_ranks |= 1u << i;
  }
}

void Worker::make_ready(unsigned warp, unsigned lanes) {
  if (!lanes) return;
  warps[warp].ready |= lanes;
  ready_ranks |= 1u << rank[warp];
  warps[warp].turn = order == Order::Sequential ? 0 : unsigned(random());
}

Fiber* Worker::pick() {
  const unsigned chosen = order == Order::Random ? bit_from(ready_ranks, unsigned(random())) : __builtin_ctz(ready_ranks);
  const unsigned number = by_rank[chosen];
  Warp& warp = warps[number];
  const unsigned lane = bit_from(warp.ready, order == Order::Random ? unsigned(random()) : warp.turn);
  warp.ready &= ~(1u << lane);
  if (!warp.ready) ready_ranks &= ~(1u << chosen);
  return &fibers[number * 32 + lane];
}

// Gives way: the running fiber waits or has ended.
void Worker::next() {
  if (!ready_ranks) {
    if (done == count) {
      void* ended;
      emulated_switch(&ended, main_position);
    }
    if (waiting + done == count) release_barrier();
    else deadlock();
  }
  Fiber* from = fiber;
  fiber = pick();
  if (fiber != from) emulated_switch(&from->position, fiber->position);
}

unsigned Worker::barrier(bool vote, const char* file, int line, const void* pc) {
  if (waiting && checking && (line != barrier_line || strcmp(file, barrier_file) != 0))
    fail(719, fiber->thread, pc, "divergent barrier: this thread is at __syncthreads of %s:%d while thread %u waits at %s:%d",
         base_name(file), line, barrier_first, base_name(barrier_file), barrier_line);
  if (!waiting) {
    barrier_file = file;
    barrier_line = line;
    barrier_first = fiber->thread;
  }
  waiting++;
  votes += vote;
  fiber->pc = pc;
  warps[fiber->thread >> 5].at_barrier |= 1u << (fiber->thread & 31);
  next();
  return result;
}

void Worker::release_barrier() {
  epoch++;
  result = votes;
  votes = waiting = 0;
  draw_priorities();
  for (unsigned i = 0; i * 32 < count; i++) {
    warps[i].epoch = 0;
    const unsigned lanes = warps[i].at_barrier;
    warps[i].at_barrier = 0;
    make_ready(i, lanes);
  }
}

// Posts the running lane's slot and waits for the result of all lanes in the mask.
void Worker::with_warp(Operation operation, unsigned mask, const void* pc) {
  const unsigned number = fiber->thread >> 5, lane = fiber->thread & 31;
  if (!(mask >> lane & 1)) fail(719, fiber->thread, pc, "%s by a lane outside its own mask %08x", operation_name(operation), mask);
  fiber->operation = operation;
  fiber->mask = mask;
  fiber->pc = pc;
  warps[number].arrived |= 1u << lane;
  if (try_warp(number, mask)) {
    warps[number].ready &= ~(1u << lane);  // the last to arrive goes straight on
    if (!warps[number].ready) ready_ranks &= ~(1u << rank[number]);
  } else {
    next();
  }
}

// Performs the operation of these lanes if all that live have arrived and agree.
bool Worker::try_warp(unsigned number, unsigned mask) {
  Warp& warp = warps[number];
  const unsigned lanes = mask & warp.present & ~warp.exited;
  if ((warp.arrived & lanes) != lanes || !lanes) return false;
  const Operation operation = fibers[number * 32 + __builtin_ctz(lanes)].operation;
  for (unsigned rest = lanes; rest; rest &= rest - 1) {
    const Fiber& lane = fibers[number * 32 + __builtin_ctz(rest)];
    if (lane.operation != operation || lane.mask != mask) return false;
  }
  perform(operation, number, lanes);
  warp.arrived &= ~lanes;
  make_ready(number, lanes);
  return true;
}

unsigned Worker::active_lanes() const {
  const Warp& warp = warps[fiber->thread >> 5];
  return warp.present & ~warp.exited & ~warp.at_barrier;
}

void Worker::exit_fiber() {
  const unsigned number = fiber->thread >> 5;
  Warp& warp = warps[number];
  fiber->done = true;
  done++;
  warp.exited |= 1u << (fiber->thread & 31);
  for (unsigned rest = warp.arrived; rest; rest &= rest - 1)
    if (try_warp(number, fibers[number * 32 + __builtin_ctz(rest)].mask)) break;
  next();
  __builtin_trap();
}

void Worker::entry() {
  worker->launch->kernel->thunk(worker->launch->arguments);
  worker->exit_fiber();
}

void Worker::deadlock() {
  for (unsigned thread = 0; thread < count; thread++) {
    const Warp& warp = warps[thread >> 5];
    if (!(warp.arrived >> (thread & 31) & 1)) continue;
    const Fiber& stuck = fibers[thread];
    const char* name = operation_name(stuck.operation);
    if (waiting)
      fail(719, thread, stuck.pc, "deadlock: %u of %u threads wait at __syncthreads of %s:%d (the first is thread %u), this one at %s of mask %08x",
           waiting, count, base_name(barrier_file), barrier_line, barrier_first, name, stuck.mask);
    fail(719, thread, stuck.pc, "deadlock: lanes of mask %08x never all come to the same %s", stuck.mask, name);
  }
  fail(719, fiber->thread, nullptr, "deadlock");
}

void Worker::fail(unsigned code, unsigned thread, const void* pc, const char* format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(fault->what, sizeof fault->what, format, values);
  va_end(values);
  fault->code = code;
  fault->pc = pc;
  memcpy(fault->block, block_index, sizeof block_index);
  memcpy(fault->thread, fibers[thread].index, sizeof fault->thread);
  void* abandoned;
  emulated_switch(&abandoned, main_position);
  __builtin_unreachable();
}

void Worker::begin_launch() {
  if (cache_generation == memory_generation()) return;
  memset(cache, 0, sizeof cache);
  cache_generation = memory_generation();
}

bool Worker::run_block(const Launch& what, const Options& options, uint64_t serial, uint64_t number, Fault& into) {
  launch = &what;
  fault = &into;
  checking = options.check;
  order = options.order;
  random_state = (options.seed * 0x9E3779B97F4A7C15u ^ serial * 0xBF58476D1CE4E5B9u ^ number * 0x94D049BB133111EBu) | 1;
  for (int warm = 0; warm < 4; warm++) random();
  block_index[0] = unsigned(number % what.grid[0]);
  block_index[1] = unsigned(number / what.grid[0] % what.grid[1]);
  block_index[2] = unsigned(number / what.grid[0] / what.grid[1]);

  const unsigned width = what.block[0], height = what.block[1];
  count = width * height * what.block[2];
  done = waiting = votes = static_used = 0;
  block_serial++;
  shadow.begin_block(++epoch);
  memset(dynamic_shared(), 0xFF, what.dynamic_bytes);
  for (; guarded < count; guarded++) mprotect(stacks + guarded * STACK, 4096, PROT_NONE);
  for (unsigned i = 0; i < count; i++) {
    Fiber& fresh = fibers[i];
    fresh.thread = i;
    fresh.index[0] = i % width;
    fresh.index[1] = i / width % height;
    fresh.index[2] = i / width / height;
    fresh.done = false;
    fresh.operation = Operation::None;
    fresh.copies.clear();
    fresh.groups.clear();
    fresh.open_copies = 0;
    fresh.position = emulated_fresh_stack(stacks + (i + 1) * STACK - i % COLOURS * SLOTS_APART, entry);
  }
  for (unsigned i = 0; i < MOST_WARPS; i++) {
    Warp& warp = warps[i];
    const unsigned lanes = count <= i * 32 ? 0 : count - i * 32 >= 32 ? 32 : count - i * 32;
    warp.present = lanes == 32 ? ~0u : (1u << lanes) - 1;
    warp.ready = warp.arrived = warp.at_barrier = warp.exited = 0;
    warp.epoch = 0;
  }
  draw_priorities();
  for (unsigned i = 0; i * 32 < count; i++) make_ready(i, warps[i].present);

  into.code = 0;
  worker = this;
  fiber = pick();
  emulated_switch(&main_position, fiber->position);
  worker = nullptr;
  fiber = nullptr;
  return into.code == 0;
}
