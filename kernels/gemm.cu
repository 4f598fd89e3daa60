// Matrix products on tensor cores, with what follows them fused: y = epilogue(a b + bias + residual).
//
//   gemm_nt_<tile>_<dtype>: a [m, k], b [n, k], v = a b^T        gemm_nn_<tile>_<dtype>: a [m, k], b [k, n], v = a b
//
// All matrices are row-major and dense, of T = bf16 or f16; sums are f32. Any m, n, k >= 1. An operand whose rows are a multiple of
// 8 elements long is copied 16 bytes at a time, of 4 elements 8 bytes at a time, any other element by element, and its base pointer
// is aligned to that; the same holds for what the epilogue reads and writes (16 bytes if n % 8 == 0, else elements).
// Nothing outside the matrices is read or written.
//
// The epilogues are listed at `Epilogue`. bias [n], residual [m, n] and `also` may be null. y and also may be the same buffer as
// residual, first or second (an element is read and then written by one thread), except that under ROPE residual must not be y.
//
// One element's sum runs over k in ascending steps of 16, in one thread block, in both tiles: a row's result has the same bits
// whatever the tile and m.
//
//   tile   covers     threads  grid.x (y = z = 1)               dynamic shared  ROPE head_dim: a power of two
//   large  128 x 128  128      ceil(m / 128) * ceil(n / 128)    49152           2 to 128
//   small  64 x 64    128      ceil(m / 64) * ceil(n / 64)      49152           2 to 64
#include "common.cuh"

enum Epilogue {
  PLAIN = 0,           // y = v
  ACTIVATION = 1,      // also = v, y = f(v)
  GATE = 2,            // also = v, y = f(first) v
  ACTIVATION_VJP = 3,  // y = v f'(first)
  GATE_VJP = 4,        // y = v second f'(first), also = v f(first)
  ROPE = 5,            // columns i and i + head_dim / 2 of each head: (a, b) -> (a cos - b sin, b cos + a sin); n % head_dim == 0
  F32 = 6,             // y is float: y = v
  F32_ONTO = 7,        // y is float: y += v
};

struct GemmArguments {
  const void* a;
  const void* b;
  void* y;               // [m, n]
  const void* bias;      // [n]
  const void* residual;  // [m, n]
  const void* first;     // [m, n]
  const void* second;    // [m, n]
  void* also;            // [m, n]
  const float2* turns;   // (cos, sin) [positions, head_dim / 2]; row r of y takes turns row r % positions
  int m, n, k;
  int epilogue;  // Epilogue
  int kind;      // ActivationKind, of f
  int head_dim, positions;
};

// A thread block has 2 x 2 warps, each of a quarter of the tile. Stages of both operands, K_STEP deep, wait in shared memory.
constexpr int THREADS = 128;
constexpr int K_STEP = 32;

struct Large {
  static constexpr int M = 128, N = 128, STAGES = 3, BLOCKS_PER_SM = 2;
};
struct Small {
  static constexpr int M = 64, N = 64, STAGES = 6, BLOCKS_PER_SM = 3;
};

// Where the 8-element chunk (row, chunk) of a tile with COLUMNS (32, or a multiple of 64) columns lies in shared memory, in
// elements: swizzled so that the eight rows of one chunk column, which ldmatrix reads at once, lie in different banks.
template <int COLUMNS>
__device__ __forceinline__ int swizzled(int row, int chunk) {
  const int turn = COLUMNS == 32 ? row >> 1 & 3 : row & 7;
  return row * COLUMNS + (chunk ^ turn) * 8;
}

// The elements that one access to a row-major matrix with rows of this length may move: 8, 4 or 1.
__device__ __forceinline__ int access_width(int row_length) {
  return row_length % 8 == 0 ? 8 : row_length % 4 == 0 ? 4 : 1;
}

