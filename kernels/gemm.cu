// Matrix products on tensor cores, with what follows them fused: y = epilogue(a b + bias + residual).
//
//   gemm_nt_<epilogue>_<tile>_<T>: a [m, k], b [n, k], v = a b^T      gemm_nn_<epilogue>_<tile>_<T>: a [m, k], b [k, n], v = a b
//
// All matrices are row-major and dense, of T = bf16 or f16; sums are f32. Any m, n, k >= 1. bias [n], residual [m, n] and `also`
// may be null. y and also may be the same buffer as residual, first or second (an element is read and then written by one thread),
// except that under `rope` residual must not be y. Nothing outside the matrices is read or written.
//
// One element's sum runs over k in ascending steps of 16, in one thread block, in every tile: a row's result has the same bits
// whatever the tile and m.
//
//   epilogue        layouts  y =
//   plain           nt nn    v
//   activation      nt       f(v), also = v
//   gate            nt       f(first) v, also = v
//   rope            nt       v turned: columns i and i + head_dim / 2 of each head become (a cos - b sin, b cos + a sin);
//                            n % head_dim == 0
//   activation_vjp  nn       v f'(first)
//   gate_vjp        nn       v second f'(first), also = v f(first)
//   f32             nt nn    v; y and residual are f32
//
//   tile   covers     n and k           grid.x (y = z = 1)               head_dim of rope: a power of two
//   large  128 x 128  multiples of 8    ceil(m / 128) * ceil(n / 128)    2 to 128
//   small  64 x 64    multiples of 8    ceil(m / 64) * ceil(n / 64)      2 to 64
//   odd    64 x 128   any               ceil(m / 64) * ceil(n / 128)     2 to 128
//
// Launch: THREADS threads, SHARED_BYTES of dynamic shared memory. The large and the small tile access memory in 16-byte pieces, to
// which base pointers are aligned. The odd tile is for models with odd sizes, and slower: it copies an operand whose rows are a
// multiple of 4 elements long 8 bytes at a time (patches of 14 x 14 x 3 pixels), of any other length element by element, and
// finishes element by element.
#include "tile.cuh"

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
  int kind;  // GELU, ..: of f
  int head_dim, positions;
};

// A thread block has 2 x 2 warps, each of a quarter of the tile. Stages of both operands, K_STEP deep, wait in shared memory.
constexpr int THREADS = 128, SHARED_BYTES = 49152;
constexpr int K_STEP = 32;
constexpr int LARGE_M = 128, LARGE_N = 128, SMALL_M = 64, SMALL_N = 64, ODD_M = 64, ODD_N = 128;

// PACK: elements that a thread finishes at once.
struct Large {
  static constexpr int M = LARGE_M, N = LARGE_N, PACK = 8, BLOCKS_PER_SM = 2;
};
struct Small {
  static constexpr int M = SMALL_M, N = SMALL_N, PACK = 8, BLOCKS_PER_SM = 3;
};
struct Odd {
  static constexpr int M = ODD_M, N = ODD_N, PACK = 1, BLOCKS_PER_SM = 2;
};

// How b lies in memory: transposed, [n, k], or [k, n].
enum Layout { NT, NN };

// ---------------------------------------------------------------------------------------------------------------------------------
// Sums

template <typename T, typename Tile, Layout LAYOUT>
struct Stage {
  SharedTile<T, Tile::M, K_STEP> a;
  SharedTile<T, LAYOUT == NT ? Tile::N : K_STEP, LAYOUT == NT ? K_STEP : Tile::N> b;
};

// Starts copying a tile from (row0, column0) on of a [rows, columns] matrix.
template <typename Tile, typename T, int ROWS, int COLUMNS>
__device__ __forceinline__ void load_tile(SharedTile<T, ROWS, COLUMNS>& tile, const T* matrix, int row0, int column0, int rows,
                                          int columns) {
  const T* source = matrix + (int64_t)row0 * columns + column0;
  if (Tile::PACK == 8 || columns % 8 == 0)
    tile.template copy<THREADS>(source, columns, rows - row0, columns - column0);
  else if (columns % 4 == 0)
    tile.template copy_pieces<THREADS, 4>(source, columns, rows - row0, columns - column0);
  else
    tile.template copy_pieces<THREADS, 1>(source, columns, rows - row0, columns - column0);
}

// The operands of one warp in a step of 16 along k: its rows of a and its columns of b.
template <typename Tile>
struct Fragments {
  FragmentA a[Tile::M / 32];
  FragmentB b[Tile::N / 32];
};

