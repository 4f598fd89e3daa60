// Log-probability of one token per row, and the gradient of its score by the logits, over chunks of the vocabulary.
//
// The vocabulary projection of a chunk is a matrix product with f32 output (gemm.cu). Chunks come in ascending order, the first with
// start = 0. Launch: one block of THREADS threads per row, unless said.
#include "common.cuh"

constexpr int THREADS = 256;

struct LogprobArguments {
  const float* logits;   // [rows, chunk]: those of tokens start .. start + chunk
  const int* targets;    // [rows]
  float* state;          // [rows, 3]: of the tokens other than the target the largest logit and sum of exp(logit - largest); the
                         // target's logit
  float* values;         // [rows]: log-probabilities
  const float* weights;  // [rows]
  void* slope;           // [rows, chunk] T
  int start, chunk, rows;
  int odds;  // whether the score is the log-odds, log p - log(1 - p), and not log p
};

// state becomes that of the tokens up to this chunk's last.
extern "C" __global__ void __launch_bounds__(THREADS) logprob_chunk(LogprobArguments a) {
  const float* logits = a.logits + (size_t)blockIdx.x * a.chunk;
  float* state = a.state + 3 * (size_t)blockIdx.x;
  const int target = a.targets[blockIdx.x] - a.start;
  float top = -INFINITY;
  for (int i = threadIdx.x; i < a.chunk; i += blockDim.x)
    if (i != target) top = fmaxf(top, logits[i]);
  top = block_max(top);
  const float before = a.start ? state[0] : -INFINITY, sum_before = a.start ? state[1] : 0.0f;
  const float largest = fmaxf(top, before);
  float sum = 0.0f;
  for (int i = threadIdx.x; i < a.chunk; i += blockDim.x)
    if (i != target) sum += expf(logits[i] - largest);
  sum = block_sum(sum);
  // Everybody has read the state: block_sum has barriers.
  if (threadIdx.x == 0) {
    state[0] = largest;
    // Without other tokens so far, largest is -infinity.
    state[1] = sum + (sum_before > 0.0f ? sum_before * expf(before - largest) : 0.0f);
    if (target >= 0 && target < a.chunk) state[2] = logits[target];
  }
}

// log(1 + exp(x)).
__device__ __forceinline__ float softplus(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }

// The odds against the target, log(1 - p) - log p, from the state of the whole vocabulary.
__device__ __forceinline__ float log_odds_against(const float* state) { return state[0] - state[2] + logf(state[1]); }

// values = log p = -log(1 + (1 - p) / p). Launch: one thread per row.
extern "C" __global__ void __launch_bounds__(THREADS) logprob_value(LogprobArguments a) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= a.rows) return;
  a.values[row] = -softplus(log_odds_against(a.state + 3 * (size_t)row));
}

// slope = weight * factor * (one_hot(target) - q) of a chunk, from the state of the whole vocabulary: q is the softmax over the tokens
// other than the target, factor 1 for log-odds and 1 - p for log p. Nothing cancels near p = 1.
template <typename T>
__device__ void logprob_slope(const LogprobArguments& a) {
  const float* logits = a.logits + (size_t)blockIdx.x * a.chunk;
  const float* state = a.state + 3 * (size_t)blockIdx.x;
  T* slope = (T*)a.slope + (size_t)blockIdx.x * a.chunk;
  const float factor = a.odds ? 1.0f : expf(-softplus(-log_odds_against(state)));
  const float weight = a.weights[blockIdx.x] * factor, scale = 1.0f / state[1];
  const int target = a.targets[blockIdx.x] - a.start;
  for (int i = threadIdx.x; i < a.chunk; i += blockDim.x)
    slope[i] = from_float<T>(i == target ? weight : -weight * (expf(logits[i] - state[0]) * scale));
}

// y = x rounded to T. Launch: one thread per element, blocks of THREADS.
struct RoundArguments {
  const float* x;
  void* y;
  long long count;
};

// ----------------------------------------------------------------------------------------------------------------------------------

#define KERNELS(T)                                                                                                     \
  extern "C" __global__ void __launch_bounds__(THREADS) logprob_slope_##T(LogprobArguments a) { logprob_slope<T>(a); } \
  extern "C" __global__ void __launch_bounds__(THREADS) round_##T(RoundArguments a) {                                  \
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;                                              \
    if (i < a.count) ((T*)a.y)[i] = from_float<T>(a.x[i]);                                                             \
  }
FOR_BOTH(KERNELS)