// Eight elements at p of which the first `inside` (any int) exist; the others become zero.
template <typename T>
__device__ __forceinline__ Pack8<T> read8(const T* p, int inside, int width) {
  Pack8<T> pack = {};
  if (width == 8) {
    if (inside > 0) pack = load8(p);
  } else if (width == 4) {
    uint2 low = {0, 0}, high = {0, 0};
    if (inside > 0) low = *reinterpret_cast<const uint2*>(p);
    if (inside > 4) high = *reinterpret_cast<const uint2*>(p + 4);
    const uint4 bits = {low.x, low.y, high.x, high.y};
    memcpy(&pack, &bits, 16);
  } else {
#pragma unroll
    for (int i = 0; i < 8; i++)
      if (i < inside) pack.v[i] = p[i];
  }
  return pack;
}

// Writes the first `inside` of eight elements.
template <typename T>
__device__ __forceinline__ void write8(T* p, const float (&v)[8], int inside, int width) {
  Pack8<T> pack;
#pragma unroll
  for (int i = 0; i < 8; i++) pack.v[i] = from_float<T>(v[i]);
  if (width == 8) {
    store8(p, pack);
  } else {
#pragma unroll
    for (int i = 0; i < 8; i++)
      if (i < inside) p[i] = pack.v[i];
  }
}

// Starts the copy of a ROWS x COLUMNS tile of a [rows, columns] matrix into its swizzled place. It is there, with zeros outside
// the matrix, after cp_async_wait and a barrier.
template <int ROWS, int COLUMNS, typename T>
__device__ __forceinline__ void load_tile(T* shared, const T* matrix, int row0, int column0, int rows, int columns, int width) {
  constexpr int CHUNKS = COLUMNS / 8, ROWS_AT_ONCE = THREADS / CHUNKS;
  const int chunk = threadIdx.x % CHUNKS, row = threadIdx.x / CHUNKS;
  const int inside = columns - (column0 + chunk * 8);
  const T* from = matrix + (int64_t)(row0 + row) * columns + (column0 + chunk * 8);
  const int64_t stride = (int64_t)ROWS_AT_ONCE * columns;
  if (width == 8) {
#pragma unroll
    for (int i = 0; i < ROWS / ROWS_AT_ONCE; i++) {
      const bool exists = inside > 0 && row0 + row + i * ROWS_AT_ONCE < rows;
      cp_async16(shared + swizzled<COLUMNS>(row + i * ROWS_AT_ONCE, chunk), from + i * stride, exists ? 16 : 0);
    }
  } else {
    const int narrow = width == 4 ? 4 : 1;
#pragma unroll 1
    for (int i = 0; i < ROWS / ROWS_AT_ONCE; i++) {
      const bool exists = row0 + row + i * ROWS_AT_ONCE < rows;
      store8(shared + swizzled<COLUMNS>(row + i * ROWS_AT_ONCE, chunk), read8(from + i * stride, exists ? inside : 0, narrow));
    }
  }
}

// What one warp multiplies in a step of 16 along k: its rows of a and its columns of b.
template <typename Tile>
struct Fragments {
  uint32_t a[Tile::M / 32][4];  // 16 x 16 each
  uint32_t b[Tile::N / 32][4];  // 16 x 16 each: two 16 x 8
};

// Reads the fragments of step `step` (0 or 1) of a stage. TRANSPOSED: the tile of b is [N, K_STEP], else [K_STEP, N].
template <typename Tile, bool TRANSPOSED, typename T>
__device__ __forceinline__ void load_fragments(Fragments<Tile>& f, const T* a, const T* b, int step) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int row0 = warp / 2 * (Tile::M / 2), column0 = warp % 2 * (Tile::N / 2);
#pragma unroll
  for (int i = 0; i < Tile::M / 32; i++)
    ldmatrix_x4(f.a[i], a + swizzled<K_STEP>(row0 + i * 16 + lane % 16, step * 2 + lane / 16));
#pragma unroll
  for (int j = 0; j < Tile::N / 32; j++) {
    if (TRANSPOSED)
      ldmatrix_x4(f.b[j], b + swizzled<K_STEP>(column0 + j * 16 + lane / 16 * 8 + lane % 8, step * 2 + lane / 8 % 2));
    else
      ldmatrix_x4_trans(f.b[j], b + swizzled<Tile::N>(step * 16 + lane % 16, column0 / 8 + j * 2 + lane / 16));
  }
}