// Loads the fragments of step `step` (0 or 1) of a stage.
template <typename T, typename Tile, Layout LAYOUT>
__device__ __forceinline__ void load_fragments(Fragments<Tile>& f, const Stage<T, Tile, LAYOUT>& stage, int step) {
  const int warp = threadIdx.x / 32;
  const int row0 = warp / 2 * (Tile::M / 2), column0 = warp % 2 * (Tile::N / 2);
#pragma unroll
  for (int i = 0; i < Tile::M / 32; i++) stage.a.load_a(f.a[i], row0 + i * 16, step);
#pragma unroll
  for (int j = 0; j < Tile::N / 32; j++) {
    if constexpr (LAYOUT == NT)
      stage.b.load_b(f.b[j], column0 + j * 16, step);
    else
      stage.b.load_b_transposed(f.b[j], step * 16, column0 / 16 + j);
  }
}

// The sums of one warp.
template <typename Tile>
struct Sums {
  Accumulator v[Tile::M / 32][Tile::N / 16];
};

template <typename T, typename Tile>
__device__ __forceinline__ void multiply(Sums<Tile>& sums, const Fragments<Tile>& f) {
#pragma unroll
  for (int i = 0; i < Tile::M / 32; i++)
#pragma unroll
    for (int j = 0; j < Tile::N / 32; j++) multiply<T>(sums.v[i][2 * j], sums.v[i][2 * j + 1], f.a[i], f.b[j]);
}

// ---------------------------------------------------------------------------------------------------------------------------------
// Epilogues
//
// A policy each: `apply` makes y and also of v = a b + bias + residual, element by element. OPERANDS: how many of first and second
// it needs. ALSO: whether it makes also. TURNS: whether v is turned first. Output<T>: the type of y and residual.

struct Plain {
  static constexpr int OPERANDS = 0;
  static constexpr bool ALSO = false, TURNS = false;
  template <typename T>
  using Output = T;
  static __device__ __forceinline__ void apply(int, float v, float, float, float& y, float&) { y = v; }
};
struct Activation : Plain {
  static constexpr bool ALSO = true;
  static __device__ __forceinline__ void apply(int kind, float v, float, float, float& y, float& also) {
    y = activate(kind, v);
    also = v;
  }
};
struct Gate : Plain {
  static constexpr int OPERANDS = 1;
  static constexpr bool ALSO = true;
  static __device__ __forceinline__ void apply(int kind, float v, float first, float, float& y, float& also) {
    y = activate(kind, first) * v;
    also = v;
  }
};
struct ActivationVjp : Plain {
  static constexpr int OPERANDS = 1;
  static __device__ __forceinline__ void apply(int kind, float v, float first, float, float& y, float&) {
    y = v * activation_slope(kind, first);
  }
};
struct GateVjp : Plain {
  static constexpr int OPERANDS = 2;
  static constexpr bool ALSO = true;
  static __device__ __forceinline__ void apply(int kind, float v, float first, float second, float& y, float& also) {
    also = activate(kind, first) * v;
    y = v * second * activation_slope(kind, first);
  }
};
struct Rope : Plain {
  static constexpr bool TURNS = true;
};
struct F32 : Plain {
  template <typename T>
  using Output = float;
};

// The operands of the epilogue in global memory, for PACK neighbouring elements of a row.
template <typename Epilogue, typename T, int PACK>
struct Inputs {
  Pack<typename Epilogue::template Output<T>, PACK> residual;
  Pack<T, PACK> first, second;
};

template <typename Epilogue, typename T, int PACK>
__device__ __forceinline__ Inputs<Epilogue, T, PACK> read_inputs(const GemmArguments& g, int row, int column) {
  Inputs<Epilogue, T, PACK> in = {};
  if (row < g.m && column < g.n) {
    const int64_t at = (int64_t)row * g.n + column;
    if (g.residual) in.residual = load_pack<PACK>((const typename Epilogue::template Output<T>*)g.residual + at);
    if constexpr (Epilogue::OPERANDS >= 1) in.first = load_pack<PACK>((const T*)g.first + at);
    if constexpr (Epilogue::OPERANDS >= 2) in.second = load_pack<PACK>((const T*)g.second + at);
  }
  return in;
}

// Element `column` of y's row before it is turned, `sum` being its product.
template <typename T>
__device__ __forceinline__ float unturned(const GemmArguments& g, float sum, int row, int column) {
  if (g.bias) sum += to_float(((const T*)g.bias)[column]);
  if (g.residual) sum += to_float(((const T*)g.residual)[(int64_t)row * g.n + column]);
  return sum;
}

