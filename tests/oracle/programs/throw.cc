// C++ exceptions for the single-step oracle: thrown through frames with and without clean-ups, rethrown,
// and destructors that run meanwhile.
#include <stdexcept>
#include <string>
#include <vector>

#define NOINLINE __attribute__((noinline))

static volatile long sink = 3;

struct guard {
	std::string name;
	explicit guard(const char *n) : name(n) {}
	NOINLINE ~guard() { sink = sink + static_cast<long>(name.size()); }
};

NOINLINE static long deep(int n)
{
	guard g("a name that is too long to be kept in place");
	if (n == 0)
		throw std::runtime_error("bottom");
	return deep(n - 1) + sink;
}

NOINLINE static long middle(int n)
{
	std::vector<long> v(4, n);
	try {
		return deep(n) + v[1];
	} catch (const std::logic_error &) {
		return 1;
	}
}

NOINLINE static long outer(int n)
{
	try {
		return middle(n);
	} catch (const std::runtime_error &e) {
		try {
			throw;
		} catch (const std::exception &again) {
			return static_cast<long>(std::string(again.what()).size());
		}
	}
}

int main()
{
	__asm__ volatile("int3");
	sink = sink + outer(2);
	__asm__ volatile("int3");
	return 0;
}
