// What a warp computes together, for all lanes at once. Fragment layouts: PTX ISA, "Matrix Fragments for mma.m16n8k16".
#include "worker.h"
#include <cstring>
#include <immintrin.h>

namespace {
void shuffle(Slot* slots, unsigned lanes) {
  uint64_t given[32];
  for (unsigned i = 0; i < 32; i++) given[i] = lanes >> i & 1 ? slots[i].shuffle.value : ~uint64_t(0);
  for (unsigned rest = lanes; rest; rest &= rest - 1) {
    Slot& slot = slots[__builtin_ctz(rest)];
    slot.shuffle.value = given[slot.shuffle.source & 31];
  }
}

void ballot(Slot* slots, unsigned lanes) {
  unsigned votes = 0;
  for (unsigned rest = lanes; rest; rest &= rest - 1) votes |= slots[__builtin_ctz(rest)].vote << __builtin_ctz(rest);
  for (unsigned rest = lanes; rest; rest &= rest - 1) slots[__builtin_ctz(rest)].vote = votes;
}

// Two rows of 8 floats of B: those of elements 2p and 2p + 1 of each pair.
struct Bf16 {
  static void widen(__m256i pairs, __m256& even, __m256& odd) {
    even = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
    odd = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(int(0xffff0000u))));
  }
};
struct F16 {
  static void widen(__m256i pairs, __m256& even, __m256& odd) {
    const __m256i low = _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff)), high = _mm256_srli_epi32(pairs, 16);
    even = _mm256_cvtph_ps(narrow(low));
    odd = _mm256_cvtph_ps(narrow(high));
  }
  static __m128i narrow(__m256i words) {
    return _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  }
};

template <class Type>
void mma(Slot* slots) {
  alignas(32) uint32_t a[16][8], b[8][8];  // pairs of elements: [row][k / 2], [k / 2][column]
  alignas(32) float c[16][8];
  for (unsigned lane = 0; lane < 32; lane++) {
    const auto& mine = slots[lane].mma;
    const unsigned g = lane >> 2, t = lane & 3;
    a[g][t] = mine.a[0];
    a[g + 8][t] = mine.a[1];
    a[g][t + 4] = mine.a[2];
    a[g + 8][t + 4] = mine.a[3];
    b[t][g] = mine.b[0];
    b[t + 4][g] = mine.b[1];
    memcpy(&c[g][2 * t], &mine.c[0], 8);
    memcpy(&c[g + 8][2 * t], &mine.c[2], 8);
  }
  __m256 even[8], odd[8];
  for (int p = 0; p < 8; p++) Type::widen(_mm256_load_si256(reinterpret_cast<const __m256i*>(b[p])), even[p], odd[p]);
  for (int row = 0; row < 16; row += 2) {  // two rows at once hide the latency of the sums
    alignas(32) float first[2][8], second[2][8];
    __m256 sum[2];
    for (int r = 0; r < 2; r++) {
      __m256 e, o;
      Type::widen(_mm256_load_si256(reinterpret_cast<const __m256i*>(a[row + r])), e, o);
      _mm256_store_ps(first[r], e);
      _mm256_store_ps(second[r], o);
      sum[r] = _mm256_load_ps(c[row + r]);
    }
    for (int p = 0; p < 8; p++)
      for (int r = 0; r < 2; r++) {
        sum[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(&first[r][p]), even[p], sum[r]);
        sum[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(&second[r][p]), odd[p], sum[r]);
      }
    for (int r = 0; r < 2; r++) _mm256_store_ps(c[row + r], sum[r]);
  }
  for (unsigned lane = 0; lane < 32; lane++) {
    auto& mine = slots[lane].mma;
    const unsigned g = lane >> 2, t = lane & 3;
    memcpy(&mine.c[0], &c[g][2 * t], 8);
    memcpy(&mine.c[2], &c[g + 8][2 * t], 8);
  }
}
}  // namespace

void load_matrix(Worker& worker, unsigned warp, bool transposed) {
  Slot* slots = worker.warps[warp].slots;
  alignas(16) uint16_t rows[32][8];
  for (unsigned lane = 0; lane < 32; lane++) {
    const unsigned thread = warp * 32 + lane;
    const void* row = slots[lane].matrix.row;
    const void* pc = worker.fibers[thread].pc;
    worker.check_aligned(thread, row, 16, pc);
    const uintptr_t at = reinterpret_cast<uintptr_t>(row) - reinterpret_cast<uintptr_t>(worker.shared);
    if (at >= worker.static_bytes + DYNAMIC_BYTES) worker.fail(700, thread, pc, "ldmatrix of %p, which is not shared memory", row);
    if (worker.checking) worker.check_as(thread, row, 16, Access::Read, pc);
    memcpy(rows[lane], row, 16);
  }
  for (unsigned lane = 0; lane < 32; lane++)
    for (unsigned matrix = 0; matrix < 4; matrix++) {
      const unsigned g = lane >> 2, t = lane & 3;
      uint32_t& word = slots[lane].matrix.words[matrix];
      const auto* eight = &rows[matrix * 8];
      if (transposed) word = eight[2 * t][g] | uint32_t(eight[2 * t + 1][g]) << 16;
      else memcpy(&word, &eight[g][2 * t], 4);
    }
}

void Worker::perform(Operation operation, unsigned number, unsigned lanes) {
  Warp& warp = warps[number];
  if (operation >= Operation::LoadMatrix && lanes != ~0u)
    fail(719, number * 32 + __builtin_ctz(lanes), fibers[number * 32 + __builtin_ctz(lanes)].pc, "ldmatrix or mma needs all 32 lanes of the warp");
  switch (operation) {
    case Operation::None: break;
    case Operation::Sync: warp.epoch++; break;
    case Operation::Shuffle: shuffle(warp.slots, lanes); break;
    case Operation::Ballot: ballot(warp.slots, lanes); break;
    case Operation::LoadMatrix: load_matrix(*this, number, false); break;
    case Operation::LoadMatrixTransposed: load_matrix(*this, number, true); break;
    case Operation::MmaBf16: mma<Bf16>(warp.slots); break;
    case Operation::MmaF16: mma<F16>(warp.slots); break;
  }
}