// Turns elements v of a row from column0 + local on. sums: the row's products in shared memory, whole heads, from column0 on.
template <typename T, int PACK>
__device__ __forceinline__ void turn(const GemmArguments& g, float (&v)[PACK], const float* sums, int row, int column0, int local) {
  const int half = g.head_dim / 2;
  const float2* turns = g.turns + (int64_t)(row % g.positions) * half;
#pragma unroll
  for (int i = 0; i < PACK; i++) {
    const int c = local + i, partner = c ^ half;
    const float2 turn = turns[c & (half - 1)];
    const float other = unturned<T>(g, sums[partner], row, column0 + partner);
    v[i] = fmaf(c & half ? other : -other, turn.y, v[i] * turn.x);
  }
}

// Writes y and also for PACK neighbouring elements inside the matrix. sums: the row's products in shared memory, from column0 on;
// local: the first of the elements in it, a multiple of PACK.
template <typename Epilogue, typename T, int PACK>
__device__ __forceinline__ void finish(const GemmArguments& g, const Pack<T, PACK>& bias, const Inputs<Epilogue, T, PACK>& in,
                                       const float* sums, int row, int column0, int local) {
  const int64_t at = (int64_t)row * g.n + column0 + local;
  float v[PACK], y[PACK], also[PACK];
  load(sums + local, v);
#pragma unroll
  for (int i = 0; i < PACK; i++) {
    v[i] += to_float(bias.v[i]);
    v[i] += to_float(in.residual.v[i]);
  }
  if constexpr (Epilogue::TURNS) turn<T>(g, v, sums, row, column0, local);
#pragma unroll
  for (int i = 0; i < PACK; i++) Epilogue::apply(g.kind, v[i], to_float(in.first.v[i]), to_float(in.second.v[i]), y[i], also[i]);
  if constexpr (Epilogue::ALSO)
    if (g.also) store((T*)g.also + at, also);
  store((typename Epilogue::template Output<T>*)g.y + at, y);
}

// The sums of part PART of PARTS equal parts of each warp's rows, to `staged` [M / PARTS][N + 8] in shared memory: warps 0 and 1
// fill its first half. The padding keeps the banks of neighbouring rows apart.
template <int PARTS, int PART, typename Tile>
__device__ __forceinline__ void stage_sums(float* staged, const Sums<Tile>& sums) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float* corner = staged + (warp / 2 * (Tile::M / PARTS / 2) + lane / 4) * (Tile::N + 8) + warp % 2 * (Tile::N / 2) + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < Tile::M / PARTS / 32; i++)
#pragma unroll
    for (int j = 0; j < Tile::N / 16; j++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const Accumulator& c = sums.v[PART * (Tile::M / PARTS / 32) + i][j];
        float* to = corner + (i * 16 + half * 8) * (Tile::N + 8) + j * 8;
        *reinterpret_cast<float2*>(to) = make_float2(c[half * 2], c[half * 2 + 1]);
      }
}

