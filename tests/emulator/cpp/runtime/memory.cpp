#include "memory.h"
#include <algorithm>
#include <cstring>
#include <sys/mman.h>
#include <vector>

namespace {
struct Allocation : MemoryRange {
  char* mapping;
  size_t mapped;
};
constexpr size_t PAGE = 4096, ALIGNMENT = 256;

std::vector<Allocation>& allocations() {  // by address; never destroyed, since threads may outlive static objects
  static auto* table = new std::vector<Allocation>;
  return *table;
}
uint64_t generation = 1;

size_t rounded(size_t n, size_t to) { return (n + to - 1) / to * to; }

std::vector<Allocation>::iterator after(uintptr_t address) {
  return std::upper_bound(allocations().begin(), allocations().end(), address,
                          [](uintptr_t a, const Allocation& allocation) { return a < allocation.begin; });
}
}  // namespace

const MemoryRange* memory_find(uintptr_t address, size_t bytes) {
  auto next = after(address);
  if (next == allocations().begin()) return nullptr;
  const Allocation& found = *--next;
  return address <= found.end && bytes <= found.end - address ? &found : nullptr;
}

uint64_t memory_generation() { return generation; }

// Fresh memory of 0xFF bytes (a NaN in every format), 256-byte aligned, ending close before an inaccessible page.
extern "C" void* emulated_allocate(size_t bytes) {
  if (bytes > SIZE_MAX / 2) return nullptr;
  const size_t length = rounded(bytes, ALIGNMENT), pages = rounded(length, PAGE);
  void* mapping = mmap(nullptr, pages + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  char* base = static_cast<char*>(mapping);
  mprotect(base + pages, PAGE, PROT_NONE);
  char* pointer = base + (pages - length);
  memset(pointer, 0xFF, length);
  const uintptr_t begin = reinterpret_cast<uintptr_t>(pointer);
  Allocation allocation;
  allocation.begin = begin;
  allocation.end = begin + bytes;
  allocation.mapping = base;
  allocation.mapped = pages + PAGE;
  allocations().insert(after(begin), allocation);
  generation++;
  return pointer;
}

// Whether the pointer was the start of a live allocation, now gone.
extern "C" bool emulated_release(void* pointer) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(pointer);
  auto next = after(begin);
  if (next == allocations().begin()) return false;
  --next;
  if (next->begin != begin) return false;
  munmap(next->mapping, next->mapped);
  allocations().erase(next);
  generation++;
  return true;
}

extern "C" bool emulated_inside(const void* pointer, size_t bytes) {
  return memory_find(reinterpret_cast<uintptr_t>(pointer), bytes) != nullptr;
}