// The sums of one warp, as mma leaves them: [16 rows][8 columns][element].
template <typename Tile>
struct Sums {
  float v[Tile::M / 32][Tile::N / 16][4];
};

template <typename T, typename Tile>
__device__ __forceinline__ void multiply(Sums<Tile>& sums, const Fragments<Tile>& f) {
#pragma unroll
  for (int i = 0; i < Tile::M / 32; i++)
#pragma unroll
    for (int j = 0; j < Tile::N / 16; j++) mma_16816<T>(sums.v[i][j], f.a[i], f.b[j / 2][j % 2 * 2], f.b[j / 2][j % 2 * 2 + 1]);
}

// What the epilogue reads from global memory for eight neighbouring elements of a row.
template <typename T>
struct Inputs {
  Pack8<T> residual, first, second;
};

template <typename T>
__device__ __forceinline__ Inputs<T> read_inputs(const GemmArguments& g, int row, int column, int width) {
  const int inside = row < g.m ? g.n - column : 0;
  const int64_t at = (int64_t)row * g.n + column;
  Inputs<T> in = {};
  if (g.residual) in.residual = read8((const T*)g.residual + at, inside, width);
  if (g.epilogue == GATE || g.epilogue == ACTIVATION_VJP || g.epilogue == GATE_VJP)
    in.first = read8((const T*)g.first + at, inside, width);
  if (g.epilogue == GATE_VJP) in.second = read8((const T*)g.second + at, inside, width);
  return in;
}

// Element `column` of y's row before it is turned, `sum` being its product.
template <typename T>
__device__ __forceinline__ float unturned(const GemmArguments& g, float sum, int row, int column) {
  if (g.bias) sum += to_float(((const T*)g.bias)[column]);
  if (g.residual) sum += to_float(((const T*)g.residual)[(int64_t)row * g.n + column]);
  return sum;
}

// Turns eight elements v of a row from `column` on. sums: the row's products in shared memory, whole heads.
template <typename T>
__device__ __forceinline__ void turn8(const GemmArguments& g, float (&v)[8], const float* sums, int row, int column0, int local) {
  const int half = g.head_dim / 2;
  const float2* turns = g.turns + (int64_t)(row % g.positions) * half;
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const int c = local + i, partner = c ^ half;
    if (column0 + c >= g.n) break;
    const float2 turn = turns[c & (half - 1)];
    const float other = unturned<T>(g, sums[partner], row, column0 + partner);
    v[i] = fmaf(c & half ? other : -other, turn.y, v[i] * turn.x);
  }
}

