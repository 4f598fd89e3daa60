#include "shadow.h"

namespace {
// Whether an access of `mine`'s epoch comes after `earlier` with nothing that orders them.
bool unordered(Stamp earlier, Stamp mine) {
  if (earlier.epoch() != mine.epoch() || earlier.bits == 0) return false;
  if (earlier.has(Stamp::SEVERAL_WARPS) || earlier.warp() != mine.warp()) return true;
  if (earlier.warp_epoch() != mine.warp_epoch()) return false;
  return earlier.has(Stamp::SEVERAL_LANES) || earlier.thread() != mine.thread();
}

// One stamp for `earlier` and `mine` together.
Stamp merged(Stamp earlier, Stamp mine) {
  if (earlier.epoch() != mine.epoch() || earlier.bits == 0) return mine;
  if (earlier.has(Stamp::SEVERAL_WARPS) || earlier.warp() != mine.warp()) return {mine.bits | Stamp::SEVERAL_WARPS};
  if (earlier.warp_epoch() != mine.warp_epoch()) return mine;
  if (earlier.has(Stamp::SEVERAL_LANES) || earlier.thread() != mine.thread()) return {mine.bits | Stamp::SEVERAL_LANES};
  return mine;
}
}  // namespace

inline Verdict Shadow::touch_cell(Cell& cell, Access access, Stamp mine, Stamp& other) {
  if (cell.write.epoch() >= floor && cell.write.bits) {
    if (cell.write.has(Stamp::IN_FLIGHT)) {
      other = cell.write;
      return Verdict::InFlight;
    }
    const bool both_atomic = access == Access::Atomic && cell.write.has(Stamp::ATOMIC);
    if (!both_atomic && unordered(cell.write, mine)) {
      other = cell.write;
      return Verdict::AfterWrite;
    }
  }
  if (access == Access::Read) {
    cell.read = merged(cell.read, mine);
    return Verdict::Fine;
  }
  if (unordered(cell.read, mine)) {
    other = cell.read;
    return Verdict::AfterRead;
  }
  if (access == Access::Write) cell.write = mine;
  else cell.write = cell.write.has(Stamp::ATOMIC) ? merged(cell.write, {mine.bits | Stamp::ATOMIC}) : Stamp{mine.bits | Stamp::ATOMIC};
  return Verdict::Fine;
}

// The four cells of a word's bytes.
Shadow::Cell* Shadow::split(unsigned word) {
  Cell* bytes = &parts[word * 4];
  Cell& whole = words[word];
  if (!(whole.write.has(Stamp::SPLIT) && whole.write.epoch() >= floor)) {
    for (int i = 0; i < 4; i++) bytes[i] = whole;
    whole.write = {uint64_t(floor) << 32 | Stamp::SPLIT};
  }
  return bytes;
}

Finding Shadow::touch(unsigned at, unsigned count, Access access, Stamp mine) {
  Finding finding;
  const unsigned end = at + count;
  while (at < end) {
    const unsigned word = at / 4, first = at % 4, last = end - at + first < 4 ? end - at + first : 4;
    Cell& whole = words[word];
    const bool entire = first == 0 && last == 4;
    if (whole.write == FORBIDDEN) return {Verdict::Outside, {}, at};
    if (entire && !(whole.write.has(Stamp::SPLIT) && whole.write.epoch() >= floor)) {
      if (whole.write.has(Stamp::SPLIT)) whole = {};
      finding.verdict = touch_cell(whole, access, mine, finding.other);
      finding.byte = at;
    } else {
      if (whole.write.has(Stamp::SPLIT) && whole.write.epoch() < floor) whole = {};
      Cell* bytes = split(word);
      for (unsigned i = first; i < last && finding.verdict == Verdict::Fine; i++) {
        finding.verdict = touch_cell(bytes[i], access, mine, finding.other);
        finding.byte = word * 4 + i;
      }
      if (entire && finding.verdict == Verdict::Fine) {
        bool same = true;
        for (int i = 1; i < 4; i++) same &= bytes[i].write == bytes[0].write && bytes[i].read == bytes[0].read;
        if (same) whole = bytes[0];
      }
    }
    if (finding.verdict != Verdict::Fine) return finding;
    at = word * 4 + last;
  }
  return finding;
}

Finding Shadow::depart(unsigned at, unsigned count, Stamp mine) {
  return touch(at, count, Access::Write, {mine.bits | Stamp::IN_FLIGHT});
}

Finding Shadow::land(unsigned at, unsigned count, Stamp mine) {
  for (unsigned word = at / 4; word < (at + count) / 4; word++) words[word] = {};
  return touch(at, count, Access::Write, mine);
}

void Shadow::forbid(unsigned at, unsigned count) {
  for (unsigned word = at / 4; word < (at + count) / 4; word++) words[word].write = FORBIDDEN;
}
