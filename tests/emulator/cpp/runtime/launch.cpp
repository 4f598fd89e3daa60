// Runs a launch: its blocks are dealt out in ascending order to the calling thread and to a pool of helpers that lives as long as
// the process. Whoever started a block finishes it, so the lowest block with a fault is the same however many threads there are.
#include "worker.h"
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <ucontext.h>

namespace {
EmulatedKernel* kernels;
uint64_t launches;

struct Job {
  Job(const Launch& launch, const Options& options, uint64_t serial)
      : launch(launch), options(options), serial(serial), blocks(uint64_t(launch.grid[0]) * launch.grid[1] * launch.grid[2]) {}
  const Launch& launch;
  const Options& options;
  const uint64_t serial, blocks;
  std::atomic<uint64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex lock;
  uint64_t worst = UINT64_MAX;  // lowest block with a fault
  Fault fault{};
};

void work(Worker& mine, Job& job) {
  Fault fault{};
  mine.begin_launch();
  while (!job.failed) {
    const uint64_t block = job.next++;
    if (block >= job.blocks) return;
    if (mine.run_block(job.launch, job.options, job.serial, block, fault)) continue;
    job.failed = true;
    std::lock_guard<std::mutex> guard(job.lock);
    if (block < job.worst) {
      job.worst = block;
      job.fault = fault;
    }
  }
}

// A stack for the signal handler, since a fiber's own may be what overflowed.
struct SignalStack {
  std::unique_ptr<char[]> memory{new char[65536]};
  stack_t before{};
  SignalStack() {
    stack_t mine{};
    mine.ss_sp = memory.get();
    mine.ss_size = 65536;
    sigaltstack(&mine, &before);
  }
  ~SignalStack() { sigaltstack(&before, nullptr); }
};

class Pool {
 public:
  // Helps with the job on up to `helpers` threads, while the caller works too; returns when all have stopped.
  void run(Job& job, unsigned helpers) {
    if (helpers) {
      std::unique_lock<std::mutex> guard(lock);
      while (threads < helpers) {
        std::thread([this] { help(); }).detach();
        threads++;
      }
      current = &job;
      wanted = running = helpers;
      guard.unlock();
      wake.notify_all();
    }
    SignalStack stack;
    work(caller, job);
    if (helpers) {
      std::unique_lock<std::mutex> guard(lock);
      running -= wanted;  // those that have not woken up are not needed any more
      wanted = 0;
      ended.wait(guard, [this] { return running == 0; });
      current = nullptr;
    }
  }

 private:
  Worker caller;
  std::mutex lock;
  std::condition_variable wake, ended;
  Job* current = nullptr;
  unsigned threads = 0, wanted = 0, running = 0;

  void help() {
    auto mine = std::make_unique<Worker>();
    SignalStack stack;
    std::unique_lock<std::mutex> guard(lock);
    for (;;) {
      wake.wait(guard, [this] { return wanted > 0; });
      wanted--;
      Job& job = *current;
      guard.unlock();
      work(*mine, job);
      guard.lock();
      if (--running == 0) ended.notify_one();
    }
  }
};

// ---- accesses that fault in hardware: a stack overflow, or anything when the checks are off ----
struct sigaction previous[NSIG];
thread_local uintptr_t fault_address;
thread_local const void* fault_pc;

void after_fault() {
  worker->fail(700, worker->fiber->thread, fault_pc, "access of %p, which is no memory of the device (or the thread's stack overflowed)",
               reinterpret_cast<void*>(fault_address));
}

void on_fault(int signal, siginfo_t* info, void* context) {
  if (!worker || !worker->fiber) {
    sigaction(signal, &previous[signal], nullptr);  // not ours: let it happen again
    return;
  }
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  fault_address = reinterpret_cast<uintptr_t>(info->si_addr);
  fault_pc = reinterpret_cast<const char*>(registers[REG_RIP]) + 1;
  registers[REG_RIP] = reinterpret_cast<greg_t>(after_fault);
  registers[REG_RSP] = reinterpret_cast<greg_t>(worker->emergency_stack()) - 8;
}

void install_handlers() {
  static bool installed;
  if (installed) return;
  installed = true;
  struct sigaction handler{};
  handler.sa_sigaction = on_fault;
  handler.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (int signal : {SIGSEGV, SIGBUS}) sigaction(signal, &handler, &previous[signal]);
}
}  // namespace

EMULATOR_API void emulated_register(EmulatedKernel* kernel) {
  kernel->next = kernels;
  kernels = kernel;
}

extern "C" const EmulatedKernel* emulated_find(const char* name) {
  for (const EmulatedKernel* kernel = kernels; kernel; kernel = kernel->next)
    if (!strcmp(kernel->name, name)) return kernel;
  return nullptr;
}

// Runs all blocks; one launch at a time. Gives the fault's code, 0 for none.
extern "C" uint32_t emulated_run(const Launch* launch, const Options* options, Fault* fault) {
  static Pool* pool = new Pool;  // never destroyed: its threads may outlive static objects
  *fault = {};
  for (unsigned i = 0; i < launch->kernel->arguments; i++) {
    if (!launch->kernel->is_pointer[i]) continue;
    const void* pointer = *static_cast<const void**>(launch->arguments[i]);
    if (pointer && !memory_find(reinterpret_cast<uintptr_t>(pointer), 1)) {
      snprintf(fault->what, sizeof fault->what, "argument %u is %p, which is no device memory", i, pointer);
      return fault->code = 700;
    }
  }
  install_handlers();
  Job job(*launch, *options, launches++);
  const uint64_t helpers = options->threads > 1 ? options->threads - 1 : 0;
  pool->run(job, unsigned(job.blocks - 1 < helpers ? job.blocks - 1 : helpers));
  *fault = job.fault;
  return fault->code;
}

// The launches begin to count again, so that schedules repeat.
extern "C" void emulated_restart() { launches = 0; }
