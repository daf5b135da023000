#include "core/cpus.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#include <unistd.h>
#endif

namespace fusible {
namespace {

constexpr int kNoLimit = std::numeric_limits<int>::max();

// Of the process, not of the thread at hand: an OpenMP host binds each of its threads to one CPU.
int BoundCpus() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(getpid(), sizeof(set), &set) == 0) return CPU_COUNT(&set);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

// Rounded down: one thread more than the quota stops all of them until the next period.
int CpusOf(double quota, double period) {
  if (quota <= 0 || period <= 0) return kNoLimit;
  return static_cast<int>(std::clamp(quota / period, 1.0, 1e6));
}

double ReadNumber(const std::string& path) {
  double number = 0;
  std::ifstream(path) >> number;
  return number;
}

// Control groups version 2: "200000 100000", or "max 100000".
int QuotaOf(const std::string& group) {
  double quota = 0, period = 0;
  std::ifstream file(group + "/cpu.max");
  return file >> quota >> period ? CpusOf(quota, period) : kNoLimit;
}

int OldQuotaOf(const std::string& group) {
  return CpusOf(ReadNumber(group + "/cpu.cfs_quota_us"), ReadNumber(group + "/cpu.cfs_period_us"));
}

// The least of a group's quota and those of the groups around it. Inside a container the file names
// the host's path, and what is mounted is the container's own group: the walk ends there.
template <class Quota>
int LeastQuota(const std::string& mount, std::string path, Quota quota) {
  int least = quota(mount);
  while (path.size() > 1) {
    least = std::min(least, quota(mount + path));
    path.resize(path.rfind('/'));
  }
  return least;
}

// Lines of /proc/self/cgroup: "0::/a/b" of version 2, "4:cpu,cpuacct:/a/b" of version 1.
int QuotaCpus(const std::string& root) {
  std::ifstream groups(root + "/proc/self/cgroup");
  const std::string mount = root + "/sys/fs/cgroup";
  int cpus = kNoLimit;
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos || line[second + 1] != '/') continue;
    const std::string path = line.substr(second + 1);
    std::istringstream kinds(line.substr(first + 1, second - first - 1));
    if (second == first + 1) cpus = std::min(cpus, LeastQuota(mount, path, QuotaOf));
    for (std::string kind; std::getline(kinds, kind, ',');) {
      if (kind == "cpu") cpus = std::min(cpus, LeastQuota(mount + "/cpu", path, OldQuotaOf));
    }
  }
  return cpus;
}

}  // namespace

#if defined(__linux__)

int CurrentCpu() { return sched_getcpu(); }

void LeaveCpu(int cpu) {
  cpu_set_t set;
  if (cpu < 0 || sched_getaffinity(getpid(), sizeof(set), &set) != 0) return;
  CPU_CLR(cpu, &set);
  if (CPU_COUNT(&set) > 0) sched_setaffinity(0, sizeof(set), &set);
}

#else

int CurrentCpu() { return -1; }
void LeaveCpu(int) {}

#endif

int UsableCpus(const std::string& root) {
  return std::max(1, std::min(BoundCpus(), QuotaCpus(root)));
}

}  // namespace fusible
