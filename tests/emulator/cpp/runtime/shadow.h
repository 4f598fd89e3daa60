// Who touched each byte of a block's shared memory last: finds races without needing a lucky schedule.
//
// Two accesses conflict when at least one writes, they come from different threads, and neither a block barrier nor (inside one
// warp) a __syncwarp lies between. Time is counted in epochs: a block's grows at each barrier, a warp's at each __syncwarp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

enum class Access { Read, Write, Atomic };

// One access: block epoch (32 bits), warp epoch (17), flags, thread (10).
struct Stamp {
  uint64_t bits = 0;

  static constexpr uint64_t SEVERAL_LANES = 1 << 10, SEVERAL_WARPS = 1 << 11, ATOMIC = 1 << 12, IN_FLIGHT = 1 << 13, SPLIT = 1 << 14;
  static constexpr unsigned WARP_EPOCHS = (1u << 17) - 1;

  static Stamp of(uint32_t epoch, uint32_t warp_epoch, unsigned thread, uint64_t flags = 0) {
    return {uint64_t(epoch) << 32 | uint64_t(warp_epoch & WARP_EPOCHS) << 15 | flags | thread};
  }
  uint32_t epoch() const { return uint32_t(bits >> 32); }
  uint32_t warp_epoch() const { return uint32_t(bits >> 15) & WARP_EPOCHS; }
  unsigned thread() const { return bits & 1023; }
  unsigned warp() const { return thread() >> 5; }
  bool has(uint64_t flag) const { return bits & flag; }
  bool operator==(Stamp other) const { return bits == other.bits; }
};

enum class Verdict { Fine, AfterWrite, AfterRead, InFlight, Outside };

struct Finding {
  Verdict verdict = Verdict::Fine;
  Stamp other;       // the access that it conflicts with
  unsigned byte = 0; // where in shared memory
};

class Shadow {
 public:
  explicit Shadow(size_t bytes) : words(bytes / 4), parts(bytes / 4 * 4) {}

  // A new block begins at this epoch: what older ones did is forgotten.
  void begin_block(uint32_t epoch) { floor = epoch; }

  // Records the access of bytes [at, at + count) stamped `mine` (of the current epoch) and says what it conflicts with.
  Finding touch(unsigned at, unsigned count, Access access, Stamp mine);

  // As a write of an asynchronous copy: until `landed`, nobody may touch these bytes.
  Finding depart(unsigned at, unsigned count, Stamp mine);
  Finding land(unsigned at, unsigned count, Stamp mine);

  // These bytes, whole words, belong to no array.
  void forbid(unsigned at, unsigned count);

 private:
  struct Cell {
    Stamp write, read;
  };
  std::vector<Cell> words;  // one per 4 bytes, for accesses of whole words
  std::vector<Cell> parts;  // one per byte, in use where the word's write stamp says SPLIT
  uint32_t floor = 0;
  static constexpr Stamp FORBIDDEN{~uint64_t(0) << 32};

  Verdict touch_cell(Cell& cell, Access access, Stamp mine, Stamp& other);
  Cell* split(unsigned word);
};