// The epilogue of a tile at (row0, column0), through shared memory, in as many parts as fit it, so that global memory is accessed
// in whole rows.
template <typename Epilogue, typename T, typename Tile>
__device__ __forceinline__ void finish_tile(const GemmArguments& g, float* staged, const Sums<Tile>& sums, int row0, int column0) {
  constexpr int PARTS = Tile::M * (Tile::N + 8) * sizeof(float) <= SHARED_BYTES ? 1 : 2;
  constexpr int PACK = Tile::PACK, PACKS = Tile::N / PACK, ROWS = Tile::M / PARTS;
  // Turning takes the registers of a second pack.
  constexpr int ROWS_STEP = THREADS / PACKS, AT_ONCE = PACK == 8 && !Epilogue::TURNS ? 2 : 1;
  static_assert(ROWS * (Tile::N + 8) * sizeof(float) <= SHARED_BYTES, "a part fits");
  const int local = threadIdx.x % PACKS * PACK;
  Pack<T, PACK> bias = {};
  if (g.bias && column0 + local < g.n) bias = load_pack<PACK>((const T*)g.bias + column0 + local);
#pragma unroll 1
  for (int part = 0; part < PARTS; part++) {
    __syncthreads();
    if (part == 0)
      stage_sums<PARTS, 0>(staged, sums);
    else
      stage_sums<PARTS, PARTS - 1>(staged, sums);
    __syncthreads();
    // The reads of several packs are under way together.
#pragma unroll 1
    for (int r0 = threadIdx.x / PACKS; r0 < ROWS; r0 += AT_ONCE * ROWS_STEP) {
      Inputs<Epilogue, T, PACK> in[AT_ONCE];
      int row[AT_ONCE];
#pragma unroll
      for (int u = 0; u < AT_ONCE; u++) {
        const int r = r0 + u * ROWS_STEP;
        row[u] = row0 + (r / (ROWS / 2) * PARTS + part) * (ROWS / 2) + r % (ROWS / 2);
        in[u] = read_inputs<Epilogue, T, PACK>(g, row[u], column0 + local);
      }
#pragma unroll
      for (int u = 0; u < AT_ONCE; u++)
        if (row[u] < g.m && column0 + local < g.n)
          finish<Epilogue, T>(g, bias, in[u], staged + (r0 + u * ROWS_STEP) * (Tile::N + 8), row[u], column0, local);
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------------------

template <Layout LAYOUT, typename Epilogue, typename Tile, typename T>
__device__ __forceinline__ void gemm(const GemmArguments& g) {
  using Operands = Stage<T, Tile, LAYOUT>;
  constexpr int M = Tile::M, N = Tile::N, STAGES = SHARED_BYTES / sizeof(Operands);
  static_assert(STAGES * sizeof(Operands) == SHARED_BYTES, "the stages fill the shared memory");
  DYNAMIC_SHARED(Operands, stages);
  const T* a = (const T*)g.a;
  const T* b = (const T*)g.b;

  // Blocks that run at once cover eight rows of tiles, so that they share both operands in the L2 cache.
  constexpr int GROUP = 8;
  const int tiles_m = divide_up(g.m, M), tiles_n = divide_up(g.n, N);
  const int group = blockIdx.x / (GROUP * tiles_n), group_rows = min(GROUP, tiles_m - group * GROUP);
  const int in_group = blockIdx.x - group * GROUP * tiles_n;
  const int row0 = (group * GROUP + in_group % group_rows) * M, column0 = in_group / group_rows * N;

  const int steps = divide_up(g.k, K_STEP);
  auto load_stage = [&](int step) {
    if (step < steps) {
      Operands& stage = stages[step % STAGES];
      load_tile<Tile>(stage.a, a, row0, step * K_STEP, g.m, g.k);
      if constexpr (LAYOUT == NT)
        load_tile<Tile>(stage.b, b, column0, step * K_STEP, g.n, g.k);
      else
        load_tile<Tile>(stage.b, b, step * K_STEP, column0, g.k, g.n);
    }
    cp_async_commit();
  };

  Sums<Tile> sums = {};
  Fragments<Tile> even, odd;
#pragma unroll 1
  for (int step = 0; step < STAGES - 1; step++) load_stage(step);
  cp_async_wait<STAGES - 2>();
  __syncthreads();
  load_fragments(even, stages[0], 0);
  int slot = 0;
#pragma unroll 1
  for (int step = 0; step < steps; step++) {
    // Overwrites the stage before this one, which every warp has left at the last barrier.
    load_stage(step + STAGES - 1);
    load_fragments(odd, stages[slot], 1);
    multiply<T>(sums, even);
    cp_async_wait<STAGES - 2>();
    __syncthreads();
    slot = slot + 1 == STAGES ? 0 : slot + 1;
    // After the last stage these are stale and unused.
    load_fragments(even, stages[slot], 0);
    multiply<T>(sums, odd);
  }
  cp_async_wait<0>();
  finish_tile<Epilogue, T>(g, reinterpret_cast<float*>(stages), sums, row0, column0);
}

#define KERNEL(LAYOUT, NAME, EPILOGUE, TILE_NAME, TILE, T)                         \
  extern "C" __global__ void __launch_bounds__(THREADS, TILE::BLOCKS_PER_SM)       \
      gemm_##NAME##_##TILE_NAME##_##T(GemmArguments arguments) {                   \
    gemm<LAYOUT, EPILOGUE, TILE, T>(arguments);                                    \
  }
#define TILES(LAYOUT, NAME, EPILOGUE, T)          \
  KERNEL(LAYOUT, NAME, EPILOGUE, large, Large, T) \
  KERNEL(LAYOUT, NAME, EPILOGUE, small, Small, T) \
  KERNEL(LAYOUT, NAME, EPILOGUE, odd, Odd, T)
#define KERNELS(T)                                \
  TILES(NT, nt_plain, Plain, T)                   \
  TILES(NT, nt_activation, Activation, T)         \
  TILES(NT, nt_gate, Gate, T)                     \
  TILES(NT, nt_rope, Rope, T)                     \
  TILES(NT, nt_f32, F32, T)                       \
  TILES(NN, nn_plain, Plain, T)                   \
  TILES(NN, nn_activation_vjp, ActivationVjp, T)  \
  TILES(NN, nn_gate_vjp, GateVjp, T)              \
  TILES(NN, nn_f32, F32, T)
FOR_BOTH(KERNELS)