// Writes y and also for eight neighbouring elements. sums: the row's products in shared memory, from column0 on; local: the
// first of the eight in it, a multiple of 8. Inside: row < m, column0 + local < n.
template <typename T>
__device__ __forceinline__ void finish8(const GemmArguments& g, const Pack8<T>& bias, const Inputs<T>& in, const float* sums,
                                        int row, int column0, int local, int width) {
  const int inside = g.n - (column0 + local);
  const int64_t at = (int64_t)row * g.n + column0 + local;
  const float4 low = *reinterpret_cast<const float4*>(sums + local), high = *reinterpret_cast<const float4*>(sums + local + 4);
  float v[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}, x[8], f[8];
#pragma unroll
  for (int i = 0; i < 8; i++) {
    v[i] += to_float(bias.v[i]);
    v[i] += to_float(in.residual.v[i]);
    x[i] = g.epilogue == ACTIVATION ? v[i] : to_float(in.first.v[i]);
  }
  T* y = (T*)g.y + at;
  T* also = (T*)g.also + at;
  if (g.epilogue == ACTIVATION || g.epilogue == GATE || g.epilogue == GATE_VJP) {
#pragma unroll
    for (int i = 0; i < 8; i++) f[i] = activate(g.kind, x[i]);
    if (g.epilogue == GATE_VJP) {
#pragma unroll
      for (int i = 0; i < 8; i++) f[i] *= v[i];
      if (g.also) write8(also, f, inside, width);
    } else {
      if (g.also) write8(also, v, inside, width);
#pragma unroll
      for (int i = 0; i < 8; i++) v[i] = g.epilogue == ACTIVATION ? f[i] : f[i] * v[i];
    }
  }
  if (g.epilogue == ACTIVATION_VJP || g.epilogue == GATE_VJP) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
      if (g.epilogue == GATE_VJP) v[i] *= to_float(in.second.v[i]);
      v[i] *= activation_slope(g.kind, x[i]);
    }
  }
  if (g.epilogue == ROPE) turn8<T>(g, v, sums, row, column0, local);
  if (g.epilogue == F32 || g.epilogue == F32_ONTO) {
    float* out = (float*)g.y + at;
    if (width == 8) {
#pragma unroll
      for (int i = 0; i < 8; i += 4) {
        float4 sum = {v[i], v[i + 1], v[i + 2], v[i + 3]};
        if (g.epilogue == F32_ONTO) {
          const float4 old = *reinterpret_cast<const float4*>(out + i);
          sum = {old.x + sum.x, old.y + sum.y, old.z + sum.z, old.w + sum.w};
        }
        *reinterpret_cast<float4*>(out + i) = sum;
      }
    } else {
#pragma unroll
      for (int i = 0; i < 8; i++)
        if (i < inside) out[i] = g.epilogue == F32_ONTO ? out[i] + v[i] : v[i];
    }
  } else {
    write8(y, v, inside, width);
  }
}

// The first half of each warp's sums to `staged` [M / 2][N + 8] in shared memory: warps 0 and 1 fill the first M / 4 rows. The
// padding keeps the banks of neighbouring rows apart.
template <typename Tile>
__device__ __forceinline__ void stage_half(float* staged, const Sums<Tile>& sums) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float* corner = staged + (warp / 2 * (Tile::M / 4) + lane / 4) * (Tile::N + 8) + warp % 2 * (Tile::N / 2) + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < Tile::M / 64; i++)
#pragma unroll
    for (int j = 0; j < Tile::N / 16; j++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const float* v = sums.v[i][j] + half * 2;
        *reinterpret_cast<float2*>(corner + (i * 16 + half * 8) * (Tile::N + 8) + j * 8) = make_float2(v[0], v[1]);
      }
}

// The epilogue of a tile at (row0, column0), through shared memory in two halves, so that global memory is accessed in 16-byte
// pieces of whole rows.
template <typename T, typename Tile>
__device__ __forceinline__ void finish_tile(const GemmArguments& g, float* staged, Sums<Tile>& sums, int row0, int column0) {
  constexpr int PACKS = Tile::N / 8, ROWS = Tile::M / 2, ROWS_AT_ONCE = THREADS / PACKS;
  const int width = g.n % 8 == 0 ? 8 : 1;
  const int local = threadIdx.x % PACKS * 8;
  Pack8<T> bias = {};
  if (g.bias) bias = read8((const T*)g.bias + column0 + local, g.n - (column0 + local), width);
#pragma unroll 1
  for (int part = 0; part < 2; part++) {
    __syncthreads();
    stage_half(staged, sums);
    // One code for both halves, and registers of one half only while it runs. Not memcpy: nvcc 13.0 drops part of one between
    // rows of a local array.
#pragma unroll
    for (int i = 0; i < Tile::M / 64; i++)
#pragma unroll
      for (int j = 0; j < Tile::N / 16; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) sums.v[i][j][e] = sums.v[i + Tile::M / 64][j][e];
    __syncthreads();
    // The reads of two packs are under way together.
#pragma unroll 1
    for (int r0 = threadIdx.x / PACKS; r0 < ROWS; r0 += 2 * ROWS_AT_ONCE) {
      Inputs<T> in[2];
      int row[2];
#pragma unroll
      for (int u = 0; u < 2; u++) {
        const int r = r0 + u * ROWS_AT_ONCE;
        row[u] = row0 + r / (ROWS / 2) * ROWS + part * (ROWS / 2) + r % (ROWS / 2);
        in[u] = read_inputs<T>(g, row[u], column0 + local, width);
      }
#pragma unroll
      for (int u = 0; u < 2; u++)
        if (row[u] < g.m && column0 + local < g.n)
          finish8<T>(g, bias, in[u], staged + (r0 + u * ROWS_AT_ONCE) * (Tile::N + 8), row[u], column0, local, width);
    }
  }
}

