// Checks of single accesses: bounds, alignment, races in shared memory; and the asynchronous copies, which are checked twice.
#include "worker.h"
#include <cstring>

extern "C" {
extern char __ehdr_start[] __attribute__((visibility("hidden")));
extern char _end[] __attribute__((visibility("hidden")));
}

namespace {
// Static arrays of all kernels follow one another, 128 bytes apart at least.
unsigned reserved_bytes;
unsigned static_room(unsigned bytes) { return (bytes + 127) / 128 * 128 + 128; }

const char* verb(Access access) { return access == Access::Read ? "read" : access == Access::Write ? "write" : "atomic access"; }
}  // namespace

unsigned static_shared_bytes() { return reserved_bytes; }

EMULATOR_API unsigned emulated_shared_reserve(unsigned bytes) {
  const unsigned place = reserved_bytes;
  reserved_bytes += static_room(bytes);
  return place;
}

void* Worker::static_shared(unsigned place, unsigned bytes) {
  uint64_t& seen = static_seen[place / 128];
  if (seen != block_serial) {
    seen = block_serial;
    static_used += bytes;
    if (static_used + launch->dynamic_bytes > launch->shared_limit)
      fail(1, fiber->thread, __builtin_return_address(0), "%u bytes of static and %u of dynamic shared memory, but the limit is %u",
           static_used, launch->dynamic_bytes, launch->shared_limit);
    const unsigned whole = (bytes + 3) / 4 * 4, room = static_room(bytes);
    memset(shared + place, 0xFF, room);
    shadow.forbid(place + whole, room - whole);
  }
  return shared + place;
}

void Worker::report(const Finding& finding, Access access, unsigned thread, const void* pc) {
  const Stamp other = finding.other;
  const char* others = other.has(Stamp::SEVERAL_WARPS | Stamp::SEVERAL_LANES) ? " and others" : "";
  switch (finding.verdict) {
    case Verdict::Fine: return;
    case Verdict::Outside:
      fail(700, thread, pc, "%s of shared byte %u, past the end of a shared array", verb(access), finding.byte);
    case Verdict::InFlight:
      fail(719, thread, pc, "%s of shared byte %u, to which thread %u has a cp.async under way (no cp_async_wait in between)", verb(access),
           finding.byte, other.thread());
    case Verdict::AfterWrite:
      fail(719, thread, pc, "shared memory race: %s of byte %u after a write by thread %u%s, with no barrier in between", verb(access),
           finding.byte, other.thread(), others);
    case Verdict::AfterRead:
      fail(719, thread, pc, "shared memory race: %s of byte %u after a read by thread %u%s, with no barrier in between", verb(access),
           finding.byte, other.thread(), others);
  }
}

void Worker::check_requested(unsigned thread, unsigned at, unsigned bytes, Access access, const void* pc) {
  if (at + bytes > static_bytes + launch->dynamic_bytes)
    fail(700, thread, pc, "%s of %u bytes at byte %u of dynamic shared memory, but the launch asked for %u bytes", verb(access), bytes,
         at - static_bytes, launch->dynamic_bytes);
}

void Worker::check_shared(unsigned thread, unsigned at, unsigned bytes, Access access, const void* pc) {
  check_requested(thread, at, bytes, access, pc);
  report(shadow.touch(at, bytes, access, stamp(thread)), access, thread, pc);
}

void Worker::check_as(unsigned thread, const void* pointer, unsigned bytes, Access access, const void* pc) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const uintptr_t in_shared = address - reinterpret_cast<uintptr_t>(shared);
  if (in_shared < static_bytes + DYNAMIC_BYTES) return check_shared(thread, unsigned(in_shared), bytes, access, pc);
  if (address - reinterpret_cast<uintptr_t>(stacks) < MOST_THREADS * STACK) return;
  MemoryRange& cached = cache[address >> 12 & (CACHED - 1)];
  if (address >= cached.begin && address + bytes <= cached.end) return;
  if (const MemoryRange* found = memory_find(address, bytes)) {
    cached = *found;
    return;
  }
  // Constants of the kernels and the runtime's own variables.
  if (address >= reinterpret_cast<uintptr_t>(__ehdr_start) && address < reinterpret_cast<uintptr_t>(_end)) return;
  if (const MemoryRange* near = memory_find(address, 0))
    fail(700, thread, pc, "invalid %s of %u bytes, %zu bytes past the start of an allocation of %zu", verb(access), bytes,
         size_t(address - near->begin), size_t(near->end - near->begin));
  fail(700, thread, pc, "invalid %s of %u bytes at %p, where no allocation is", verb(access), bytes, pointer);
}

void Worker::check_aligned(unsigned thread, const void* address, unsigned to, const void* pc) {
  if (reinterpret_cast<uintptr_t>(address) & (to - 1)) fail(716, thread, pc, "misaligned address %p: must be a multiple of %u", address, to);
}

void Worker::copy_async(void* to, const void* from, int bytes, const void* pc) {
  const unsigned thread = fiber->thread;
  check_aligned(thread, to, 16, pc);
  check_aligned(thread, from, 16, pc);
  if (bytes < 0 || bytes > 16) fail(719, thread, pc, "cp.async of %d bytes: must be 0 to 16", bytes);
  const uintptr_t at = reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(shared);
  if (at >= static_bytes + DYNAMIC_BYTES) fail(700, thread, pc, "cp.async to %p, which is not shared memory", to);
  if (checking) {
    check_requested(thread, unsigned(at), 16, Access::Write, pc);
    if (bytes) check_as(thread, from, unsigned(bytes), Access::Read, pc);
    report(shadow.depart(unsigned(at), 16, stamp(thread)), Access::Write, thread, pc);
  }
  memset(to, 0xFF, 16);
  fiber->copies.push_back({to, from, unsigned(bytes)});
  fiber->open_copies++;
}

void Worker::copy_commit() {
  fiber->groups.push_back(fiber->open_copies);
  fiber->open_copies = 0;
}

void Worker::copy_wait(unsigned groups, const void* pc) {
  if (fiber->groups.size() <= groups) return;
  const size_t ended = fiber->groups.size() - groups;
  size_t copies = 0;
  for (size_t i = 0; i < ended; i++) copies += fiber->groups[i];
  for (size_t i = 0; i < copies; i++) {
    const AsyncCopy& copy = fiber->copies[i];
    if (checking) {
      const unsigned at = unsigned(static_cast<unsigned char*>(copy.to) - shared);
      report(shadow.land(at, 16, stamp(fiber->thread)), Access::Write, fiber->thread, pc);
    }
    memcpy(copy.to, copy.from, copy.bytes);
    memset(static_cast<char*>(copy.to) + copy.bytes, 0, 16 - copy.bytes);
  }
  fiber->copies.erase(fiber->copies.begin(), fiber->copies.begin() + copies);
  fiber->groups.erase(fiber->groups.begin(), fiber->groups.begin() + ended);
}
