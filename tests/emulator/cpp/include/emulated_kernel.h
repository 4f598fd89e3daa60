// How a kernel is made known to the runtime, with a thunk derived from its own C++ type.
#pragma once
#include <cstddef>
#include <type_traits>
#include <utility>

#define EMULATOR_API extern "C" __attribute__((visibility("hidden")))

struct EmulatedKernel {
  const char* name;
  void (*thunk)(void** arguments);  // calls the kernel; arguments[i] points to the i-th argument's value
  unsigned arguments;
  const unsigned* sizes;             // bytes of each argument
  const unsigned char* is_pointer;   // whether each argument is a pointer
  unsigned bound;                    // most threads of a block (__launch_bounds__), 1024 when not given
  EmulatedKernel* next;
};

EMULATOR_API void emulated_register(EmulatedKernel* kernel);

template <auto Function>
struct EmulatedThunk;

template <class... A, void (*Function)(A...)>
struct EmulatedThunk<Function> {
  template <size_t... I>
  __attribute__((no_sanitize("thread"))) static void spread(void** arguments, std::index_sequence<I...>) {
    Function(*static_cast<std::remove_cv_t<std::remove_reference_t<A>>*>(arguments[I])...);
  }
  __attribute__((no_sanitize("thread"))) static void call(void** arguments) {
    spread(arguments, std::index_sequence_for<A...>{});
  }
  static constexpr unsigned count = sizeof...(A);
  static constexpr unsigned sizes[count + 1] = {unsigned(sizeof(A))..., 0};
  static constexpr unsigned char is_pointer[count + 1] = {static_cast<unsigned char>(std::is_pointer_v<A>)..., 0};
};

// The first value of __launch_bounds__(threads, blocks, ...), or 1024 for none.
constexpr unsigned emulated_bound() { return 1024; }
template <class... Rest>
constexpr unsigned emulated_bound(unsigned threads, Rest...) { return threads; }

#define EMULATED_REGISTER(kernel, ...)                                                                                     \
  static EmulatedKernel emulated_record_##kernel{#kernel,                                                                  \
                                                 &EmulatedThunk<&kernel>::call,                                            \
                                                 EmulatedThunk<&kernel>::count,                                            \
                                                 EmulatedThunk<&kernel>::sizes,                                            \
                                                 EmulatedThunk<&kernel>::is_pointer,                                       \
                                                 emulated_bound(__VA_ARGS__),                                              \
                                                 nullptr};                                                                 \
  __attribute__((constructor)) static void emulated_register_##kernel() { emulated_register(&emulated_record_##kernel); }