template <typename T, typename Tile, bool TRANSPOSED>
__device__ __forceinline__ void gemm(const GemmArguments& g) {
  constexpr int M = Tile::M, N = Tile::N, STAGES = Tile::STAGES, STAGE = (M + N) * K_STEP;
  static_assert((M / 2) * (N + 8) * sizeof(float) <= STAGES * STAGE * sizeof(T), "the staged sums reuse the stages");
  DYNAMIC_SHARED(T, stages);
  const T* a = (const T*)g.a;
  const T* b = (const T*)g.b;

  // Blocks that run at once cover eight rows of tiles, so that they share both operands in the L2 cache.
  constexpr int GROUP = 8;
  const int tiles_m = (g.m + M - 1) / M, tiles_n = (g.n + N - 1) / N;
  const int group = blockIdx.x / (GROUP * tiles_n), group_rows = min(GROUP, tiles_m - group * GROUP);
  const int in_group = blockIdx.x - group * GROUP * tiles_n;
  const int row0 = (group * GROUP + in_group % group_rows) * M, column0 = in_group / group_rows * N;

  const int steps = (g.k + K_STEP - 1) / K_STEP;
  const int width_a = access_width(g.k), width_b = access_width(TRANSPOSED ? g.k : g.n);
  auto load_stage = [&](int step) {
    if (step < steps) {
      T* stage = stages + step % STAGES * STAGE;
      load_tile<M, K_STEP>(stage, a, row0, step * K_STEP, g.m, g.k, width_a);
      if (TRANSPOSED)
        load_tile<N, K_STEP>(stage + M * K_STEP, b, column0, step * K_STEP, g.n, g.k, width_b);
      else
        load_tile<K_STEP, N>(stage + M * K_STEP, b, step * K_STEP, column0, g.k, g.n, width_b);
    }
    cp_async_commit();
  };

  Sums<Tile> sums = {};
  Fragments<Tile> even, odd;
  for (int step = 0; step < STAGES - 1; step++) load_stage(step);
  cp_async_wait<STAGES - 2>();
  __syncthreads();
  load_fragments<Tile, TRANSPOSED>(even, stages, stages + M * K_STEP, 0);
  const T* now = stages;
  int slot = 0;
#pragma unroll 1
  for (int step = 0; step < steps; step++) {
    // Overwrites the stage before this one, which every warp has left at the last barrier.
    load_stage(step + STAGES - 1);
    load_fragments<Tile, TRANSPOSED>(odd, now, now + M * K_STEP, 1);
    multiply<T>(sums, even);
    cp_async_wait<STAGES - 2>();
    __syncthreads();
    slot = slot + 1 == STAGES ? 0 : slot + 1;
    now = stages + slot * STAGE;
    // After the last stage these are stale and unused.
    load_fragments<Tile, TRANSPOSED>(even, now, now + M * K_STEP, 0);
    multiply<T>(sums, odd);
  }
  cp_async_wait<0>();
  finish_tile<T>(g, reinterpret_cast<float*>(stages), sums, row0, column0);
}

#define GEMM(T, LAYOUT, TRANSPOSED, NAME, TILE)                                                       \
  extern "C" __global__ void __launch_bounds__(THREADS, TILE::BLOCKS_PER_SM)                          \
      gemm_##LAYOUT##_##NAME##_##T(GemmArguments arguments) {                                         \
    gemm<T, TILE, TRANSPOSED>(arguments);                                                             \
  }
#define GEMMS(T)                    \
  GEMM(T, nt, true, large, Large)   \
  GEMM(T, nn, false, large, Large)  \
  GEMM(T, nt, true, small, Small)   \
  GEMM(T, nn, false, small, Small)
FOR_BOTH(GEMMS)
