// Tiles of matrices in shared memory, and the fragments of them that tensor cores multiply (PTX ISA, "mma.m16n8k16").
//
// A warp holds a fragment together. With g = lane / 4 and t = lane % 4, a thread has of a 16 x 8 accumulator the elements
// (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
#pragma once
#include "common.cuh"

// A: 16 rows x 16 k of T.
struct FragmentA {
  uint32_t r[4];
};

// B: 16 k x 16 columns of T: two operands of mma, r[0] and r[1] of the first eight columns, r[2] and r[3] of the others.
struct FragmentB {
  uint32_t r[4];
};

// C: 16 rows x 8 columns of f32 sums.
struct Accumulator {
  float v[4];
  __device__ __forceinline__ float& operator[](int i) { return v[i]; }
  __device__ __forceinline__ const float& operator[](int i) const { return v[i]; }
};

// left += a b of b's first eight columns, right += a b of the others.
template <typename T>
__device__ __forceinline__ void multiply(Accumulator& left, Accumulator& right, const FragmentA& a, const FragmentB& b) {
  mma_16816<T>(left.v, a.r, b.r[0], b.r[1]);
  mma_16816<T>(right.v, a.r, b.r[2], b.r[3]);
}

// Eight elements at p of which the first `inside` (any int) exist, in pieces of PIECE = 1 or 4; the others become zero. p is
// aligned to a piece, and `inside` is a multiple of it unless it is more than eight.
template <int PIECE, typename T>
__device__ __forceinline__ Pack8<T> load_pieces(const T* p, int inside) {
  static_assert(PIECE == 1 || PIECE == 4, "pieces of one or of four");
  Pack8<T> pack = {};
#pragma unroll
  for (int i = 0; i < 8; i += PIECE) {
    if (i >= inside) break;
    if constexpr (PIECE == 1) {
      pack.v[i] = p[i];
    } else {
      const uint2 bits = *reinterpret_cast<const uint2*>(p + i);
      memcpy(pack.v + i, &bits, 8);
    }
  }
  return pack;
}

// ROWS x COLUMNS values of T in shared memory, COLUMNS a multiple of 32. A row is COLUMNS / 8 chunks of 16 bytes, permuted within
// the row so that neither ldmatrix nor the copies meet a bank conflict. Row numbers that are passed to the loads are multiples
// of 8, `step` counts 16 columns.
template <typename T, int ROWS, int COLUMNS>
struct SharedTile {
  static_assert(COLUMNS % 32 == 0, "rows of whole groups of four chunks");
  T v[ROWS * COLUMNS];

  // Where chunk `chunk` of row `row` is, in elements. Eight rows from a multiple of eight on have one chunk in eight different
  // groups of banks. Rows of an odd number of 64-byte halves alternate between halves by themselves.
  static __device__ __forceinline__ unsigned at(unsigned row, unsigned chunk) {
    constexpr unsigned GROUP = COLUMNS % 64 == 0 ? 8 : 4;
    const unsigned turn = GROUP == 8 ? row & 7 : row >> 1 & 3;
    return row * COLUMNS + chunk / GROUP * GROUP * 8 + (chunk % GROUP ^ turn) * 8;
  }

  // Starts copying from a row-major matrix whose rows are `stride` elements apart, in 16-byte pieces: source, stride and columns
  // are multiples of 8. Rows from `rows` on and columns from `columns` on become zero and are not read. All THREADS threads of
  // the block take part. The tile is there after cp_async_wait and a barrier.
  template <int THREADS>
  __device__ __forceinline__ void copy(const T* source, int64_t stride, int rows, int columns) {
    constexpr int ACROSS = COLUMNS % 64 == 0 ? 8 : 4, STEP = THREADS / ACROSS;  // ACROSS neighbouring threads share a row
    const int row = threadIdx.x / ACROSS, chunk = threadIdx.x % ACROSS;
    const int rows_left = rows - row, columns_left = columns - chunk * 8;
    const T* from = source + row * stride + chunk * 8;
#pragma unroll
    for (int r = 0; r < ROWS; r += STEP) {
      if (ROWS % STEP != 0 && row + r >= ROWS) break;
#pragma unroll
      for (int c = 0; c < COLUMNS / 8; c += ACROSS) {
        const bool inside = r < rows_left && c * 8 < columns_left;
        cp_async16(v + at(row + r, chunk + c), from + c * 8, inside ? 16 : 0);
      }
      from += STEP * stride;
    }
  }

  // Copies like `copy`, by way of registers, in pieces of PIECE elements, of which source, stride and columns are multiples. The
  // tile is there after a barrier.
  template <int THREADS, int PIECE>
  __device__ __forceinline__ void copy_pieces(const T* source, int64_t stride, int rows, int columns) {
#pragma unroll 1
    for (int i = threadIdx.x; i < ROWS * (COLUMNS / 8); i += THREADS) {
      const int row = i / (COLUMNS / 8), chunk = i % (COLUMNS / 8);
      store8(v + at(row, chunk), load_pieces<PIECE>(source + row * stride + chunk * 8, row < rows ? columns - chunk * 8 : 0));
    }
  }

  // Loads A: 16 rows from `row` on; the tile's columns are k.
  __device__ __forceinline__ void load_a(FragmentA& a, int row, int step) const {
    const unsigned lane = threadIdx.x & 31;
    ldmatrix_x4(a.r, v + at(row + (lane & 15), 2 * step + (lane >> 4)));
  }

  // Loads B, whose columns are 16 rows from `row` on; the tile's columns are k.
  __device__ __forceinline__ void load_b(FragmentB& b, int row, int step) const {
    const unsigned lane = threadIdx.x & 31;
    ldmatrix_x4(b.r, v + at(row + (lane & 7) + (lane >> 4) * 8, 2 * step + (lane >> 3 & 1)));
  }

  // Loads B, whose columns are the tile's; k are 16 rows from `row` on.
  __device__ __forceinline__ void load_b_transposed(FragmentB& b, int row, int step) const {
    const unsigned lane = threadIdx.x & 31;
    ldmatrix_x4_trans(b.r, v + at(row + (lane & 15), 2 * step + (lane >> 4)));
  }
};
