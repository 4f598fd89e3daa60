// Log-probability of one token per row, and the gradient by the logits, over chunks of the vocabulary.
//
// The vocabulary projection of a chunk is a matrix product with f32 output (gemm.cu). Chunks come in ascending order, the first with
// start = 0. Launch: one block of THREADS threads per row, unless said.
#include "common.cuh"

constexpr int THREADS = 256;

struct LogprobArguments {
  const float* logits;   // [rows, chunk]: those of tokens start .. start + chunk
  const int* targets;    // [rows]
  float* state;          // [rows, 3]: largest logit, sum of exp(logit - largest), the target's logit
  float* values;         // [rows]: log-probabilities
  const float* weights;  // [rows]
  void* slope;           // [rows, chunk] T
  int start, chunk, rows;
};

// state becomes that of the tokens up to this chunk's last.
extern "C" __global__ void __launch_bounds__(THREADS) logprob_chunk(LogprobArguments a) {
  const float* logits = a.logits + (size_t)blockIdx.x * a.chunk;
  float* state = a.state + 3 * (size_t)blockIdx.x;
  float top = -INFINITY;
  for (int i = threadIdx.x; i < a.chunk; i += blockDim.x) top = fmaxf(top, logits[i]);
  top = block_max(top);
  const float before = a.start ? state[0] : -INFINITY, sum_before = a.start ? state[1] : 0.0f;
  const float largest = fmaxf(top, before);
  float sum = 0.0f;
  for (int i = threadIdx.x; i < a.chunk; i += blockDim.x) sum += expf(logits[i] - largest);
  sum = block_sum(sum);
  // Everybody has read the state: block_sum has barriers.
  if (threadIdx.x == 0) {
    state[0] = largest;
    state[1] = sum + (a.start ? sum_before * expf(before - largest) : 0.0f);
    const int target = a.targets[blockIdx.x] - a.start;
    if (target >= 0 && target < a.chunk) state[2] = logits[target];
  }
}

// values = target's logit - log(sum of exp). Launch: one thread per row.
extern "C" __global__ void __launch_bounds__(THREADS) logprob_value(LogprobArguments a) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= a.rows) return;
  const float* state = a.state + 3 * (size_t)row;
  a.values[row] = state[2] - state[0] - logf(state[1]);
}

// slope = weight * (one_hot(target) - softmax(logits)) of a chunk, from the state of the whole vocabulary.
template <typename T>
__device__ void logprob_slope(const LogprobArguments& a) {
  const float* logits = a.logits + (size_t)blockIdx.x * a.chunk;
  const float* state = a.state + 3 * (size_t)blockIdx.x;
  T* slope = (T*)a.slope + (size_t)blockIdx.x * a.chunk;
  const float weight = a.weights[blockIdx.x], scale = 1.0f / state[1];
  const int target = a.targets[blockIdx.x] - a.start;
  for (int i = threadIdx.x; i < a.chunk; i += blockDim.x) {
    const float p = expf(logits[i] - state[0]) * scale;
    slope[i] = from_float<T>(weight * ((i == target ? 1.0f : 0.0f) - p));
  }
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
