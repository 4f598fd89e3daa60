// Device memory: one mapping per allocation, with exact bounds. The table changes only between launches.
#pragma once
#include <cstddef>
#include <cstdint>

struct MemoryRange {
  uintptr_t begin, end;
};

// The live allocation that holds all of [address, address + bytes), or null.
const MemoryRange* memory_find(uintptr_t address, size_t bytes);

// Counts changes of the table, so that cached answers can be dropped.
uint64_t memory_generation();
